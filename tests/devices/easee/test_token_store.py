"""Rare logins, refreshed tokens, and the session on disk."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from pydantic import SecretStr

from easee_load_balancer.devices.easee.client import EaseeClient
from easee_load_balancer.devices.easee.token_store import Refusal, SavedSession, Tokens, TokenStore
from easee_load_balancer.errors import BadCredentials, Blocked, ChargerError, RateLimited
from easee_load_balancer.measurements import Setpoint
from easee_load_balancer.simulation.server import SimulatedHouse
from tests.support.easee_cloud import (
    CHARGER,
    LOGIN,
    OBSERVATIONS,
    PASSWORD,
    REFRESH,
    ScriptedCloud,
    a_client,
    a_house,
    account,
    expire_tokens,
    http,
    http_json,
    store,
    stored,
    total_calls,
)

URL = "https://api.easee.com"


def files_in(folder: Path) -> list[Path]:
    """The folder's files."""
    return sorted(folder.iterdir())


async def read_once(url: str, folder: Path) -> None:
    """Read the charger's state as a new process would."""
    async with a_client(url, folder) as easee:
        await easee.state(CHARGER)


async def test_one_login_serves_concurrent_and_later_processes(
    house: SimulatedHouse, tmp_path: Path
) -> None:
    house.faults.api_delay_s = 0.1
    async with (
        a_client(house.api_url, tmp_path) as one,
        a_client(house.api_url, tmp_path) as another,
    ):
        await asyncio.gather(*(easee.state(CHARGER) for easee in (one, one, another)))
    async with a_client(house.api_url, tmp_path) as later:
        await later.set_circuit_current(CHARGER, Setpoint(6), timedelta(minutes=1))
    assert house.cloud.calls[OBSERVATIONS] == 3
    assert (house.cloud.calls[LOGIN], house.cloud.calls[REFRESH]) == (1, 0)


async def test_expiring_tokens_are_refreshed_once_for_all_processes(
    house: SimulatedHouse, tmp_path: Path
) -> None:
    await read_once(house.api_url, tmp_path)
    before = stored(house.api_url, tmp_path).tokens
    expire_tokens(house.api_url, tmp_path)
    async with (
        a_client(house.api_url, tmp_path) as one,
        a_client(house.api_url, tmp_path) as another,
    ):
        await asyncio.gather(one.state(CHARGER), one.state(CHARGER), another.state(CHARGER))
    after = stored(house.api_url, tmp_path).tokens
    assert (house.cloud.calls[LOGIN], house.cloud.calls[REFRESH]) == (1, 1)
    assert house.cloud.tokens.refreshes == 1
    assert before is not None
    assert after is not None
    assert after.refresh != before.refresh


def soon_expired() -> time_machine.travel:
    """A clock a minute ahead, which leaves new tokens of 80 s less than a quarter of that."""
    return time_machine.travel(datetime.now(UTC) + timedelta(seconds=61))


async def test_short_lived_tokens_are_refreshed_before_they_expire(tmp_path: Path) -> None:
    async with a_house(token_lifetime_s=80) as house, a_client(house.api_url, tmp_path) as easee:
        await easee.state(CHARGER)
        with soon_expired():
            await easee.state(CHARGER)
        assert (house.cloud.tokens.logins, house.cloud.tokens.refreshes) == (1, 1)
        assert house.cloud.calls[OBSERVATIONS] == 2


async def test_refused_refresh_token_leads_to_a_login(
    house: SimulatedHouse, tmp_path: Path
) -> None:
    await read_once(house.api_url, tmp_path)
    expire_tokens(house.api_url, tmp_path, refresh=SecretStr("used before"))
    await read_once(house.api_url, tmp_path)
    assert (house.cloud.calls[REFRESH], house.cloud.tokens.refreshes) == (1, 0)
    assert house.cloud.tokens.logins == 2


async def test_failed_refresh_leads_to_a_login(cloud: ScriptedCloud, tmp_path: Path) -> None:
    await read_once(cloud.url, tmp_path)
    expire_tokens(cloud.url, tmp_path)
    cloud.answers["/api/accounts/refresh_token"] = http(503)
    await read_once(cloud.url, tmp_path)
    assert cloud.requests.count(LOGIN) == 2


@pytest.mark.parametrize(("status", "error"), [(403, Blocked), (429, RateLimited)])
async def test_throttled_refresh_does_not_lead_to_a_login(
    status: int, error: type[ChargerError], house: SimulatedHouse, tmp_path: Path
) -> None:
    await read_once(house.api_url, tmp_path)
    expire_tokens(house.api_url, tmp_path)
    house.faults.api_status = status  # type: ignore[assignment]
    for _ in range(2):
        with pytest.raises(error):
            await read_once(house.api_url, tmp_path)
    assert (house.cloud.calls[REFRESH], house.cloud.calls[LOGIN]) == (1, 1)


