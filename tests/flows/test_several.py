"""The control cycle of a home with three chargers, two of them on one circuit of 16 A."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from easee_load_balancer.history.store import open_history
from easee_load_balancer.orchestration.other_chargers import OtherCharger, OtherChargers
from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.plant.other_chargers import OtherSpec
from easee_load_balancer.system.settings import Settings
from tests.support.home import Home, a_home
from tests.support.site import SITE

FIRST, BESIDE, AWAY = "EH123456", "EH200001", "EH200002"


def others(**changes: Any) -> OtherChargers:
    usual = {"site_id": 54321, "mode": "fast"}
    beside = {"charger_id": BESIDE, "circuit_id": 12345, "name": "Garage"}
    away = {"charger_id": AWAY, "circuit_id": 12346, "name": "Guests"}
    listed = [OtherCharger.model_validate(usual | one | changes) for one in (beside, away)]
    return OtherChargers(first_name="Carport", chargers=listed)


@asynccontextmanager
async def three_chargers() -> AsyncIterator[Home]:
    specs = (OtherSpec(circuit=0), OtherSpec(circuit=1))
    async with a_home(others=specs, phases="auto", main_fuse_a=63) as home:
        await others().asave(SITE, overwrite=True)
        try:
            yield home
        finally:
            await OtherChargers.adelete(SITE)


def held_a(home: Home) -> tuple[float, float, float]:
    """The own current of the first two chargers, and the circuit's of the third."""
    home.house.advance(10)
    plant = home.house.plant
    beside, away = (one.charger for one in plant.others)
    return (
        plant.charger.dynamic_charger_current_a,
        beside.dynamic_charger_current_a,
        away.dynamic_circuit_current_a[0],
    )


def calls_of(home: Home) -> int:
    calls = home.house.cloud.counts()["calls"]
    return sum(count for name, count in calls.items() if "accounts" not in name)


async def test_one_cycle_decides_for_all_chargers() -> None:
    async with three_chargers() as home:
        for _ in range(2):  # the ceiling of the shared circuit comes before what it is shared into
            before = calls_of(home)
            assert (await home.cycle()).is_completed()
            assert calls_of(home) - before <= 6
        assert home.circuit_current_a == (16.0, 16.0, 16.0)
        assert held_a(home) == (8.0, 8.0, 16.0)
        writes = home.writes
        state = await home.cycle()
        assert home.writes == writes
        assert state.message is not None
        assert all(
            name in state.message for name in ("Carport 8 A x 3", "| Garage 8 A x 3", "| Guests")
        )
        history = open_history(Settings().database_url)
        parts = [history.last_cycle(f"{SITE}/{one}") for one in (FIRST, BESIDE, AWAY)]
        powers = [part.car_w for part in parts if part is not None]
        assert len(powers) == 3
        assert home.last_cycle().car_w == pytest.approx(sum(watts or 0.0 for watts in powers))


async def test_a_refused_share_is_sent_again_and_one_that_a_plug_in_reset_too() -> None:
    async with three_chargers() as home:
        await home.cycle()
        home.house.faults.replace_with(Faults(api_command_status=400))
        state = await home.cycle()
        assert state.is_failed()
        assert state.message is not None
        assert "Garage: " in state.message
        home.house.faults.replace_with(Faults())
        assert (await home.cycle()).is_completed()
        assert held_a(home) == (8.0, 8.0, 16.0)
        beside = home.house.plant.others[0]
        beside.car.unplug()
        await home.cycle()
        beside.charger.plug_in()
        assert beside.charger.dynamic_charger_current_a == 32.0
        await home.cycle()
        assert held_a(home)[1] < 16.0
