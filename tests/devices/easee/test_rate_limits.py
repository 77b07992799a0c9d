"""How often the cloud is called, and when it is left alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
import time_machine
from pydantic import SecretStr

from easee_load_balancer.devices.easee.client import EaseeClient
from easee_load_balancer.devices.easee.models import Account
from easee_load_balancer.devices.easee.rate_limits import raise_if_throttled, too_soon
from easee_load_balancer.devices.easee.token_store import CLOUD, Refusal, SavedSession
from easee_load_balancer.errors import (
    BadCredentials,
    Blocked,
    ChargerError,
    ChargerUnreachable,
    NotPermitted,
    RateLimited,
)
from easee_load_balancer.measurements import ChargerMode, ChargerState, Setpoint
from easee_load_balancer.simulation.server import SimulatedHouse
from tests.support.easee_cloud import (
    CHARGER,
    CHARGERS,
    LOGIN,
    OBSERVATIONS,
    PASSWORD,
    ScriptedCloud,
    a_client,
    account,
    http,
    store,
    stored,
    total_calls,
)

NOW = datetime(2026, 6, 21, 12, 0, tzinfo=UTC)
A_MOMENT = timedelta(seconds=50)
A_DAY = timedelta(days=1)
HALF_AN_HOUR = timedelta(minutes=30)
WRITES = "POST /api/sites/{site}/circuits/{circuit}/dynamicCurrent"


@pytest.mark.parametrize(
    ("mode", "online", "age_s", "waits"),
    [
        (ChargerMode.CHARGING, True, 8, True),
        (ChargerMode.CHARGING, True, 9, False),
        (ChargerMode.DISCONNECTED, True, 58, True),
        (ChargerMode.DISCONNECTED, True, 59, False),
        (ChargerMode.DISCONNECTED, False, 9, False),
        (None, False, 8, True),
        (ChargerMode.CHARGING, True, -5, False),
    ],
)
def test_charger_is_observed_every_10_s_and_every_60_s_without_a_car(
    mode: ChargerMode | None, online: bool, age_s: int, waits: bool
) -> None:
    last = ChargerState(NOW, online, mode, None, None, None)
    assert too_soon(last, NOW + timedelta(seconds=age_s)) is waits


async def test_recent_state_is_reused(house: SimulatedHouse, easee: EaseeClient) -> None:
    first = await easee.recent_state(CHARGER)
    house.plant.car.unplug()
    assert await easee.recent_state(CHARGER) is first
    assert house.cloud.calls[OBSERVATIONS] == 1


async def test_calls_are_counted_by_endpoint(house: SimulatedHouse, easee: EaseeClient) -> None:
    await easee.state(CHARGER)
    await easee.chargers()
    house.faults.api_status = 429
    for _ in range(2):
        with pytest.raises(RateLimited):
            await easee.site_of(CHARGER.charger_id)
    assert easee.calls == {"login": 1, "observations": 1, "chargers": 1, "site": 1}
    assert easee.calls.total() == house.cloud.calls.total()


class SavedAccount(Account):
    """Credentials with a known time of saving."""

    at: datetime | None = None

    async def saved_at(self) -> datetime | None:
        """That time."""
        return self.at


async def test_rejected_password_is_retried_once_each_time_it_is_saved(
    cloud: ScriptedCloud, tmp_path: Path
) -> None:
    good = cloud.answers["/api/accounts/login"]
    cloud.answers["/api/accounts/login"] = http(400)
    owner = SavedAccount(
        user_name="owner", password=SecretStr(PASSWORD), base_url=cloud.url, at=NOW
    )
    easee = EaseeClient(owner, tmp_path)
    for logins in (1, 1, 2, 2):
        if logins > cloud.requests.count(LOGIN) > 0:
            owner.at = datetime.now(UTC)
        with pytest.raises(BadCredentials):
            await easee.state(CHARGER)
        assert cloud.requests.count(LOGIN) == logins
    owner.at, cloud.answers["/api/accounts/login"] = datetime.now(UTC), good
    await easee.state(CHARGER)
    await easee.close()


async def test_only_the_limited_endpoint_waits_also_in_another_process(
    house: SimulatedHouse, easee: EaseeClient, tmp_path: Path
) -> None:
    await easee.chargers()
    await easee.chargers()
    message = f"{house.api_url}: 'chargers' is rate-limited; next request .*:"
    with pytest.raises(RateLimited, match=message) as limited:
        await easee.chargers()
    assert timedelta(0) < limited.value.until - datetime.now(UTC) <= timedelta(seconds=60)
    async with a_client(house.api_url, tmp_path) as another:
        with pytest.raises(RateLimited) as still:
            await another.chargers()
        assert (await another.state(CHARGER)).online
    assert still.value.until == limited.value.until
    assert house.cloud.calls[CHARGERS] == 3


async def test_login_is_tried_again_after_the_wait(
    house: SimulatedHouse, easee: EaseeClient, tmp_path: Path
) -> None:
    house.faults.api_status, house.faults.api_retry_after_s = 429, 200
    for _ in range(2):
        with pytest.raises(RateLimited, match="'login'") as limited:
            await easee.state(CHARGER)
    assert house.cloud.calls == {LOGIN: 1}
    assert_waits(limited.value.until, timedelta(seconds=200))
    house.faults.api_status = None
    end_wait(house.api_url, tmp_path, "login")
    async with a_client(house.api_url, tmp_path) as another:
        assert (await another.state(CHARGER)).online


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("110", 110),
        ("0", 1),
        ("-5", 1),
        ("86400", 3600),
        ("1.5", 1.5),
        ("nan", 120),
        ("soon", 120),
        ("", 120),
        ("Fri, 14 Aug 2020 10:00:00 GMT", 1),
        ("Fri, 14 Aug 2020 10:00:00 -0000", 120),
        ("Mon, 14 Aug 9999 10:00:00 GMT", 3600),
    ],
)
async def test_retry_after_is_read_and_bounded(
    header: str, seconds: int, cloud: ScriptedCloud, client: EaseeClient
) -> None:
    cloud.answer = http(429, b"", f"Retry-After: {header}")
    before = datetime.now(UTC)
    with pytest.raises(RateLimited) as limited:
        await client.state(CHARGER)
    wait = timedelta(seconds=seconds)
    assert before + wait <= limited.value.until <= datetime.now(UTC) + wait


@pytest.mark.parametrize("headers", [(), ("Retry-After: 86400",)])
async def test_rate_limited_login_waits_for_a_day(
    headers: tuple[str, ...], cloud: ScriptedCloud, client: EaseeClient
) -> None:
    cloud.answers["/api/accounts/login"] = http(429, b"", *headers)
    with pytest.raises(RateLimited) as limited:
        await client.state(CHARGER)
    assert timedelta(hours=23) < limited.value.until - datetime.now(UTC) <= A_DAY


async def test_retry_after_of_a_busy_cloud_is_respected(
    cloud: ScriptedCloud, client: EaseeClient
) -> None:
    cloud.answer = http(503, b"", "Retry-After: 60")
    with pytest.raises(ChargerUnreachable, match="answers 503"):
        await client.state(CHARGER)
    with pytest.raises(RateLimited, match=r"asked to wait with 'observations' \(503\)"):
        await client.state(CHARGER)
    assert len(cloud.requests) == 2


@pytest.mark.parametrize("logged_in", [True, False])
async def test_block_stops_all_calls_and_doubles_its_wait(
    logged_in: bool, house: SimulatedHouse, easee: EaseeClient, tmp_path: Path
) -> None:
    if logged_in:
        await easee.state(CHARGER)
    house.faults.api_status = 403
    with pytest.raises(Blocked, match=f"{house.api_url} .*403.*next request"):
        await easee.state(CHARGER)
    calls = total_calls(house)
    await assert_silent(easee)
    async with a_client(house.api_url, tmp_path) as another:
        await assert_silent(another)
    assert total_calls(house) == calls
    for minutes in (20, 40):
        end_wait(house.api_url, tmp_path, CLOUD)
        async with a_client(house.api_url, tmp_path) as another:
            with pytest.raises(Blocked) as blocked:
                await another.state(CHARGER)
        assert_waits(blocked.value.until, timedelta(minutes=minutes))
    assert total_calls(house) == calls + 2


def end_wait(url: str, folder: Path, key: str) -> None:
    """Let the wait for that endpoint end now."""
    session = stored(url, folder)
    over = {"until": datetime.now(UTC) - timedelta(seconds=1)}
    session.refusals[key] = session.refusals[key].model_copy(update=over)
    store(url, folder, session)


def assert_waits(until: datetime, expected: timedelta) -> None:
    assert timedelta(0) <= expected - (until - datetime.now(UTC)) < A_MOMENT


async def assert_silent(easee: EaseeClient) -> None:
    """Every call ends as Blocked."""
    calls: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: easee.state(CHARGER),
        easee.chargers,
        lambda: easee.set_circuit_current(CHARGER, Setpoint(6), timedelta(minutes=1)),
    )
    for call in calls:
        with pytest.raises(Blocked):
            await call()


async def test_block_lasts_at_most_a_day_and_a_success_resets_it(
    house: SimulatedHouse, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    long_blocked = Refusal(status=403, until=now, noted_at=now, wait_s=80_000)
    for status in (403, None):
        house.faults.api_status = status
        store(house.api_url, tmp_path, SavedSession(refusals={CLOUD: long_blocked}))
        async with a_client(house.api_url, tmp_path) as easee:
            if status is None:
                await easee.state(CHARGER)
                break
            with pytest.raises(Blocked) as blocked:
                await easee.state(CHARGER)
        assert_waits(blocked.value.until, A_DAY)
    assert stored(house.api_url, tmp_path).refusals == {}


@pytest.mark.parametrize(
    ("status", "waits_s"), [(401, (60, 120, 240)), (429, (110, 220, 440, 880, 1760))]
)
async def test_refusals_in_a_row_double_the_wait_until_a_success(
    status: Literal[401, 429], waits_s: tuple[int, ...], house: SimulatedHouse, tmp_path: Path
) -> None:
    async with a_client(house.api_url, tmp_path) as easee:
        await easee.state(CHARGER)
    house.faults.api_retry_after_s = 110
    for wait_s in (*waits_s, None, waits_s[0]):
        house.faults.api_status = status if wait_s else None
        async with a_client(house.api_url, tmp_path) as easee:
            if wait_s is None:
                await easee.state(CHARGER)
                continue
            with pytest.raises(ChargerError):
                await easee.state(CHARGER)
        until = stored(house.api_url, tmp_path).refusals["observations"].until
        assert_waits(until, timedelta(seconds=wait_s))
        end_wait(house.api_url, tmp_path, "observations")
    async with a_client(house.api_url, tmp_path) as easee:
        house.faults.api_status = None
        await easee.chargers()


async def test_wait_after_many_429_is_at_most_a_day(house: SimulatedHouse, tmp_path: Path) -> None:
    async with a_client(house.api_url, tmp_path) as easee:
        await easee.state(CHARGER)
    now, session = datetime.now(UTC), stored(house.api_url, tmp_path)
    session.refusals["observations"] = Refusal(status=429, until=now, noted_at=now, wait_s=60_000)
    store(house.api_url, tmp_path, session)
    house.faults.api_status = 429
    async with a_client(house.api_url, tmp_path) as easee:
        with pytest.raises(RateLimited) as limited:
            await easee.state(CHARGER)
    assert_waits(limited.value.until, A_DAY)


async def test_forbidden_command_waits_alone_and_names_the_role(
    house: SimulatedHouse, easee: EaseeClient, tmp_path: Path
) -> None:
    state = await easee.state(CHARGER)
    assert await easee.may_command(CHARGER, state, HALF_AN_HOUR) is True
    assert await easee.may_command(CHARGER, ChargerState.unknown(NOW), HALF_AN_HOUR) is None
    house.faults.api_command_status = 403
    assert await easee.may_command(CHARGER, state, HALF_AN_HOUR) is False
    writes = house.cloud.calls[WRITES]
    async with a_client(house.api_url, tmp_path) as another:
        for one in (easee, another):
            assert (await one.state(CHARGER)).online
            with pytest.raises(NotPermitted, match="role of this login") as refused:
                await one.set_circuit_current(CHARGER, Setpoint(6), HALF_AN_HOUR)
    assert_waits(refused.value.until, timedelta(minutes=1))
    assert house.cloud.calls[WRITES] == writes
    house.faults.api_command_status = None
    end_wait(house.api_url, tmp_path, "dynamicCurrent")
    async with a_client(house.api_url, tmp_path) as later:
        await later.set_circuit_current(CHARGER, Setpoint(6), HALF_AN_HOUR)
    assert stored(house.api_url, tmp_path).refusals == {}


async def test_forbidden_command_and_then_readings_are_a_block(
    house: SimulatedHouse, easee: EaseeClient
) -> None:
    await easee.state(CHARGER)
    house.faults.api_status = 403
    with pytest.raises(NotPermitted):
        await easee.set_circuit_current(CHARGER, Setpoint(6), HALF_AN_HOUR)
    with pytest.raises(Blocked):
        await easee.state(CHARGER)
    await assert_silent(easee)


def test_wait_left_by_a_wrong_clock_is_ignored() -> None:
    now = datetime.now(UTC)
    far = Refusal(status=429, until=now + timedelta(days=300), noted_at=now, wait_s=60)
    session = SavedSession(refusals={"site": far, CLOUD: far})
    raise_if_throttled(session, "site", account("https://api.easee.com"))


async def test_wait_ends_when_the_clock_is_set_back(
    house: SimulatedHouse, easee: EaseeClient
) -> None:
    await easee.state(CHARGER)
    house.faults.api_status = 429
    with pytest.raises(RateLimited):
        await easee.state(CHARGER)
    house.faults.api_status = None
    with pytest.raises(RateLimited):
        await easee.state(CHARGER)
    with time_machine.travel(datetime.now(UTC) - timedelta(hours=1)):
        await easee.state(CHARGER)
