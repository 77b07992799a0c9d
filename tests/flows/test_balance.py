"""The control cycle as a flow: a real Prefect server, a real Modbus server, a real HTTP API."""

from __future__ import annotations

import asyncio
import logging
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from balance import balance
from prefect import get_client
from prefect.flow_engine import run_flow_async
from prefect.states import Scheduled

from easee_load_balancer.history.store import open_history
from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.plant.day import generate_day
from easee_load_balancer.simulation.plant.plant import BatterySpec
from easee_load_balancer.system.locks import only_writer
from easee_load_balancer.system.settings import Settings
from tests.support.home import Home, a_home, last_run
from tests.support.site import SITE

A_DAY = timedelta(days=1)


async def test_a_cycle_reads_decides_pushes_and_remembers() -> None:
    async with a_home() as home:
        state = await home.cycle()
        assert state.is_completed()
        assert state.message is not None
        assert state.message.startswith("16 A x 3: fast; surplus ")
        assert (await last_run()).name == state.message
        assert home.circuit_current_a == (16.0, 16.0, 16.0)
        row = home.last_cycle()
        assert row.outcome == "pushed"
        assert row.reason == state.message
        assert row.setpoint_a == 16
        assert row.pv_w == pytest.approx(home.house.plant.pv_w, rel=0.02)
        calls = open_history(Settings().database_url).cloud_calls(SITE, row.at - A_DAY, row.at)
        assert calls == {"dynamicCurrent": 1, "login": 1, "observations": 1}


async def test_further_runs_write_nothing_and_keep_the_easee_session() -> None:
    async with a_home() as home:
        for _ in range(3):
            assert (await home.cycle()).is_completed()
        assert home.writes == 1
        assert home.last_cycle().outcome == "held"
        assert home.house.cloud.tokens.logins == 1
        assert home.house.inverter.connections == 3


async def test_without_a_car_the_circuit_is_set_once_for_the_next_one() -> None:
    async with a_home(mode="solar") as home:
        home.house.plant.car.unplug()
        states = [await home.cycle() for _ in range(4)]
        assert all("no car connected" in (state.message or "") for state in states)
        assert home.house.plant.charger.dynamic_circuit_current_a == (0.0, 0.0, 0.0)
        assert home.writes == 1


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"modbus": "refuse"}, "Cannot connect to the inverter"),
    ({"modbus": "silent"}, "No answer from the inverter"),
    ({"modbus": "implausible"}, "cannot be"),
    ({"api_status": 503}, "answers 503"),
    ({"api_body": "truncated"}, "unexpected answer"),
]
"""One of each kind; `tests/faults` has all."""


