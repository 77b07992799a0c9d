"""Surplus that the meter does not show, because the plant may not export it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.measurements import ChargerState, InverterReading, Setpoint
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.closed_loop import SLOW, run_day
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.simulation.plant.plant import BatterySpec, HouseSpec
from tests.benchmarks.laws import Ours
from tests.support.control_readings import NOW, VOLTS, inverter, told, with_battery
from tests.support.small_house import Cycle, House, car, changes, drawn_a, play

LOAD_W = 1000.0
ZERO_EXPORT = Policy(export_limit_w=0)


def limited(pv_w: Callable[[float], float], limit_w: float = 0.0, **shown: Any) -> House:
    """A house without battery: PV in W by minute; it exports no more than `limit_w`."""

    def house(at: datetime, setpoint: Setpoint) -> tuple[InverterReading, ChargerState]:
        amps = drawn_a(setpoint)
        lines = setpoint.phases if setpoint.current_a else 1
        car_w = amps * lines * VOLTS
        available_w = pv_w((at - NOW).total_seconds() / 60)
        made_w = min(available_w, LOAD_W + car_w + limit_w)
        reading = inverter(made_w - LOAD_W - car_w, taken_at=at, pv_w=made_w, inverter_ac_w=made_w)
        return replace(reading, **shown), car(at, setpoint, amps, lines)

    return house


def imported_kwh(cycles: list[Cycle], step_s: int) -> float:
    exports_w = [cycle.inverter.grid_export_w or 0.0 for cycle in cycles]
    return sum(max(0.0, -export_w) for export_w in exports_w) * step_s / 3.6e6


def car_w(cycle: Cycle) -> float:
    return cycle.charger.car_w or 0.0


@pytest.mark.parametrize("step_s", [10, 30])
@pytest.mark.parametrize(
    ("policy", "shown"),
    [
        (ZERO_EXPORT, {}),
        (Policy(), {"export_limit_w": 0.0}),
        (Policy(), {"throttled": True}),
    ],
    ids=["setting", "set in the inverter", "status of the inverter"],
)
def test_a_zero_export_house_gives_the_car_all_of_12_kw_within_20_minutes(
    policy: Policy, shown: dict[str, Any], step_s: int
) -> None:
    """evcc #15171: full sun, 1 kW of load, nothing exported; the car never started."""
    cycles = play(limited(lambda _: 12_000.0, **shown), 20, told(0), policy, step_s)
    assert car_w(cycles[-1]) == pytest.approx(15.7 * 3 * VOLTS)
    assert imported_kwh(cycles, step_s) == 0


@pytest.mark.parametrize("pv_w", [4000.0, 6000.0, 7500.0, 9000.0])
def test_a_still_house_gets_what_pv_can_give_with_at_most_12_changes_an_hour(
    pv_w: float,
) -> None:
    cycles = play(limited(lambda _: pv_w), 180, told(0), ZERO_EXPORT, step_s=10)
    third = len(cycles) // 3
    for hour in (cycles[:third], cycles[third : 2 * third], cycles[2 * third :]):
        assert changes(hour) <= 12
    got_w = sum(map(car_w, cycles[-third:])) / third
    assert got_w == pytest.approx(pv_w - LOAD_W, rel=0.1)
    assert imported_kwh(cycles[-third:], 10) < 0.35  # part of a step, which pays


def test_pauses_between_probes_in_vain_double() -> None:
    cycles = play(limited(lambda _: 6360.0), 120, told(8, 3), ZERO_EXPORT, step_s=10)
    begun = [
        cycle.at
        for before, cycle in pairwise(cycles)
        if cycle.decision.state.hidden.probe and not before.decision.state.hidden.probe
    ]
    pauses = [round((b - a).total_seconds() / 60) for a, b in pairwise(begun)]
    assert pauses[:4] == [5, 9, 17, 33]


def test_a_start_that_pv_does_not_carry_ends_within_two_minutes() -> None:
    cycles = play(limited(lambda _: 1200.0), 5, told(0), ZERO_EXPORT, step_s=10)
    assert 0 < sum(map(car_w, cycles)) * 10 / 3.6e6 < 0.04
    assert cycles[-1].current_a == 0


def test_rising_sun_is_followed() -> None:
    """From 2 to 8 kW in three hours."""
    cycles = play(limited(lambda minute: 2000 + 6000 * minute / 180), 180, told(0), ZERO_EXPORT)
    got_kwh = sum(map(car_w, cycles)) * 30 / 3.6e6
    possible_kwh = 3 * (5.0 - LOAD_W / 1000)
    assert got_kwh - imported_kwh(cycles, 30) > 0.85 * possible_kwh
    assert imported_kwh(cycles, 30) < 0.1 * possible_kwh


