"""What charges the battery and could charge the car instead: less than the formula says."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from easee_load_balancer.control.battery import available_charge_w, first_until_pct
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.measurements import ChargerState, InverterReading, Setpoint
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.closed_loop import SLOW, run_day
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.simulation.plant.plant import BatterySpec, HouseSpec
from tests.benchmarks.laws import Ours
from tests.support.control_readings import VOLTS, told, with_battery
from tests.support.small_house import car, drawn_a, play


@pytest.mark.parametrize(
    ("charge_w", "ac_w", "rated_w", "claim_w", "available_w"),
    [
        (4000.0, 3000.0, 10_000.0, None, 4000.0),
        (5000.0, 8000.0, 10_000.0, None, 2000.0),
        (5000.0, 10_000.0, 10_000.0, None, 0.0),
        (5000.0, 8000.0, None, None, 5000.0),
        (5000.0, 3000.0, 10_000.0, 5000.0, 0.0),
        (-3000.0, 10_000.0, 10_000.0, None, -3000.0),
    ],
    ids=["follows", "AC side nearly full", "AC side full", "rating unknown", "on command", "gives"],
)
def test_charging_power_counts_as_far_as_it_could_reach_the_car(
    charge_w: float, ac_w: float, rated_w: float | None, claim_w: float | None, available_w: float
) -> None:
    reading = replace(with_battery(0, charge_w, 50), inverter_ac_w=ac_w, rated_w=rated_w)
    state = ControllerState(battery_claim_w=claim_w)
    assert available_charge_w(reading, state) == available_w


def test_battery_of_a_cascade_reaches_the_car_through_its_own_inverter_only() -> None:
    """10 kW together; the inverter with the battery is full, the other one is not."""
    reading = replace(with_battery(0, 3000.0, 50), inverter_ac_w=6000.0, rated_w=10_000.0)
    assert available_charge_w(reading, ControllerState()) == 3000
    reading = replace(reading, battery_ac_headroom_w=500.0)
    assert available_charge_w(reading, ControllerState()) == 500


@pytest.mark.parametrize("pv_w", [15_000.0, 18_000.0])
def test_a_hybrid_gives_the_car_what_its_ac_side_leaves_and_imports_nothing(pv_w: float) -> None:
    """10 kW of AC, the rest of the PV charges the battery; the car could take 15 kW."""
    spec = HouseSpec(car=CarSpec(max_current_a=22.0, energy_needed_kwh=1000.0))
    spec = replace(spec, charger=replace(spec.charger, circuit_max_current_a=(22.0,) * 3))
    law = Ours()
    law.policy = law.policy.model_copy(update={"max_current_a": 22})
    day = Day("noon", (pv_w,) * 1440, (600.0,) * 1440)
    battery = BatterySpec(capacity_wh=1e6, start_soc_pct=60, max_power_w=8000.0)
    outcome = run_day(law, day, SLOW, battery, spec=spec, hours=2)
    assert outcome.imported_kwh < 0.1
    assert outcome.solar_kwh == pytest.approx(2 * 9.4, rel=0.08)


@pytest.mark.parametrize(
    ("command", "named"),
    [("", "(+ 5.0 on command)"), ("time of use", "(+ 5.0 time of use)")],
    ids=["unknown why", "time of use"],
)
def test_what_the_battery_takes_on_command_is_not_the_cars(command: str, named: str) -> None:
    """evcc #17468: 5 kW into the battery by a time-of-use window, no surplus beside it."""

    def house(at: datetime, setpoint: Setpoint) -> tuple[InverterReading, ChargerState]:
        amps = drawn_a(setpoint)
        lines = setpoint.phases if setpoint.current_a else 1
        reading = replace(with_battery(-amps * lines * VOLTS, 5000, 40), taken_at=at)
        reading = replace(reading, battery_command=command)
        return reading, car(at, setpoint, amps, lines)

    cycles = play(house, 60, told(0), step_s=10)
    imported_kwh = sum(-(one.inverter.grid_export_w or 0.0) for one in cycles) * 10 / 3.6e6
    assert imported_kwh < 0.25
    assert named in cycles[-1].decision.reason


@pytest.mark.parametrize("may_export", [True, False], ids=["exports", "throttles its PV"])
def test_what_a_nearly_full_battery_does_not_take_is_the_cars(may_export: bool) -> None:
    """The battery comes first with 5 kW reserved, but takes only 1 kW of 6 kW."""

    def house(at: datetime, setpoint: Setpoint) -> tuple[InverterReading, ChargerState]:
        amps = drawn_a(setpoint)
        lines = setpoint.phases if setpoint.current_a else 1
        charge_w = min(1000.0, 6000 - amps * lines * VOLTS)
        export_w = 6000 - charge_w - amps * lines * VOLTS
        reading = replace(with_battery(export_w, charge_w, 70), taken_at=at)
        if not may_export and export_w > 0:
            reading = replace(reading, grid_export_w=0.0, throttled=True)
        return reading, car(at, setpoint, amps, lines)

    policy = Policy(battery_first_until_pct=80, battery_reserve_w=5000)
    cycles = play(house, 20, told(0), policy, step_s=10)
    assert cycles[-1].charger.car_w == pytest.approx(5000, abs=700)
    assert sum((one.charger.car_w or 0.0) > 0 for one in cycles) > 80


FLAT = Prices(import_price=0.30, night_price=0.30, export_price=0.08)


@pytest.mark.parametrize(
    ("until_pct", "capacity_kwh", "prices", "wanted_wh", "expected_pct"),
    [
        (0, 0, Prices(), 4000.0, 0),
        (0, 10, Prices(), None, 0),
        (0, 10, Prices(), 4000.0, 45),
        (60, 10, Prices(), 4000.0, 60),
        (0, 10, Prices(), 20_000.0, 85),
        (90, 10, Prices(), 20_000.0, 90),
        (0, 10, Prices(), -3000.0, 0),
        (20, 10, FLAT, 4000.0, 20),
    ],
    ids=[
        "off", "too little known", "4 kWh of 10", "the owner wants more", "a long night",
        "the owner wants even more", "plenty is left over", "the car's night is no cheaper",
    ],
)  # fmt: skip
def test_battery_comes_first_for_the_night_where_that_saves_more(
    until_pct: float,
    capacity_kwh: float,
    prices: Prices,
    wanted_wh: float | None,
    expected_pct: float,
) -> None:
    policy = Policy(battery_first_until_pct=until_pct, battery_night_kwh=capacity_kwh)
    assert first_until_pct(policy, prices, wanted_wh) == expected_pct


def test_battery_for_the_night_gives_way_once_it_holds_enough() -> None:
    """5 kW of sun on an 8 kWh battery that is half full and should hold 5.6 kWh: 75 %."""
    law = Ours(Policy(battery_night_kwh=8), battery_wanted_wh=lambda _: 5600.0)
    day = Day("sun", (5000.0,) * 1440, (500.0,) * 1440)
    battery = BatterySpec(capacity_wh=8000.0, start_soc_pct=50)
    outcome = run_day(law, day, SLOW, battery, hours=2)
    assert outcome.highest_soc_pct == pytest.approx(77, abs=4)
    assert outcome.solar_kwh == pytest.approx(2 * 4.5 - 0.25 * 8, abs=1.2)
    other = run_day(Ours(), day, SLOW, battery, hours=2)
    assert (other.highest_soc_pct or 100) < 60