async def test_a_fault_fails_the_run_in_one_clear_line_and_the_next_good_cycle_works(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with a_home(timeout_s=2.0) as home:
        await home.cycle()
        for fault, message in FAULTS:
            writes = home.writes
            for name, value in fault.items():
                setattr(home.house.faults, name, value)
            caplog.clear()
            state = await home.cycle()
            assert state.is_failed(), fault
            errors = [one for one in caplog.records if one.levelno >= logging.ERROR]
            assert [one.name for one in errors] == ["prefect.flow_runs"], fault
            assert re.search(message, state.message or ""), (fault, state.message)
            assert "\n" not in (state.message or "")
            assert home.writes == writes, fault
            assert home.last_cycle().outcome == "failed", fault
            for name, field in Faults.model_fields.items():
                setattr(home.house.faults, name, field.default)
            await asyncio.sleep(0.1)  # the simulated inverter looks at its faults every 50 ms
            assert (await home.cycle()).is_completed(), fault


async def test_refused_limited_or_blocked_nothing_more_is_asked() -> None:
    for status in (401, 429, 403):
        async with a_home() as home:
            home.house.faults.api_status = status
            first = await home.cycle()
            calls = dict(home.house.cloud.calls)
            second = await home.cycle()
            assert first.is_failed()
            assert "The Easee cloud" in (first.message or "")
            assert second.is_failed()
            assert "next request" in (second.message or "")
            assert home.house.cloud.calls == calls, status
            assert home.writes == 0


async def test_what_could_be_read_is_recorded_when_the_cloud_fails() -> None:
    async with a_home() as home:
        home.house.faults.api_status = 503
        await home.cycle()
        row = home.last_cycle()
        assert row.pv_w is not None
        assert row.car_w is None


async def test_a_failed_push_is_not_remembered_as_done() -> None:
    async with a_home(circuit_id=99) as home:
        state = await home.cycle()
        assert state.is_failed()
        assert "Unknown charger, site or circuit" in (state.message or "")
        await home.save()
        assert (await home.cycle()).is_completed()
        assert home.circuit_current_a == (16.0, 16.0, 16.0)


async def test_a_wrong_password_is_tried_once() -> None:
    async with a_home(password="wrong") as home:
        for _ in range(2):
            state = await home.cycle()
            assert state.is_failed()
            assert "rejected the user name or password" in (state.message or "")
        assert _logins(home) == 1
        await home.save(password="wrong")  # the same again: as after a change at the vendor's
        for _ in range(2):
            assert (await home.cycle()).is_failed()
        assert _logins(home) == 2
        await home.save()
        assert (await home.cycle()).is_completed()


def _logins(home: Home) -> int:
    return home.house.cloud.calls["POST /api/accounts/login"]


async def test_an_unknown_charger_is_named() -> None:
    async with a_home(charger_id="EH000000") as home:
        state = await home.cycle()
        assert state.is_failed()
        assert "check the block 'Easee charger'" in (state.message or "")


async def test_an_inverter_asleep_at_night_is_no_failure() -> None:
    dusk_s = 20 * 3600 + 58 * 60
    async with a_home(generate_day("clear"), dusk_s, timeout_s=1.0, mode="solar") as home:
        assert (await home.cycle()).is_completed()
        home.house.advance(700)
        await asyncio.sleep(0.1)
        state = await home.cycle()
        assert state.name == "Asleep"
        assert state.is_completed()
        assert (state.message or "").endswith("no sun, inverter asleep")
        assert max(home.circuit_current_a) <= 6
        assert home.last_cycle().outcome == "asleep"


async def test_a_battery_plant_that_vanishes_at_night_is_a_failure() -> None:
    async with a_home(generate_day("clear"), 23 * 3600, BatterySpec(), mode="solar") as home:
        await home.cycle()
        home.house.faults.modbus = "refuse"
        assert (await home.cycle()).is_failed()


async def test_a_cycle_that_starts_too_late_touches_nothing() -> None:
    async with a_home() as home, get_client() as client:
        due = datetime.now(UTC) - timedelta(seconds=31)
        run = await client.create_flow_run(
            balance, parameters={"site": SITE}, state=Scheduled(scheduled_time=due)
        )
        await run_flow_async(balance, flow_run=run, parameters={"site": SITE}, return_type="state")
        run = await client.read_flow_run(run.id)
        assert run.state is not None
        assert run.state.is_cancelled()
        assert run.state.name == "Superseded"
        assert re.fullmatch(r"superseded: it was due \d+ s ago", run.name)
        assert not home.house.cloud.calls
        assert home.house.inverter.connections == 0


async def test_two_cycles_of_one_site_never_run_together(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with a_home() as home:
        with only_writer(Settings().folder, SITE):
            state = await home.cycle()
        assert state.name == "Superseded"
        assert "Finished in state Superseded" in caplog.text
        assert not [one for one in caplog.records if one.levelname == "ERROR"]
        assert not home.house.cloud.calls
        assert (await home.cycle()).is_completed()


async def test_a_missing_block_is_named() -> None:
    async with a_home():
        state = await balance("cottage", return_state=True)
    assert state.is_failed()
    assert "There is no block" in (state.message or "")
    assert "'cottage'" in (state.message or "")
