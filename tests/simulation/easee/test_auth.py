"""Tokens and rate limits of the simulated API."""

from __future__ import annotations

import asyncio

import pytest

from easee_load_balancer.simulation.easee.auth import (
    Credentials,
    Limit,
    RateLimiter,
    TokenPair,
    Tokens,
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


async def test_login_answers_as_recorded() -> None:
    async with logged_in() as (_, api):
        answer = await api.post("/api/accounts/login", json=USER)
    body = answer.json()
    assert set(body) == {"accessToken", "expiresIn", "accessClaims", "tokenType", "refreshToken"}
    assert body["expiresIn"] == 3600
    assert body["tokenType"] == "Bearer"


@pytest.mark.parametrize("wrong", [{"userName": "somebody"}, {"password": "guess"}])
async def test_wrong_login(running: Running, wrong: dict[str, str]) -> None:
    _, api = running
    assert_problem(await api.post("/api/accounts/login", json=USER | wrong), 400, 100)


async def test_login_without_password(running: Running) -> None:
    _, api = running
    answer = await api.post("/api/accounts/login", json={"userName": "x"})
    assert_problem(answer, 400, invalid="password")


async def test_bad_logins_block_the_good_one_too(running: Running) -> None:
    _, api = running
    for _ in range(5):
        assert_problem(
            await api.post("/api/accounts/login", json=USER | {"password": "x"}), 400, 100
        )
    blocked = await api.post("/api/accounts/login", json=USER)
    assert_problem(blocked, 429)
    assert blocked.headers["retry-after"] == "86400"


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer nonsense", "Basic eDp5"])
async def test_no_token_no_answer(running: Running, header: str | None) -> None:
    house, _ = running
    headers = {} if header is None else {"Authorization": header}
    async with client(house) as stranger:
        stranger.headers.update(headers)
        assert_problem(await stranger.get("/api/chargers"), 401)
        assert_problem(await stranger.get(OBSERVATIONS), 401)
        write = await stranger.post(f"{CIRCUIT}/dynamicCurrent", json={})
        assert_problem(write, 401)


async def test_token_expires() -> None:
    async with logged_in(CloudSpec(token_lifetime_s=0.05)) as (_, api):
        await asyncio.sleep(0.06)
        assert_problem(await api.get("/api/chargers"), 401)


async def test_refresh_token_works_once_and_the_old_access_token_until_its_end(
    running: Running,
) -> None:
    house, api = running
    first = (await api.post("/api/accounts/login", json=USER)).json()
    pair = {name: first[name] for name in ("accessToken", "refreshToken")}
    second = await api.post("/api/accounts/refresh_token", json=pair)
    assert set(second.json()) == set(first)
    assert second.json()["accessToken"] != first["accessToken"]
    assert_problem(await api.post("/api/accounts/refresh_token", json=pair), 401, 104)
    for token in (first["accessToken"], second.json()["accessToken"]):
        answer = await api.get(CHARGER, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200
    assert (house.cloud.tokens.logins, house.cloud.tokens.refreshes) == (2, 1)


def test_the_tokens_of_an_hour() -> None:
    tokens = Tokens(("me", "secret"), 3600.0, blocks=True)
    me = Credentials(userName="me", password="secret")
    first = tokens.login(me, 0.0)
    header = f"Bearer {first['accessToken']}"
    assert tokens.check(header, 3599.9) == first["accessToken"]
    with pytest.raises(Problem):
        tokens.check(header, 3600.0)
    pair = TokenPair(accessToken=first["accessToken"], refreshToken=first["refreshToken"])
    assert tokens.refresh(pair, 4000.0)["accessToken"] != first["accessToken"]
    with pytest.raises(Problem):
        tokens.refresh(pair, 4000.0)


def test_bad_logins_do_not_block_where_limits_are_lifted() -> None:
    tokens = Tokens(("me", "secret"), 3600.0, blocks=False)
    bad, good = (Credentials(userName="me", password=p) for p in ("x", "secret"))
    for attempt in range(10):
        with pytest.raises(Problem):
            tokens.login(bad, float(attempt))
    assert tokens.login(good, 10.0)["tokenType"] == "Bearer"


def test_bad_logins_far_apart_do_not_block() -> None:
    tokens = Tokens(("me", "secret"), 3600.0, blocks=True)
    bad, good = (Credentials(userName="me", password=p) for p in ("x", "secret"))
    for attempt in range(10):
        with pytest.raises(Problem) as problem:
            tokens.login(bad, attempt * 200.0)
        assert problem.value.status == 400
    assert tokens.login(good, 2000.0)["tokenType"] == "Bearer"


async def test_chargers_twice_a_minute(running: Running) -> None:
    _, api = running
    assert [(await api.get("/api/chargers")).status_code for _ in range(2)] == [200, 200]
    third = await api.get("/api/chargers")
    assert_problem(third, 429)
    assert 55 <= int(third.headers["retry-after"]) <= 60


async def test_limits_can_be_lifted() -> None:
    async with logged_in(CloudSpec(rate_limits=False)) as (_, api):
        answers = [(await api.get("/api/chargers")).status_code for _ in range(5)]
    assert answers == [200] * 5


def test_limits_count_per_token_and_recover() -> None:
    limiter, limit = RateLimiter(), Limit(2, 60.0)
    for now_s in (0.0, 10.0):
        limiter.check("GET x", "a", limit, now_s)
    with pytest.raises(Problem) as problem:
        limiter.check("GET x", "a", limit, 20.0)
    assert problem.value.retry_after_s == 40
    limiter.check("GET x", "b", limit, 20.0)
    limiter.check("GET y", "a", limit, 20.0)
    limiter.check("GET x", "a", limit, 60.0)
