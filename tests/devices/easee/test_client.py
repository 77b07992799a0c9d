"""The Easee client against a simulated cloud: what it reads, what it sets, and what goes wrong."""

from __future__ import annotations

import itertools
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from easee_load_balancer.devices.easee.models import ChargerAddress
from easee_load_balancer.errors import (
    Blocked,
    ChargerError,
    ChargerUnknown,
    ChargerUnreachable,
    InvalidAnswer,
)
from easee_load_balancer.measurements import ChargerMode, Setpoint
from easee_load_balancer.system.processes import free_port
from tests.support.easee_cloud import CHARGER, a_client, a_house, a_scripted_cloud, http, http_json

ENDLESS = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


async def test_state_agrees_with_the_charger(tmp_path: Path) -> None:
    async with a_house() as house, a_client(house.api_url, tmp_path) as easee:
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
    assert timedelta(0) <= age < timedelta(seconds=5)


async def test_a_silent_charger_is_offline_after_a_while(tmp_path: Path) -> None:
    async with a_scripted_cloud() as cloud, a_client(cloud.url, tmp_path) as easee:
        for age, online in ((timedelta(minutes=19), True), (timedelta(minutes=21), False)):
            seen = {"id": 120, "timestamp": f"{datetime.now(UTC) - age:%Y-%m-%dT%H:%M:%SZ}"}
            cloud.answer = http_json(200, {"observations": [{**seen, "dataType": 3, "value": 6.9}]})
            state = await easee.state(CHARGER)
            assert (state.online, state.car_w) == (online, 6900)


async def test_ids_are_found_from_the_account(tmp_path: Path) -> None:
    async with a_house() as house, a_client(house.api_url, tmp_path) as easee:
        (charger,) = await easee.chargers()
        site = await easee.site_of(charger.id)
        config = await easee.config(charger.id)
    circuit = site.circuit_of(charger.id)
    assert circuit is not None
    assert (charger.id, site.id, circuit.id) == ("EH123456", 54321, 12345)
    assert (site.rated_current, circuit.rated_current) == (25, 16)
    assert (config.max_charger_current, config.circuit_max_current_p2) == (32, 16)
    assert (config.phase_mode, config.detected_power_grid_type, config.is_enabled) == (2, 1, True)


@pytest.mark.parametrize(
    ("setpoint", "amperes"),
    [(Setpoint(0), (0, 0, 0)), (Setpoint(13), (13, 13, 13)), (Setpoint(9, phases=1), (9, 0, 0))],
)
async def test_setpoint_arrives(
    setpoint: Setpoint, amperes: tuple[int, int, int], tmp_path: Path
) -> None:
    async with a_house() as house, a_client(house.api_url, tmp_path) as easee:
        await easee.set_circuit_current(CHARGER, setpoint, timedelta(minutes=15))
        house.advance(5)
        assert house.plant.charger.dynamic_circuit_current_a == amperes
        assert (await easee.state(CHARGER)).circuit_current_a == amperes
    assert house.cloud.flash_writes == 0


@pytest.mark.parametrize(
    ("time_to_live", "seconds"),
    [
        (timedelta(minutes=15), 900),
        (timedelta(seconds=100), 120),
        pytest.param(timedelta(seconds=1), 60, id="never for ever"),
    ],
)
async def test_setpoint_ends_when_nobody_renews_it(
    time_to_live: timedelta, seconds: int, tmp_path: Path
) -> None:
    async with a_house() as house, a_client(house.api_url, tmp_path) as easee:
        await easee.set_circuit_current(CHARGER, Setpoint(10), time_to_live)
        house.advance(seconds - 1)
        assert house.plant.charger.dynamic_circuit_current_a == (10, 10, 10)
        house.advance(1)
        assert house.plant.charger.dynamic_circuit_current_a == (16, 16, 16)


@pytest.mark.parametrize("wrong", [{"charger_id": "EH000000"}, {"site_id": 1}, {"circuit_id": 1}])
async def test_unknown_charger_names_the_block(wrong: dict[str, Any], tmp_path: Path) -> None:
    address = ChargerAddress.model_validate(CHARGER.model_dump() | wrong)
    async with a_house() as house, a_client(house.api_url, tmp_path) as easee:
        call: Callable[[], Awaitable[object]] = (
            partial(easee.state, address)
            if "charger_id" in wrong
            else partial(easee.set_circuit_current, address, Setpoint(6), timedelta(minutes=1))
        )
        with pytest.raises(ChargerUnknown, match=f"{house.api_url} .*block 'Easee charger'"):
            await call()
        assert (await easee.state(CHARGER)).mode is not None


FAULTS: list[tuple[dict[str, Any], type[ChargerError], str]] = [
    ({"api_status": 500}, ChargerUnreachable, "answers 500 to 'observations'.*passes"),
    ({"api_status": 503}, ChargerUnreachable, "answers 503 to 'observations'.*passes"),
    ({"api_status": 504}, ChargerUnreachable, "answers 504 to 'observations'.*passes"),
    ({"api_body": "truncated"}, InvalidAnswer, "unexpected to 'observations'.*next cycle"),
    ({"api_delay_s": 5}, ChargerUnreachable, "did not answer in time"),
]