async def test_withdrawn_token_is_replaced_and_the_call_repeated(
    house: SimulatedHouse, tmp_path: Path
) -> None:
    await read_once(house.api_url, tmp_path)
    session = stored(house.api_url, tmp_path)
    assert session.tokens is not None
    withdrawn = session.tokens.model_copy(update={"access": SecretStr("withdrawn")})
    store(house.api_url, tmp_path, SavedSession(tokens=withdrawn))
    async with a_client(house.api_url, tmp_path) as easee:
        states = await asyncio.gather(easee.state(CHARGER), easee.state(CHARGER))
    assert all(state.online for state in states)
    assert house.cloud.calls[REFRESH] == 1
    assert house.cloud.tokens.logins == 2


async def test_endpoint_that_refuses_new_tokens_is_left_alone_for_a_minute(
    house: SimulatedHouse, easee: EaseeClient
) -> None:
    house.faults.api_status = 401
    with pytest.raises(ChargerError, match=f"{house.api_url} answers 401 to 'observations'"):
        await easee.state(CHARGER)
    assert house.cloud.calls[OBSERVATIONS] == 2
    calls = total_calls(house)
    said = "did not accept the login at 'observations'.*next request"
    with pytest.raises(RateLimited, match=said) as waiting:
        await easee.state(CHARGER)
    assert total_calls(house) == calls
    assert waiting.value.until - datetime.now(UTC) <= timedelta(minutes=1)
    house.faults.api_status = None
    await easee.chargers()


@pytest.mark.parametrize(
    ("status", "seconds_ago", "goes_out"),
    [(401, 61, True), (403, 61, True), (403, 30, False), (429, 61, False)],
)
async def test_urgent_command_is_tried_again_a_minute_after_the_login_was_refused(
    status: int, seconds_ago: float, goes_out: bool, house: SimulatedHouse, tmp_path: Path
) -> None:
    """What lowers the current waits no hour; what the cloud asks for (429) counts for it too."""
    noted_at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    until = noted_at + timedelta(hours=1)
    refusal = Refusal(status=status, until=until, noted_at=noted_at, wait_s=3600)
    async with a_client(house.api_url, tmp_path) as easee:
        await easee.state(CHARGER)
        session = stored(house.api_url, tmp_path)
        session.refusals["dynamicCurrent"] = refusal
        store(house.api_url, tmp_path, session)
    writes = house.cloud.writes
    async with a_client(house.api_url, tmp_path) as easee:
        for urgent in (False, True):
            with nullcontext() if urgent and goes_out else pytest.raises(ChargerError):
                await easee.set_circuit_current(
                    CHARGER, Setpoint(6), timedelta(minutes=30), urgent=urgent
                )
    assert house.cloud.writes - writes == goes_out


@pytest.mark.parametrize("status", [400, 401])
async def test_wrong_password_is_tried_once(
    status: int, cloud: ScriptedCloud, tmp_path: Path
) -> None:
    cloud.answers["/api/accounts/login"] = http(status)
    for _ in range(2):
        async with a_client(cloud.url, tmp_path) as easee:
            calls = (easee.state(CHARGER), easee.chargers(), easee.state(CHARGER))
            for error in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(error, BadCredentials)
                assert "owner@example.com. Correct them in the block" in str(error)
    assert cloud.requests == [LOGIN]


async def test_corrected_password_is_tried(house: SimulatedHouse, tmp_path: Path) -> None:
    for password in ("wrong", "wrong", "wrong too"):
        async with a_client(house.api_url, tmp_path, password) as easee:
            with pytest.raises(BadCredentials, match=house.api_url):
                await easee.state(CHARGER)
    await read_once(house.api_url, tmp_path)
    assert house.cloud.calls[LOGIN] == 3


