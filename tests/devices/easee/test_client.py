"""The Easee client: readings, setpoints and failures, on a simulated or scripted cloud."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from easee_load_balancer.devices.easee import client as client_module
from easee_load_balancer.devices.easee.client import EaseeClient
from easee_load_balancer.devices.easee.models import ChargerAddress
from easee_load_balancer.errors import (
    Blocked,
    ChargerDisconnected,
    ChargerError,
    ChargerUnknown,
    ChargerUnreachable,
    InvalidAnswer,
)
from easee_load_balancer.measurements import ChargerMode, Setpoint
from easee_load_balancer.simulation.easee import api
from easee_load_balancer.simulation.easee.observations import KNOWN_IDS
from easee_load_balancer.simulation.server import SimulatedHouse
from easee_load_balancer.system.processes import free_port
from tests.support.easee_cloud import (
    CHARGER,
    OBSERVATIONS,
    ScriptedCloud,
    a_client,
    a_house,
    a_scripted_cloud,
    http,
    http_json,
)
from tests.support.waiting import LONGEST_S

ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


async def test_state_agrees_with_the_plant(house: SimulatedHouse, easee: EaseeClient) -> None:
    house.advance(180)
    state = await easee.state(CHARGER)
    plant, charger = house.plant, house.plant.charger
    assert state.online
    assert state.mode is ChargerMode.CHARGING
    assert state.car_w == pytest.approx(plant.car_w, rel=0.05)
    assert state.output_current_a == charger.output_current_a == 16
    assert state.output_phases == charger.output_phases == 3
    assert state.car_current_a == pytest.approx(charger.car_phase_current_a(), abs=0.5)
    assert state.voltage_v == pytest.approx(plant.voltage_v, abs=2)
    assert state.circuit_current_a == charger.dynamic_circuit_current_a == (40, 40, 40)
    assert state.circuit_max_current_a == state.offline_current_a == (16, 16, 16)
    assert (state.charger_current_a, state.charger_max_current_a) == (32, 32)
    assert (state.phase_mode, state.grid_type) == (2, 1)
    assert state.session_kwh == pytest.approx(plant.car.energy_kwh, abs=1)
    assert state.lifetime_kwh is not None
    age = datetime.now(UTC) - state.observed_at["car_w"]
    assert timedelta(0) <= age < timedelta(minutes=1)


@pytest.mark.parametrize(("silent_min", "online"), [(19, True), (21, False)])
async def test_charger_is_offline_after_20_silent_minutes(
    silent_min: int, online: bool, cloud: ScriptedCloud, client: EaseeClient
) -> None:
    observed_at = datetime.now(UTC) - timedelta(minutes=silent_min)
    seen = {"id": 120, "timestamp": f"{observed_at:%Y-%m-%dT%H:%M:%SZ}", "value": 6.9}
    cloud.answer = http_json(200, {"observations": [seen]})
    state = await client.state(CHARGER)
    assert (state.online, state.car_w) == (online, 6900)


async def test_ids_are_found_from_the_account(easee: EaseeClient) -> None:
    (charger,) = await easee.chargers()
    site = await easee.site_of(charger.id)
    circuit = site.circuit_of(charger.id)
    assert circuit is not None
    assert (charger.id, site.id, circuit.id) == ("EH123456", 54321, 12345)
    assert (site.rated_current, circuit.rated_current) == (25, 16)


@pytest.mark.parametrize(
    ("setpoint", "amperes"),
    [(Setpoint(0), (0, 0, 0)), (Setpoint(13), (13, 13, 13)), (Setpoint(9, phases=1), (9, 0, 0))],
)
async def test_setpoint_reaches_the_circuit(
    setpoint: Setpoint,
    amperes: tuple[int, int, int],
    house: SimulatedHouse,
    easee: EaseeClient,
) -> None:
    await easee.set_circuit_current(CHARGER, setpoint, timedelta(minutes=15))
    house.advance(5)
    assert house.plant.charger.dynamic_circuit_current_a == amperes
    assert (await easee.state(CHARGER)).circuit_current_a == amperes


@pytest.mark.parametrize(("ttl_s", "ends_s"), [(900, 900), (100, 120), (1, 60)])
async def test_time_to_live_ends_in_whole_minutes_and_never_means_no_end(
    ttl_s: int, ends_s: int, house: SimulatedHouse, easee: EaseeClient
) -> None:
    await easee.set_circuit_current(CHARGER, Setpoint(10), timedelta(seconds=ttl_s))
    house.advance(ends_s - 1)
    assert house.plant.charger.dynamic_circuit_current_a == (10, 10, 10)
    house.advance(1)
    assert house.plant.charger.dynamic_circuit_current_a == (16, 16, 16)


@pytest.mark.parametrize("wrong", [{"charger_id": "EH000000"}, {"site_id": 1}, {"circuit_id": 1}])
async def test_unknown_charger_names_the_block_to_check(
    wrong: dict[str, Any], house: SimulatedHouse, easee: EaseeClient
) -> None:
    address = ChargerAddress.model_validate(CHARGER.model_dump() | wrong)
    call: Callable[[], Awaitable[object]] = (
        partial(easee.state, address)
        if "charger_id" in wrong
        else partial(easee.set_circuit_current, address, Setpoint(6), timedelta(minutes=1))
    )
    with pytest.raises(ChargerUnknown, match=f"{house.api_url} .*block 'Easee charger'"):
        await call()
    assert (await easee.state(CHARGER)).mode is not None


FAULTS: list[tuple[dict[str, Any], type[ChargerError], str]] = [
    *(
        ({"api_status": status}, ChargerUnreachable, f"{status} to 'observations'.*passes")
        for status in (500, 503, 504)
    ),
    ({"api_body": "truncated"}, InvalidAnswer, "unexpected answer to 'observations'.*next cycle"),
    ({"api_delay_s": 5}, ChargerUnreachable, "did not answer in time"),
]


@pytest.mark.parametrize(("fault", "error", "message"), FAULTS)
@pytest.mark.parametrize("logged_in", [True, False])
async def test_fault_is_named_and_the_next_call_works(
    fault: dict[str, Any],
    error: type[ChargerError],
    message: str,
    logged_in: bool,
    house: SimulatedHouse,
    tmp_path: Path,
) -> None:
    async with a_client(
        house.api_url, tmp_path, budget_s=1.5 if "api_delay_s" in fault else 60.0
    ) as easee:
        if logged_in:
            await easee.state(CHARGER)
        else:
            message = message.replace("observations", "(observations|login)")
        good = house.faults.model_copy()
        house.faults.replace_with(good.model_copy(update=fault))
        with pytest.raises(error, match=f"{house.api_url} .*{message}") as raised:
            await easee.state(CHARGER)
        assert type(raised.value) is error
        house.faults.replace_with(good)
        assert (await easee.state(CHARGER)).online
        assert house.cloud.tokens.logins <= 2


async def test_client_survives_a_cloud_that_goes_and_returns(tmp_path: Path) -> None:
    port = free_port()
    async with a_client(f"http://127.0.0.1:{port}", tmp_path) as easee:
        for _ in range(2):
            with pytest.raises(ChargerUnreachable, match=f"127.0.0.1:{port}.*internet connection"):
                await easee.state(CHARGER)
            async with a_house(api_port=port) as house:
                assert (await easee.state(CHARGER)).online
                assert (await easee.state(CHARGER)).online
                assert house.cloud.tokens.logins == 1


ODD_ANSWERS: list[tuple[str, Iterable[bytes], type[ChargerError]]] = [
    ("html", http(200, b"<html><body>Welcome to the hotel</body></html>"), InvalidAnswer),
    ("html error", http(502, b"<html>Bad Gateway</html>"), ChargerUnreachable),
    ("nothing", http(200), InvalidAnswer),
    ("null", http_json(200, None), InvalidAnswer),
    ("list", http_json(200, []), InvalidAnswer),
    ("null list", http_json(200, {"observations": None}), InvalidAnswer),
    ("no time", http_json(200, {"observations": [{"id": 1, "value": 1}]}), InvalidAnswer),
    ("not text", http(200, b"\xff\xfe{}"), InvalidAnswer),
    ("nested", http(200, b"[" * 100_000), InvalidAnswer),
    ("teapot", http(418, b'{"title": 5}'), ChargerError),
    ("broken gzip", http(200, b"no gzip", "Content-Encoding: gzip"), InvalidAnswer),
    ("cut off", (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",), ChargerUnreachable),
    ("hung up", (), ChargerUnreachable),
    ("no http", (b"SSH-2.0-OpenSSH_9.2\r\n",), ChargerUnreachable),
]


@pytest.mark.parametrize(
    ("answer", "error"), [pytest.param(*odd[1:], id=odd[0]) for odd in ODD_ANSWERS]
)
async def test_odd_answer_is_a_short_error_and_the_next_call_works(
    answer: Iterable[bytes], error: type[ChargerError], cloud: ScriptedCloud, client: EaseeClient
) -> None:
    good, cloud.answer = cloud.answer, answer
    with pytest.raises(error, match=cloud.url) as raised:
        await client.state(CHARGER)
    assert type(raised.value) is error
    assert len(str(raised.value)) < 400
    cloud.answer = good
    assert not (await client.state(CHARGER)).online


async def test_unknown_and_null_fields_are_ignored(
    cloud: ScriptedCloud, client: EaseeClient
) -> None:
    seen = {"id": 120, "timestamp": "2026-08-14T10:00:00Z", "value": None, "new": {"a": [1]}}
    cloud.answer = http_json(200, {"observations": [seen, {**seen, "id": 7777}], "more": 1})
    state = await client.state(CHARGER)
    assert state.car_w is None
    assert set(state.observed_at) == {"car_w"}
    cloud.answer = http_json(200, {"id": 1, "name": None, "circuits": None, "new": []})
    assert (await client.site_of("EH123456")).circuits == ()


async def test_endless_answer_is_cut_short(cloud: ScriptedCloud, client: EaseeClient) -> None:
    good = cloud.answer
    cloud.answer = itertools.chain([ENDLESS], itertools.repeat(b" " * 65_536))
    with pytest.raises(InvalidAnswer, match=f"{cloud.url} .*more than 1 MB"):
        await client.state(CHARGER)
    assert cloud.sent < 20_000_000
    cloud.answer = good
    await client.state(CHARGER)


async def test_dripping_answer_ends_with_the_time_budget(
    cloud: ScriptedCloud, tmp_path: Path
) -> None:
    async with a_client(cloud.url, tmp_path, budget_s=0.4) as easee:
        cloud.answer = itertools.chain([ENDLESS], itertools.repeat(b" "))
        cloud.pause_s = 0.05
        with pytest.raises(ChargerUnreachable, match="in time"):
            async with asyncio.timeout(LONGEST_S):
                await easee.state(CHARGER)


@pytest.mark.parametrize("status", [301, 308])
@pytest.mark.parametrize("path", ["/api/accounts/login", "/state/EH123456/observations"])
async def test_redirect_is_a_block_and_not_followed(
    status: int, path: str, cloud: ScriptedCloud, client: EaseeClient
) -> None:
    async with a_scripted_cloud() as black_hole:
        cloud.answers[path] = http(status, b"", f"Location: {black_hole.url}/x")
        said = rf"{cloud.url} .*redirect \({status}\).*next request"
        with pytest.raises(Blocked, match=said) as blocked:
            await client.state(CHARGER)
        sent = len(cloud.requests)
        with pytest.raises(Blocked):
            await client.chargers()
    assert timedelta(minutes=9) < blocked.value.until - datetime.now(UTC) <= timedelta(minutes=10)
    assert black_hole.requests == []
    assert len(cloud.requests) == sent


@pytest.mark.parametrize("ahead_s", [-7200, 7200])
async def test_wrong_local_clock_does_not_make_the_charger_stale(
    ahead_s: int, house: SimulatedHouse, easee: EaseeClient
) -> None:
    house.faults.api_clock_ahead_s = -ahead_s
    house.plant.car.unplug()
    house.advance(1)
    state = await easee.state(CHARGER)
    assert state.online
    assert abs(datetime.now(UTC) - state.observed_at["mode"]) < timedelta(minutes=1)


async def test_command_to_a_charger_without_connection_has_its_own_sentence(
    house: SimulatedHouse, easee: EaseeClient
) -> None:
    house.faults.api_command_status = 400
    with pytest.raises(ChargerDisconnected, match="no connection to the charger") as refused:
        await easee.set_circuit_current(CHARGER, Setpoint(8), timedelta(minutes=30))
    assert "production" not in str(refused.value)


async def test_placeholder_of_the_cloud_is_left_out(
    cloud: ScriptedCloud, client: EaseeClient
) -> None:
    said = {"errorCode": 7, "title": "Odd", "detail": "[Empty in production]"}
    cloud.answer = http_json(400, said)
    with pytest.raises(ChargerError, match=r"\(Odd\)"):
        await client.state(CHARGER)


async def test_observations_that_the_cloud_does_not_know_cost_only_themselves(
    house: SimulatedHouse,
    easee: EaseeClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(api, "KNOWN_IDS", KNOWN_IDS - {132, 150})
    state = await easee.state(CHARGER)
    assert (state.online, state.grid_type) == (True, 1)
    assert "wifi_signal_dbm" not in state.observed_at
    await easee.state(CHARGER)
    assert house.cloud.calls[OBSERVATIONS] == 3
    assert caplog.text.count("does not know the observations 132, 150") == 1
    monkeypatch.undo()
    monkeypatch.setattr(client_module, "_ASK_AGAIN_AFTER", timedelta())
    assert "wifi_signal_dbm" in (await easee.state(CHARGER)).observed_at


@pytest.mark.parametrize("ahead_s", [1200, 86_400 * 365])
async def test_charger_whose_clock_is_far_ahead_is_unknown(
    ahead_s: int, house: SimulatedHouse, easee: EaseeClient
) -> None:
    house.faults.charger_clock_ahead_s = ahead_s
    state = await easee.state(CHARGER)
    assert (state.online, state.mode, state.car_w) == (False, None, None)


@pytest.mark.parametrize("date", ["Mon, 14 Aug 9999 10:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"])
@pytest.mark.parametrize("at", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"])
async def test_impossible_times_are_no_values_from_now(
    date: str, at: str, cloud: ScriptedCloud, client: EaseeClient
) -> None:
    body = json.dumps({"observations": [{"id": 109, "timestamp": at, "value": 3}]}).encode()
    cloud.answer = http(200, body, f"Date: {date}")
    assert not (await client.state(CHARGER)).online


async def test_page_of_a_proxy_does_not_count_as_an_accepted_command(
    house: SimulatedHouse, easee: EaseeClient
) -> None:
    await easee.state(CHARGER)
    house.faults.api_body = "html"
    with pytest.raises(InvalidAnswer, match="dynamicCurrent"):
        await easee.set_circuit_current(CHARGER, Setpoint(8), timedelta(minutes=30))
    assert house.cloud.writes == 0


@pytest.mark.parametrize(
    ("layers", "encoding", "said"),
    [
        (1, "gzip", "more than 1 MB"),
        (2, "gzip, gzip", "unknown encoding"),
        (1, "br", "unknown encoding"),
    ],
)
async def test_packed_bomb_is_refused_before_it_is_unpacked(
    layers: int, encoding: str, said: str, cloud: ScriptedCloud, client: EaseeClient
) -> None:
    bomb = b"".join(_packed(100))
    cloud.answer = http(
        200, gzip.compress(bomb) if layers == 2 else bomb, f"Content-Encoding: {encoding}"
    )
    tracemalloc.start()
    with pytest.raises(InvalidAnswer, match=said):
        await client.state(CHARGER)
    peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    assert peak_mb < 30


async def test_answers_are_wanted_unpacked_and_a_packed_one_is_read(
    cloud: ScriptedCloud, client: EaseeClient
) -> None:
    cloud.answer = http(200, gzip.compress(b'{"observations": []}'), "Content-Encoding: GZip")
    assert not (await client.state(CHARGER)).online
    assert all("accept-encoding: identity" in head.lower() for head in cloud.heads)


def _packed(megabytes: int) -> Iterable[bytes]:
    packer = zlib.compressobj(wbits=31)
    for _ in range(megabytes):
        yield packer.compress(b" " * 1_000_000)
    yield packer.flush()