@pytest.mark.parametrize(("fault", "error", "said"), FAULTS)
@pytest.mark.parametrize("when", ["before login", "while logged in"])
async def test_fault_is_named_and_the_next_call_works(
    fault: dict[str, Any], error: type[ChargerError], said: str, when: str, tmp_path: Path
) -> None:
    budget_s = 0.6 if "api_delay_s" in fault else 5.0
    async with a_house() as house, a_client(house.api_url, tmp_path, budget_s=budget_s) as easee:
        if when == "while logged in":
            await easee.state(CHARGER)
        else:
            said = said.replace("observations", "(observations|login)")
        for name, value in fault.items():
            setattr(house.faults, name, value)
        began = time.monotonic()
        with pytest.raises(error, match=f"{house.api_url} .*{said}") as raised:
            await easee.state(CHARGER)
        assert type(raised.value) is error
        assert time.monotonic() - began < 2
        for name in fault:
            setattr(house.faults, name, type(house.faults)().model_dump()[name])
        assert (await easee.state(CHARGER)).online
        assert house.cloud.tokens.logins <= 2


async def test_cloud_goes_and_comes_back(tmp_path: Path) -> None:
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
async def test_odd_answers(
    answer: Iterable[bytes], error: type[ChargerError], tmp_path: Path
) -> None:
    async with a_scripted_cloud() as cloud, a_client(cloud.url, tmp_path) as easee:
        good, cloud.answer = cloud.answer, answer
        with pytest.raises(error, match=cloud.url) as raised:
            await easee.state(CHARGER)
        assert type(raised.value) is error
        assert len(str(raised.value)) < 400
        cloud.answer = good
        assert not (await easee.state(CHARGER)).online


async def test_unknown_and_null_fields_do_no_harm(tmp_path: Path) -> None:
    async with a_scripted_cloud() as cloud, a_client(cloud.url, tmp_path) as easee:
        seen = {"id": 120, "timestamp": "2026-08-14T10:00:00Z", "value": None, "new": {"a": [1]}}
        cloud.answer = http_json(200, {"observations": [seen, {**seen, "id": 7777}], "more": 1})
        state = await easee.state(CHARGER)
        assert state.car_w is None
        assert set(state.observed_at) == {"car_w"}
        cloud.answer = http_json(200, {"id": 1, "name": None, "circuits": None, "new": []})
        assert (await easee.site_of("EH123456")).circuits == ()
        cloud.answer = http_json(200, {"isEnabled": None, "phaseMode": None})
        assert (await easee.config("EH123456")).phase_mode is None


async def test_an_endless_answer_is_cut_short(tmp_path: Path) -> None:
    async with a_scripted_cloud() as cloud, a_client(cloud.url, tmp_path) as easee:
        good = cloud.answer
        cloud.answer = itertools.chain([ENDLESS.encode()], itertools.repeat(b" " * 65_536))
        with pytest.raises(InvalidAnswer, match=f"{cloud.url} .*endless"):
            await easee.state(CHARGER)
        assert cloud.sent < 20_000_000
        cloud.answer = good
        await easee.state(CHARGER)


async def test_an_answer_that_drips_ends_with_the_time_budget(tmp_path: Path) -> None:
    async with (
        a_scripted_cloud() as cloud,
        a_client(cloud.url, tmp_path, budget_s=0.4) as easee,
    ):
        cloud.answer = itertools.chain([ENDLESS.encode()], itertools.repeat(b" "))
        cloud.pause_s = 0.05
        began = time.monotonic()
        with pytest.raises(ChargerUnreachable, match="in time"):
            await easee.state(CHARGER)
        assert time.monotonic() - began < 1


@pytest.mark.parametrize("status", [301, 308])
@pytest.mark.parametrize("path", ["/api/accounts/login", "/state/EH123456/observations"])
async def test_redirects_are_not_followed(status: int, path: str, tmp_path: Path) -> None:
    async with (
        a_scripted_cloud() as black_hole,
        a_scripted_cloud() as cloud,
        a_client(cloud.url, tmp_path) as easee,
    ):
        cloud.answers[path] = http(status, b"", f"Location: {black_hole.url}/x")
        with pytest.raises(Blocked, match=f"{cloud.url} .*Nothing is sent before") as blocked:
            await easee.state(CHARGER)
        sent = len(cloud.requests)
        with pytest.raises(Blocked):
            await easee.chargers()
    assert timedelta(minutes=9) < blocked.value.until - datetime.now(UTC) <= timedelta(minutes=10)
    assert black_hole.requests == []
    assert len(cloud.requests) == sent


@pytest.mark.parametrize("ahead_s", [-7200, 7200])
async def test_a_wrong_clock_of_ours_makes_no_charger_stale(ahead_s: int, tmp_path: Path) -> None:
    async with a_house() as house, a_client(house.api_url, tmp_path) as easee:
        house.faults.api_clock_ahead_s = -ahead_s
        house.plant.car.unplug()
        house.advance(1)
        state = await easee.state(CHARGER)
        assert state.online
        assert abs(datetime.now(UTC) - state.observed_at["mode"]) < timedelta(seconds=5)


async def test_a_page_in_between_is_no_acceptance(tmp_path: Path) -> None:
    async with a_house() as house, a_client(house.api_url, tmp_path) as easee:
        await easee.state(CHARGER)
        house.faults.api_body = "html"
        with pytest.raises(InvalidAnswer, match="dynamicCurrent"):
            await easee.set_circuit_current(CHARGER, Setpoint(8), timedelta(minutes=30))
        assert house.cloud.writes == 0