async def test_secrets_appear_in_no_repr_log_error_or_file(
    house: SimulatedHouse, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await read_once(house.api_url, tmp_path)
    session = stored(house.api_url, tmp_path)
    assert session.tokens is not None
    secrets = [session.tokens.access, session.tokens.refresh, SecretStr(PASSWORD)]
    shown = [session.model_dump_json()]
    for fault, value in (
        *(("api_body", "truncated"), ("api_delay_s", 1.0), ("api_delay_s", 0.0)),
        *(("api_status", 500), ("api_status", 401), ("api_status", 429), ("api_status", 403)),
    ):
        setattr(house.faults, fault, value)
        async with a_client(house.api_url, tmp_path, budget_s=0.5) as easee:
            with pytest.raises(ChargerError) as failure:
                await easee.chargers()
        shown += traceback.format_exception(failure.value)
    for thing in (easee, session, session.tokens, account(house.api_url)):
        shown += [repr(thing), str(thing)]
    on_disk = b"".join(path.read_bytes() for path in files_in(tmp_path))
    for secret in secrets:
        assert secret.get_secret_value() not in "\n".join((*shown, caplog.text))
        assert secret.get_secret_value().encode() not in on_disk


async def test_only_the_owner_can_read_the_session(cloud: ScriptedCloud, tmp_path: Path) -> None:
    folder = tmp_path / "some" / "folder"
    await read_once(cloud.url, folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in files_in(folder)] == [0o600] * 2


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
async def test_damaged_session_leads_to_one_new_login(
    damage: Callable[[bytes], bytes], cloud: ScriptedCloud, tmp_path: Path
) -> None:
    await read_once(cloud.url, tmp_path)
    (file,) = (path for path in files_in(tmp_path) if path.suffix != ".lock")
    file.write_bytes(damage(file.read_bytes()))
    for _ in range(2):
        await read_once(cloud.url, tmp_path)
    assert cloud.requests.count(LOGIN) == 2


async def test_unusable_folder_is_named(cloud: ScriptedCloud, tmp_path: Path) -> None:
    folder = tmp_path / "file" / "folder"
    folder.parent.write_text("not a folder")
    with pytest.raises(ChargerError, match=f"session in {folder} .*disk space"):
        await read_once(cloud.url, folder)
    assert cloud.requests == []


def test_sessions_are_separate_by_account_and_password(tmp_path: Path) -> None:
    TokenStore(tmp_path, account(URL)).save(SavedSession(rejected_at=datetime.now(UTC)))
    assert TokenStore(tmp_path, account(URL)).load().rejected_at
    assert TokenStore(tmp_path, account(URL, "another")).load() == SavedSession()
    assert TokenStore(tmp_path, account("https://other.example.com")).load() == SavedSession()


@pytest.mark.parametrize(
    ("lifetime_s", "usable_s"), [(3600, 3510), (86400, 86310), (360, 270), (8, 6), (0.4, 0.3)]
)
def test_tokens_are_valid_until_shortly_before_they_expire(
    lifetime_s: float, usable_s: float
) -> None:
    issued_at = datetime(2026, 8, 14, tzinfo=UTC)
    tokens = Tokens(
        access=SecretStr("a"),
        refresh=SecretStr("r"),
        issued_at=issued_at,
        expires_at=issued_at + timedelta(seconds=lifetime_s),
    )
    renewed_at, moment = issued_at + timedelta(seconds=usable_s), timedelta(milliseconds=1)
    assert tokens.valid_at(issued_at)
    assert tokens.valid_at(renewed_at - moment)
    assert not tokens.valid_at(renewed_at + moment)


@pytest.mark.parametrize("lifetime", [0, -1, None, "soon"])
async def test_tokens_with_an_impossible_lifetime_are_refused(
    lifetime: object, cloud: ScriptedCloud, client: EaseeClient
) -> None:
    token = {"accessToken": "acc", "refreshToken": "ref", "expiresIn": lifetime}
    cloud.answers["/api/accounts/login"] = http_json(200, token)
    with pytest.raises(ChargerError, match=f"{cloud.url} .*'login'.*expiresIn"):
        await client.state(CHARGER)
    assert cloud.requests == [LOGIN]


async def test_session_that_cannot_be_saved_lives_on_in_its_process_only(tmp_path: Path) -> None:
    async with a_house(token_lifetime_s=80) as house:
        async with a_client(house.api_url, tmp_path) as easee:
            await easee.state(CHARGER)
            (file,) = (path for path in files_in(tmp_path) if not path.suffix)
            file.with_suffix(f".{os.getpid()}").mkdir()  # obstructs the temporary file
            with soon_expired():
                assert (await easee.state(CHARGER)).online
        assert house.cloud.tokens.logins + house.cloud.tokens.refreshes == 2
        for logins in (3, 4):
            with soon_expired():
                await read_once(house.api_url, tmp_path)
            assert house.cloud.tokens.logins + house.cloud.tokens.refreshes == logins


async def test_failed_login_leaves_no_file_behind(cloud: ScriptedCloud, tmp_path: Path) -> None:
    cloud.answers["/api/accounts/login"] = http(503)
    with pytest.raises(ChargerError):
        await read_once(cloud.url, tmp_path)
    assert [path.suffix for path in files_in(tmp_path)] == [".lock"]


def test_session_without_content_or_space_leaves_no_file_behind(tmp_path: Path) -> None:
    store = TokenStore(tmp_path, account(URL))
    store.save(SavedSession(rejected_at=datetime.now(UTC)))
    store.save(SavedSession())
    assert files_in(tmp_path) == []
    (tmp_path / store._path.name).mkdir()  # obstructs the last step of saving
    with pytest.raises(OSError, match="directory"):
        store.save(SavedSession(rejected_at=datetime.now(UTC)))
    assert [path.is_dir() for path in files_in(tmp_path)] == [True]
