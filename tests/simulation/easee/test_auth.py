"""Tokens and rate limits of the simulated API."""

from __future__ import annotations

import pytest

from easee_load_balancer.simulation.easee.auth import (
    Credentials,
    Limit,
    RateLimiter,
    TokenIssuer,
    TokenPair,
)
from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.simulation.easee.problems import Problem
from tests.support.simulated_house import (
    CHARGER,
    CIRCUIT,
    OBSERVATIONS,
    USER,
    Running,
    assert_problem,
    client,
    logged_in,
)

LOGIN, REFRESH = "/api/accounts/login", "/api/accounts/refresh_token"
GOOD, BAD = (Credentials(userName="me", password=word) for word in ("secret", "guess"))


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (USER | {"userName": "stranger"}, 100, None),
        (USER | {"password": "guess"}, 100, None),
        ({"userName": "x"}, None, "password"),
    ],
)
async def test_wrong_login_is_refused(
    running: Running, body: dict[str, str], code: int | None, field: str | None
) -> None:
    _, api = running
    assert_problem(await api.post(LOGIN, json=body), 400, code, invalid=field)


async def test_five_bad_logins_block_the_good_one_for_a_day(running: Running) -> None:
    _, api = running
    for _ in range(5):
        assert_problem(await api.post(LOGIN, json=USER | {"password": "x"}), 400, 100)
    blocked = await api.post(LOGIN, json=USER)
    assert_problem(blocked, 429)
    assert blocked.headers["retry-after"] == "86400"


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer nonsense", "Basic eDp5"])
async def test_calls_without_a_valid_token_are_refused(
    running: Running, header: str | None
) -> None:
    house, _ = running
    async with client(house) as stranger:
        stranger.headers.update({} if header is None else {"Authorization": header})
        assert_problem(await stranger.get("/api/chargers"), 401)
        assert_problem(await stranger.get(OBSERVATIONS), 401)
        assert_problem(await stranger.post(f"{CIRCUIT}/dynamicCurrent", json={}), 401)


async def test_refresh_token_works_once_and_the_old_access_token_until_it_expires(
    running: Running,
) -> None:
    house, api = running
    first = (await api.post(LOGIN, json=USER)).json()
    assert set(first) == {"accessToken", "expiresIn", "accessClaims", "tokenType", "refreshToken"}
    assert (first["expiresIn"], first["tokenType"]) == (3600, "Bearer")
    pair = {name: first[name] for name in ("accessToken", "refreshToken")}
    second = (await api.post(REFRESH, json=pair)).json()
    assert set(second) == set(first)
    assert_problem(await api.post(REFRESH, json=pair), 401, 104)
    assert second["accessToken"] != first["accessToken"]
    for tokens in (first, second):
        headers = {"Authorization": f"Bearer {tokens['accessToken']}"}
        assert (await api.get(CHARGER, headers=headers)).status_code == 200
    assert (house.cloud.tokens.logins, house.cloud.tokens.refreshes) == (2, 1)


def test_access_token_expires_and_can_still_be_refreshed() -> None:
    tokens = TokenIssuer(("me", "secret"), 3600.0, blocks=True)
    first = tokens.login(GOOD, 0.0)
    header = f"Bearer {first['accessToken']}"
    assert tokens.check(header, 3599.9) == first["accessToken"]
    with pytest.raises(Problem):
        tokens.check(header, 3600.0)
    pair = TokenPair(accessToken=first["accessToken"], refreshToken=first["refreshToken"])
    assert tokens.refresh(pair, 4000.0)["accessToken"] != first["accessToken"]


@pytest.mark.parametrize(
    ("blocks", "every_s"),
    [pytest.param(False, 1.0, id="limits lifted"), pytest.param(True, 200.0, id="far apart")],
)
def test_bad_logins_do_not_block(blocks: bool, every_s: float) -> None:
    tokens = TokenIssuer(("me", "secret"), 3600.0, blocks=blocks)
    for attempt in range(10):
        with pytest.raises(Problem) as problem:
            tokens.login(BAD, attempt * every_s)
        assert problem.value.status == 400
    assert tokens.login(GOOD, 10 * every_s)["tokenType"] == "Bearer"


@pytest.mark.parametrize(("limited", "last"), [(True, 429), (False, 200)])
async def test_chargers_can_be_listed_twice_a_minute_unless_limits_are_lifted(
    limited: bool, last: int
) -> None:
    async with logged_in(CloudSpec(rate_limits=limited)) as (_, api):
        answers = [await api.get("/api/chargers") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, last]
    if limited:
        assert 45 <= int(answers[-1].headers["retry-after"]) <= 60


def test_limits_count_per_endpoint_and_token_and_recover() -> None:
    limiter, limit = RateLimiter(), Limit(2, 60.0)
    for now_s in (0.0, 10.0):
        limiter.check("GET x", "a", limit, now_s)
    with pytest.raises(Problem) as problem:
        limiter.check("GET x", "a", limit, 20.0)
    assert problem.value.retry_after_s == 40
    limiter.check("GET x", "b", limit, 20.0)
    limiter.check("GET y", "a", limit, 20.0)
    limiter.check("GET x", "a", limit, 60.0)