def test_after_a_cloud_the_car_is_back_within_12_minutes() -> None:
    """9 kW, 3 kW from the 60th to the 70th minute."""
    house = limited(lambda minute: 3000.0 if 60 <= minute < 70 else 9000.0)
    cycles = play(house, 82, told(0), ZERO_EXPORT, step_s=10)
    assert car_w(cycles[-1]) > 6500


@pytest.mark.parametrize("export_w", [-60.0, 0.0, 90.0])
def test_a_house_without_a_limit_is_never_probed(export_w: float) -> None:
    """Nothing is exported because there is nothing; no battery, no limit, no word of it."""

    def house(at: datetime, setpoint: Setpoint) -> tuple[InverterReading, ChargerState]:
        return inverter(export_w, taken_at=at), car(at, setpoint, 0.0)

    cycles = play(house, 120, told(0))
    assert {cycle.current_a for cycle in cycles} == {0}
    assert all(cycle.decision.state.hidden == cycles[0].decision.state.hidden for cycle in cycles)


def full_battery(available_w: float, limit_w: float) -> House:
    """A full battery that discharges for what PV does not cover."""

    def house(at: datetime, setpoint: Setpoint) -> tuple[InverterReading, ChargerState]:
        amps = drawn_a(setpoint)
        lines = setpoint.phases if setpoint.current_a else 1
        used_w = LOAD_W + amps * lines * VOLTS
        made_w = min(available_w, used_w + limit_w)
        reading = with_battery(max(0.0, made_w - used_w), min(0.0, made_w - used_w), 100)
        reading = replace(reading, taken_at=at, pv_w=made_w, inverter_ac_w=used_w)
        return reading, car(at, setpoint, amps, lines)

    return house


def test_a_full_battery_without_any_export_shows_that_there_is_a_limit() -> None:
    """No setting, nothing in the registers: ten minutes of balance are a proof."""
    cycles = play(full_battery(9000.0, 0.0), 40, told(0), step_s=10)
    first = next(cycle for cycle in cycles if cycle.current_a)
    assert 10 <= (first.at - NOW).total_seconds() / 60 <= 12
    assert car_w(cycles[-1]) > 7000
    assert min(cycle.inverter.battery_charge_w or 0.0 for cycle in cycles[-60:]) > -800


def test_a_house_that_exported_today_has_no_limit() -> None:
    """A full battery; the sun goes behind a cloud and balances the house for 30 minutes."""

    def house(at: datetime, setpoint: Setpoint) -> tuple[InverterReading, ChargerState]:
        minute = (at - NOW).total_seconds() / 60
        reading = replace(with_battery(900.0 if minute < 5 else 20.0, 0.0, 100), taken_at=at)
        return reading, car(at, setpoint, 0.0)

    cycles = play(house, 35, told(0), Policy(battery_lends_kwh=0), step_s=10)
    assert {cycle.current_a for cycle in cycles} == {0}


def test_a_limit_far_above_the_export_changes_nothing() -> None:
    """The 60 % rule: what the meter shows is what there is."""
    house = limited(lambda _: 5000.0, limit_w=6000.0)
    free = play(house, 60, told(0), Policy(), step_s=10)
    bounded = play(house, 60, told(0), Policy(export_limit_w=6000), step_s=10)
    assert [one.current_a for one in free] == [one.current_a for one in bounded]


def test_a_limit_below_what_a_start_needs_is_probed() -> None:
    """1.5 kW may be exported, but a car on three phases needs 4.1 kW; PV has 8 kW for it."""
    policy = Policy(phases="3", export_limit_w=1500)
    cycles = play(limited(lambda _: 9000.0, limit_w=1500.0), 20, told(0), policy, step_s=10)
    assert car_w(cycles[-1]) == pytest.approx(8000, abs=350)
    assert imported_kwh(cycles, 10) < 0.03


@pytest.mark.parametrize("battery", [None, BatterySpec(start_soc_pct=97)], ids=["none", "battery"])
def test_in_the_simulated_house_a_throttled_plant_charges_the_car(
    battery: BatterySpec | None,
) -> None:
    """8 kW of PV with slow readings; the inverter takes seconds to come up."""
    spec = HouseSpec(car=CarSpec(energy_needed_kwh=1000.0), export_limit_w=0.0)
    day = Day("flat", (8000.0,) * 1440, (600.0,) * 1440)
    outcome = run_day(Ours(interval_s=30), day, SLOW, battery, spec=spec, hours=2)
    assert outcome.solar_kwh > 0.85 * 2 * 7.4
    assert outcome.imported_kwh < 0.3
    assert outcome.exported_kwh < 0.01
    assert outcome.writes < 30
