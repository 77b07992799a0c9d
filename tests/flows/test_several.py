"""The control cycle of a home with three chargers, two of them on one circuit of 16 A."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from boost import boost
from plan import plan
from prefect.client.schemas.objects import State
from ready_by import ready_by

from easee_load_balancer.history.store import open_history
from easee_load_balancer.orchestration.blocks import ChargingPlan
from easee_load_balancer.orchestration.other_chargers import OtherCharger, OtherChargers
from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.simulation.plant.other_chargers import OtherSpec
from easee_load_balancer.system.settings import Settings
from tests.support.home import Home, a_home, in_hours
from tests.support.site import SITE
from tests.support.waiting import until

DARK = Day("dark", pv_w=(50.0,) * 1440, load_w=(500.0,) * 1440)
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


@asynccontextmanager
async def two_in_the_dark(**second: Any) -> AsyncIterator[Home]:
    """A dark home whose cars wait for sun: Carport, and Garage on a circuit of its own."""
    garage = OtherCharger.model_validate(
        {"charger_id": BESIDE, "site_id": 54321, "circuit_id": 12346, "name": "Garage"} | second
    )
    async with a_home(DARK, others=(OtherSpec(circuit=1),), mode="solar", main_fuse_a=35) as home:
        block = OtherChargers(first_name="Carport", chargers=[garage])
        await block.asave(SITE, overwrite=True)
        try:
            plant = home.house.plant
            for charger in (plant.charger, *(one.charger for one in plant.others)):
                charger.dynamic_circuit_current_a = (0.0, 0.0, 0.0)
            await home.cycle()
            yield home
        finally:
            await OtherChargers.adelete(SITE)


async def run_of(flow: Any, **parameters: Any) -> asyncio.Task[State[Any]]:
    return asyncio.ensure_future(flow(site=SITE, **parameters, return_state=True))


async def test_a_boost_is_for_the_charger_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.requests._LOOK_EVERY_S", 0.05)
    boosts = open_history(Settings().database_url).boosts
    async with two_in_the_dark() as home:
        refused = await (await run_of(boost, charger="Barn"))
        assert refused.is_failed()
        assert refused.message == "There is no charger 'Barn' here, only Carport, Garage."
        state = await (await run_of(ready_by, ready="23:59, 80 %", charger="Garage"))
        assert state.message == "The state of charge at Garage is not known: ask for kWh."
        runs = [
            await run_of(boost, current_a=amps, charger=name)
            for amps, name in ((10, "garage"), (8, ""))
        ]
        key = f"{SITE}/{BESIDE}"
        row = await until(lambda: boosts.under_way(key) if boosts.under_way(SITE) else None)
        assert row.request.title == "Garage: boost 10 A until unplugged"
        message = (await home.cycle()).message or ""
        assert message.startswith("Carport boost until unplugged: 8 A x 3: fast; ")
        assert "| Garage boost until unplugged: 10 A x 3: fast; " in message
        assert home.circuit_current_a[0] == 8
        assert home.house.plant.others[0].charger.dynamic_circuit_current_a[0] == 10
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)


async def test_each_car_has_its_plan_and_the_cycles_obey_both() -> None:
    leaves = in_hours(12)
    wishes = ChargingPlan(departures=[f"{leaves} 20 kWh"])
    async with two_in_the_dark(departures=[f"{leaves} 5 kWh"], floor_kwh=1) as home:
        await wishes.asave(SITE, overwrite=True)
        try:
            await home.cycle(time_zone="UTC")
            state: State[Any] = await plan(SITE, time_zone="UTC", return_state=True)
            assert state.is_completed(), state.message
            garage, carport = await state.aresult()  # the floor is the more urgent
            assert (state.message or "").startswith(f"Garage: {garage.sentence}. Carport: ")
            plans = open_history(Settings().database_url).plans
            assert (plans.last(f"{SITE}/{BESIDE}"), plans.last(SITE)) == (garage, carport)
            message = (await home.cycle(time_zone="UTC")).message or ""
            assert "| Garage up to 1 kWh at once: " in message
            assert home.house.plant.others[0].charger.dynamic_circuit_current_a[0] >= 6
        finally:
            await ChargingPlan.adelete(SITE)
