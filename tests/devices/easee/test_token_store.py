"""Logging in rarely, keeping away when told to, and what of it is on disk."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from pydantic import SecretStr

from easee_load_balancer.devices.easee.client import EaseeClient
from easee_load_balancer.devices.easee.token_store import SavedSession, Tokens, TokenStore
from easee_load_balancer.errors import (
    BadCredentials,
    Blocked,
    ChargerError,
    ChargerUnreachable,
    RateLimited,
)
from easee_load_balancer.measurements import Setpoint
from tests.support.easee_cloud import (
    CHARGER,
    CHARGERS,
    CONFIG,
    LOGIN,
    OBSERVATIONS,
    PASSWORD,
    REFRESH,
    TOKEN,
    a_client,
    a_house,
    a_scripted_cloud,
    account,
    expire_tokens,
    http,
    http_json,
    store,
    stored,
    total_calls,
)

URL = "https://api.easee.com"
A_DAY = timedelta(days=1)


def in_past() -> datetime:
    """A moment ago."""
    return datetime.now(UTC) - timedelta(seconds=1)


def files_in(folder: Path) -> list[Path]:
    """What lies in the folder."""
    return sorted(folder.iterdir())


async def test_one_login_for_everything(tmp_path: Path) -> None:
    async with a_house() as house:
        for _ in range(2):
            async with a_client(house.api_url, tmp_path) as easee:
                await asyncio.gather(*(easee.state(CHARGER) for _ in range(5)))
                await easee.set_circuit_current(CHARGER, Setpoint(6), timedelta(minutes=1))
        assert house.cloud.calls[OBSERVATIONS] == 10
        assert house.cloud.calls[LOGIN] == 1
        assert house.cloud.calls[REFRESH] == 0


async def test_two_processes_log_in_once(tmp_path: Path) -> None:
    async with (
        a_house() as house,
        a_client(house.api_url, tmp_path) as one,
        a_client(house.api_url, tmp_path) as other,
    ):
        house.faults.api_delay_s = 0.1
        await asyncio.gather(one.state(CHARGER), other.state(CHARGER), other.config("EH123456"))
        assert house.cloud.calls[LOGIN] == 1


async def test_tokens_are_refreshed_once_before_they_expire(tmp_path: Path) -> None:
    async with a_house() as house:
        async with a_client(house.api_url, tmp_path) as easee:
            await easee.state(CHARGER)
        before = stored(house.api_url, tmp_path).tokens
        expire_tokens(house.api_url, tmp_path)
        async with (
            a_client(house.api_url, tmp_path) as one,
            a_client(house.api_url, tmp_path) as other,
        ):
            await asyncio.gather(one.state(CHARGER), one.state(CHARGER), other.state(CHARGER))
        after = stored(house.api_url, tmp_path).tokens
        assert (house.cloud.calls[LOGIN], house.cloud.calls[REFRESH]) == (1, 1)
        assert house.cloud.tokens.refreshes == 1
    assert before is not None
    assert after is not None
    assert after.refresh != before.refresh


async def test_short_lived_tokens_never_expire_in_use(tmp_path: Path) -> None:
    async with a_house(token_lifetime_s=0.8) as house, a_client(house.api_url, tmp_path) as easee:
        await easee.state(CHARGER)
        await asyncio.sleep(0.65)
        await easee.state(CHARGER)
        assert (house.cloud.tokens.logins, house.cloud.tokens.refreshes) == (1, 1)
        assert house.cloud.calls[OBSERVATIONS] == 2


async def test_a_refused_refresh_token_means_logging_in(tmp_path: Path) -> None:
    async with a_house() as house:
        async with a_client(house.api_url, tmp_path) as easee:
            await easee.state(CHARGER)
        expire_tokens(house.api_url, tmp_path, refresh=SecretStr("used before"))
        async with a_client(house.api_url, tmp_path) as easee:
            await easee.state(CHARGER)
        assert (house.cloud.calls[REFRESH], house.cloud.tokens.refreshes) == (1, 0)
        assert house.cloud.tokens.logins == 2


async def test_a_refresh_that_fails_for_the_moment_means_logging_in(tmp_path: Path) -> None:
    async with a_scripted_cloud() as cloud:
        async with a_client(cloud.url, tmp_path) as easee:
            await easee.state(CHARGER)
        expire_tokens(cloud.url, tmp_path)
        cloud.answers["/api/accounts/refresh_token"] = http(503)
        async with a_client(cloud.url, tmp_path) as easee:
            await easee.state(CHARGER)
        assert cloud.requests.count(LOGIN) == 2


async def test_a_token_refused_early_is_replaced_and_the_call_repeated(tmp_path: Path) -> None:
    async with a_house() as house:
        async with a_client(house.api_url, tmp_path) as easee:
            await easee.state(CHARGER)
        session = stored(house.api_url, tmp_path)
        assert session.tokens is not None
        unknown = session.tokens.model_copy(update={"access": SecretStr("withdrawn")})
        store(house.api_url, tmp_path, SavedSession(tokens=unknown))
        async with a_client(house.api_url, tmp_path) as easee:
            states = await asyncio.gather(easee.state(CHARGER), easee.state(CHARGER))
        assert all(state.online for state in states)
        assert house.cloud.calls[REFRESH] == 1
        assert house.cloud.tokens.logins == 2


async def test_tokens_that_are_always_refused_are_not_asked_for_all_the_time(
    tmp_path: Path,
) -> None:
    async with a_house() as house, a_client(house.api_url, tmp_path) as easee:
        house.faults.api_status = 401
        with pytest.raises(ChargerError, match=f"{house.api_url} answers 401 to 'observations'"):
            await easee.state(CHARGER)
        assert house.cloud.calls[OBSERVATIONS] == 2
        calls = total_calls(house)
        with pytest.raises(RateLimited, match="Nothing is sent there before") as waiting:
            await easee.state(CHARGER)
        assert total_calls(house) == calls
        assert waiting.value.until - datetime.now(UTC) <= timedelta(minutes=1)
        house.faults.api_status = None
        await easee.config("EH123456")


@pytest.mark.parametrize("status", [400, 401])
async def test_a_bad_password_is_tried_once(status: int, tmp_path: Path) -> None:
    async with a_scripted_cloud() as cloud:
        cloud.answers["/api/accounts/login"] = http(status)
        for _ in range(2):
            async with a_client(cloud.url, tmp_path) as easee:
                calls = (easee.state(CHARGER), easee.chargers(), easee.state(CHARGER))
                for error in await asyncio.gather(*calls, return_exceptions=True):
                    assert isinstance(error, BadCredentials)
                    assert "owner@example.com. Correct them in the block" in str(error)
        assert cloud.requests == [LOGIN]


async def test_a_corrected_password_is_tried(tmp_path: Path) -> None:
    async with a_house() as house:
        for password in ("wrong", "wrong", "wrong too"):
            async with a_client(house.api_url, tmp_path, password) as easee:
                with pytest.raises(BadCredentials, match=house.api_url):
                    await easee.state(CHARGER)
        async with a_client(house.api_url, tmp_path) as easee:
            assert (await easee.state(CHARGER)).online
        assert house.cloud.calls[LOGIN] == 3


async def test_too_many_requests_at_one_endpoint(tmp_path: Path) -> None:
    async with a_house() as house:
        async with a_client(house.api_url, tmp_path) as easee:
            await easee.chargers()
            await easee.chargers()
            with pytest.raises(RateLimited, match=f"{house.api_url} .*'chargers'") as limited:
                await easee.chargers()
        assert timedelta(0) < limited.value.until - datetime.now(UTC) <= timedelta(seconds=60)
        async with a_client(house.api_url, tmp_path) as easee:
            with pytest.raises(RateLimited) as still:
                await easee.chargers()
            assert (await easee.state(CHARGER)).online
        assert still.value.until == limited.value.until
        assert house.cloud.calls[CHARGERS] == 3


async def test_after_the_wait_it_is_asked_again(tmp_path: Path) -> None:
    async with a_house() as house:
        house.faults.api_status, house.faults.api_retry_after_s = 429, 200
        async with a_client(house.api_url, tmp_path) as easee:
            for _ in range(2):
                with pytest.raises(RateLimited, match="'login'") as limited:
                    await easee.state(CHARGER)
        assert house.cloud.calls == {LOGIN: 1}
        wait = limited.value.until - datetime.now(UTC)
        assert timedelta(seconds=190) < wait <= timedelta(seconds=200)
        house.faults.api_status = None
        store(house.api_url, tmp_path, SavedSession(cool_down={"login": in_past()}))
        async with a_client(house.api_url, tmp_path) as easee:
            assert (await easee.state(CHARGER)).online


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("110", 110),
        ("0", 1),
        ("-5", 1),
        ("999999999", 86400),
        ("1.5", 1.5),
        ("nan", 120),
        ("soon", 120),
        ("", 120),
        ("Fri, 14 Aug 2020 10:00:00 GMT", 1),
        ("Fri, 14 Aug 2020 10:00:00 -0000", 120),
        ("Mon, 14 Aug 9999 10:00:00 GMT", 86400),
    ],
)
async def test_how_long_to_wait(header: str, seconds: int, tmp_path: Path) -> None:
    async with a_scripted_cloud() as cloud, a_client(cloud.url, tmp_path) as easee:
        cloud.answer = http(429, b"", f"Retry-After: {header}")
        with pytest.raises(RateLimited) as limited:
            await easee.state(CHARGER)
        wait_s = (limited.value.until - datetime.now(UTC)).total_seconds()
    assert seconds - 1 < wait_s <= seconds


async def test_too_many_logins_keep_us_away_for_a_day(tmp_path: Path) -> None:
    async with a_scripted_cloud() as cloud, a_client(cloud.url, tmp_path) as easee:
        cloud.answers["/api/accounts/login"] = http(429)
        with pytest.raises(RateLimited) as limited:
            await easee.state(CHARGER)
    assert timedelta(hours=23) < limited.value.until - datetime.now(UTC) <= A_DAY


async def test_a_busy_cloud_that_says_how_long_is_left_alone_for_so_long(tmp_path: Path) -> None:
    async with a_scripted_cloud() as cloud, a_client(cloud.url, tmp_path) as easee:
        cloud.answer = http(503, b"", "Retry-After: 60")
        with pytest.raises(ChargerUnreachable, match="answers 503"):
            await easee.state(CHARGER)
        with pytest.raises(RateLimited):
            await easee.state(CHARGER)
        assert len(cloud.requests) == 2


@pytest.mark.parametrize("has_tokens", [True, False])
async def test_blocked_means_silence_and_ever_longer_waits(
    has_tokens: bool, tmp_path: Path
) -> None:
    async with a_house() as house:
        async with a_client(house.api_url, tmp_path) as easee:
            if has_tokens:
                await easee.state(CHARGER)
            house.faults.api_status = 403
            with pytest.raises(Blocked, match=f"{house.api_url} .*403.*Nothing is sent"):
                await easee.state(CHARGER)
            calls = total_calls(house)
            await assert_silent(easee)
        async with a_client(house.api_url, tmp_path) as easee:
            await assert_silent(easee)
        assert total_calls(house) == calls
        for minutes in (20, 40):
            session = stored(house.api_url, tmp_path)
            session.blocked_until = in_past()
            store(house.api_url, tmp_path, session)
            async with a_client(house.api_url, tmp_path) as easee:
                with pytest.raises(Blocked) as blocked:
                    await easee.state(CHARGER)
            wait = blocked.value.until - datetime.now(UTC)
            assert timedelta(0) < timedelta(minutes=minutes) - wait < timedelta(seconds=5)
        assert total_calls(house) == calls + 2


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


async def test_a_block_is_no_longer_than_a_day_and_forgotten_after_a_success(
    tmp_path: Path,
) -> None:
    async with a_house() as house:
        house.faults.api_status = 403
        store_in = SavedSession(blocked_s=80_000, blocked_until=in_past())
        store(house.api_url, tmp_path, store_in)
        async with a_client(house.api_url, tmp_path) as easee:
            with pytest.raises(Blocked) as blocked:
                await easee.state(CHARGER)
        assert timedelta(hours=23) < blocked.value.until - datetime.now(UTC) <= A_DAY
        house.faults.api_status = None
        store(house.api_url, tmp_path, store_in)
        async with a_client(house.api_url, tmp_path) as easee:
            await easee.state(CHARGER)
        assert stored(house.api_url, tmp_path).blocked_s == 0


@pytest.mark.parametrize(("status", "error"), [(403, Blocked), (429, RateLimited)])
async def test_a_refresh_that_is_not_wanted_is_not_followed_by_a_login(
    status: int, error: type[ChargerError], tmp_path: Path
) -> None:
    async with a_house() as house:
        async with a_client(house.api_url, tmp_path) as easee:
            await easee.state(CHARGER)
        expire_tokens(house.api_url, tmp_path)
        house.faults.api_status = status  # type: ignore[assignment]
        for _ in range(2):
            async with a_client(house.api_url, tmp_path) as easee:
                with pytest.raises(error):
                    await easee.state(CHARGER)
        assert (house.cloud.calls[REFRESH], house.cloud.calls[LOGIN]) == (1, 1)


async def test_secrets_are_nowhere_to_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    errors: list[ChargerError] = []
    async with a_house() as house, a_client(house.api_url, tmp_path, budget_s=0.5) as easee:
        await easee.state(CHARGER)
        session = stored(house.api_url, tmp_path)
        assert session.tokens is not None
        secrets = [session.tokens.access, session.tokens.refresh, SecretStr(PASSWORD)]
        for things in (easee, session, session.tokens, account(house.api_url)):
            shown += [repr(things), str(things)]
        shown.append(session.model_dump_json())
        for fault, value in (
            *(("api_body", "truncated"), ("api_delay_s", 1.0), ("api_delay_s", 0.0)),
            *(("api_status", 500), ("api_status", 401), ("api_status", 429), ("api_status", 403)),
        ):
            setattr(house.faults, fault, value)
            try:
                await easee.config("EH123456")
            except ChargerError as error:
                errors.append(error)
            await easee.close()
            easee = EaseeClient(account(house.api_url), tmp_path, 0.5)
        await easee.close()
    assert len(errors) == 7
    shown += [line for error in errors for line in traceback.format_exception(error)]
    stored_bytes = b"".join(path.read_bytes() for path in files_in(tmp_path))
    for secret in secrets:
        assert secret.get_secret_value() not in "\n".join((*shown, caplog.text))
        assert secret.get_secret_value().encode() not in stored_bytes


async def test_the_session_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "some" / "folder"
    async with a_scripted_cloud() as cloud, a_client(cloud.url, folder) as easee:
        await easee.state(CHARGER)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = files_in(folder)
    assert len(files) == 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:5],
        lambda content: content[:40],
        lambda content: content[:-1],
        lambda content: bytes(16) + content[16:],
        lambda content: b"\xff" * len(content),
    ],
)
async def test_a_damaged_session_is_a_fresh_one(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    async with a_scripted_cloud() as cloud:
        cloud.answers["/api/accounts/login"] = TOKEN
        async with a_client(cloud.url, tmp_path) as easee:
            await easee.state(CHARGER)
        (file,) = (path for path in files_in(tmp_path) if path.suffix != ".lock")
        file.write_bytes(damage(file.read_bytes()))
        for _ in range(2):
            async with a_client(cloud.url, tmp_path) as easee:
                await easee.state(CHARGER)
                await easee.state(CHARGER)
        assert cloud.requests.count(LOGIN) == 2


async def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "file" / "folder"
    folder.parent.write_text("no folder")
    async with a_scripted_cloud() as cloud, a_client(cloud.url, folder) as easee:
        with pytest.raises(ChargerError, match=f"session in {folder} .*disk full"):
            await easee.state(CHARGER)
        assert cloud.requests == []


def test_sessions_are_kept_apart_by_account_and_password(tmp_path: Path) -> None:
    TokenStore(tmp_path, account(URL)).save(SavedSession(rejected_at=datetime.now(UTC)))
    assert TokenStore(tmp_path, account(URL)).load().rejected_at
    assert TokenStore(tmp_path, account(URL, "another")).load() == SavedSession()
    assert TokenStore(tmp_path, account("https://other.example.com")).load() == SavedSession()


@pytest.mark.parametrize(
    ("lifetime_s", "usable_s"), [(3600, 3510), (86400, 86310), (360, 270), (8, 6), (0.4, 0.3)]
)
def test_tokens_are_renewed_in_time(lifetime_s: float, usable_s: float) -> None:
    issued_at = datetime(2026, 8, 14, tzinfo=UTC)
    tokens = Tokens(
        access=SecretStr("a"),
        refresh=SecretStr("r"),
        issued_at=issued_at,
        expires_at=issued_at + timedelta(seconds=lifetime_s),
    )
    moment = timedelta(milliseconds=1)
    assert tokens.valid_at(issued_at)
    assert tokens.valid_at(issued_at + timedelta(seconds=usable_s) - moment)
    assert not tokens.valid_at(issued_at + timedelta(seconds=usable_s) + moment)


@pytest.mark.parametrize("lifetime", [0, -1, None, "soon"])
async def test_tokens_that_make_no_sense_are_refused(lifetime: object, tmp_path: Path) -> None:
    async with a_scripted_cloud() as cloud, a_client(cloud.url, tmp_path) as easee:
        token = {"accessToken": "acc", "refreshToken": "ref", "expiresIn": lifetime}
        cloud.answers["/api/accounts/login"] = http_json(200, token)
        with pytest.raises(ChargerError, match=f"{cloud.url} .*'login'.*expiresIn"):
            await easee.state(CHARGER)
        assert CONFIG not in cloud.requests


async def test_without_room_for_it_the_session_lives_in_its_process_alone(tmp_path: Path) -> None:
    async with a_house(token_lifetime_s=2) as house:
        async with a_client(house.api_url, tmp_path) as easee:
            await easee.state(CHARGER)
            (stored_at,) = [file for file in files_in(tmp_path) if not file.suffix]
            stored_at.with_suffix(f".{os.getpid()}").mkdir()  # in the way of what is saved
            await asyncio.sleep(1.6)
            assert (await easee.state(CHARGER)).online
        assert house.cloud.tokens.logins + house.cloud.tokens.refreshes == 2
        async with a_client(house.api_url, tmp_path) as another:
            for _ in range(2):
                with pytest.raises(ChargerError, match="disk full"):
                    await another.state(CHARGER)
        assert house.cloud.tokens.logins + house.cloud.tokens.refreshes == 2


async def test_a_wait_ends_when_the_clock_is_set_back(tmp_path: Path) -> None:
    async with a_house() as house, a_client(house.api_url, tmp_path) as easee:
        await easee.state(CHARGER)
        house.faults.api_status = 429
        with pytest.raises(RateLimited):
            await easee.state(CHARGER)
        house.faults.api_status = None
        with pytest.raises(RateLimited):
            await easee.state(CHARGER)
        with time_machine.travel(datetime.now(UTC) - timedelta(hours=1)):
            assert (await easee.state(CHARGER)).online
