"""Cycles that hold the battery, and that find it held by one that was killed."""

from __future__ import annotations

from typing import Any

import pytest

from easee_load_balancer.devices.huawei.hold_record import HoldRecord, record_path
from easee_load_balancer.simulation.plant.battery_controls import BatteryControls
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.simulation.plant.plant import BatterySpec
from easee_load_balancer.system.settings import Settings
from tests.support.home import Home, a_home
from tests.support.site import SITE

DARK = Day("dark", pv_w=(0.0,) * 1440, load_w=(500.0,) * 1440)
GREY = Day("grey", pv_w=(2000.0,) * 1440, load_w=(500.0,) * 1440)
BATTERY = BatterySpec(start_soc_pct=80.0)


def controls(home: Home) -> BatteryControls:
    assert home.house.plant.battery is not None
    return home.house.plant.battery.controls


def writes(home: Home) -> list[tuple[int, int]]:
    return home.house.inverter.battery_writes.done


async def cycle(home: Home) -> tuple[str, str]:
    """The end of the next cycle, and what it says."""
    state: Any = await home.cycle()
    return state.name, state.message


async def test_a_cycle_holds_the_battery_until_the_car_has_charged() -> None:
    """Where that is refused, it says so and charges all the same."""
    async with a_home(DARK, battery=BATTERY, hold_battery=True) as home:
        home.house.faults.battery_writes = "refused"
        name, said = await cycle(home)
        assert name == "Attention"
        assert "The battery is not held. The inverter at 127.0.0.1" in said
        assert home.circuit_current_a == (16, 16, 16)
        home.house.faults.battery_writes = None
        assert (await cycle(home))[1].endswith("; battery held")
        assert controls(home).forced == 2
        assert home.last_cycle().controller_state["hold"] == "command"
        home.house.advance(30)
        assert home.house.plant.battery_charge_w == pytest.approx(0, abs=1)
        home.house.plant.car.unplug()
        assert "battery held" not in (await cycle(home))[1]
        home.house.advance(60)
        assert home.house.plant.battery_charge_w < -400


async def test_a_limit_ends_with_the_process_that_set_it() -> None:
    """Here each run is one: the connections close at its end, as when a worker stops."""
    async with a_home(GREY, battery=BATTERY, hold_battery=True) as home:
        await cycle(home)
        assert writes(home) == [(47077, 0), (47077, 5000)]


async def test_a_cycle_lifts_what_a_killed_one_left_also_when_holding_is_off() -> None:
    async with a_home(DARK, battery=BATTERY) as home:
        controls(home).discharge_limit_w = 0
        HoldRecord(restore_w=4000).save(record_path(Settings().folder, SITE))
        home.house.faults.battery_writes = "refused_lifting"
        name, said = await cycle(home)
        assert name == "Attention"
        assert "The battery is still held. The inverter at 127.0.0.1" in said
        home.house.faults.battery_writes = None
        assert (await cycle(home))[0] == "Completed"
        assert controls(home).discharge_limit_w == 4000


async def test_without_the_setting_nothing_more_is_asked() -> None:
    async with a_home(DARK, battery=BATTERY) as home:
        await cycle(home)
        asked = home.house.inverter.requests
        await cycle(home)
        assert home.house.inverter.requests - asked == 4, "rating, power, battery, meter"
        assert not record_path(Settings().folder, SITE).exists()
