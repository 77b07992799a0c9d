"""The control law with a charging plan, with limits in W, and with a month's peak."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.plan import (
    Car,
    CarLimit,
    Departure,
    GridAllowance,
    Plan,
    PlannedSlot,
    grid_allowance,
)
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.measurements import BatteryHold, InverterReading, Setpoint
from easee_load_balancer.periods import QUARTER
from tests.support.control_readings import NOW, charger, inverter, told, with_battery

FULL_W = 16 * 3 * 230.0
CAR = Car(energy_kwh=10.0, capacity_kwh=50.0)
READY = Departure(NOW + timedelta(hours=5), 30.0, 12.0, NOW + timedelta(hours=14))


def decided(
    state: ControllerState, reading: InverterReading, drawn: Setpoint, **other: Any
) -> Decision:
    policy = other.pop("policy", Policy())
    shown = charger(drawn.current_a, drawn.phases)
    return decide(CycleInputs(NOW, reading, shown, policy, **other), state)


@pytest.mark.parametrize(
    ("export_w", "planned_w", "expected"),
    [
        pytest.param(-400.0, FULL_W, Setpoint(16), id="starts at once with all it may take"),
        pytest.param(-400.0, 8 * 690.0, Setpoint(8), id="starts on three phases for 8 A x 3"),
        pytest.param(-400.0, 10 * 230.0, Setpoint(10, 1), id="starts on one for less"),
        pytest.param(-400.0, 0.0, Setpoint(0), id="no plan, no sun: no charge"),
    ],
)
def test_a_paused_car_starts_when_planned(
    export_w: float, planned_w: float, expected: Setpoint
) -> None:
    reading = inverter(export_w)
    decision = decided(told(0), reading, Setpoint(0), grid=GridAllowance(planned_w, "planned"))
    assert decision.setpoint == expected


@pytest.mark.parametrize(
    ("export_w", "planned_w", "expected"),
    [
        # the car draws 10 A x 3 = 6.9 kW
        pytest.param(-6900.0, FULL_W, Setpoint(16), id="all that it can take"),
        pytest.param(-6900.0, 9 * 690.0, Setpoint(9), id="grid energy alone"),
        pytest.param(-2760.0, 8 * 690.0, Setpoint(14), id="4.1 kW of sun beside 5.5 kW planned"),
        pytest.param(-11_500.0, FULL_W, Setpoint(15), id="never above the main fuse"),
    ],
)
def test_planned_energy_comes_beside_the_sun(
    export_w: float, planned_w: float, expected: Setpoint
) -> None:
    state = told(10, planned=True, accumulated_step_benefit_wh=100.0)
    reading = inverter(export_w)
    allowance = GridAllowance(planned_w, "planned")
    assert decided(state, reading, Setpoint(10), grid=allowance).setpoint == expected


def test_a_plan_that_ends_leaves_no_minimum_charge_behind() -> None:
    state = told(16, planned=True)
    decision = decided(state, inverter(-11_500.0), Setpoint(16), grid=GridAllowance(0.0))
    assert decision.setpoint == Setpoint(0)


def test_a_plan_that_ends_in_the_sun_goes_on_with_it() -> None:
    state = told(16, planned=True)
    decision = decided(state, inverter(-4000.0), Setpoint(16), grid=GridAllowance(0.0))
    assert decision.setpoint == Setpoint(10)
    assert decision.pushed(NOW).state.weighed


@pytest.mark.parametrize(
    ("allowance", "expected"),
    [
        pytest.param(None, Setpoint(11), id="no plan: 0.4 A from the grid pay for 0.6 A of sun"),
        pytest.param(GridAllowance(0.0), Setpoint(11), id="the plan is old"),
        pytest.param(
            GridAllowance(0.0, by_plan=True), Setpoint(10), id="the plan buys at a better time"
        ),
    ],
)
def test_beside_a_plan_the_law_adds_less_from_the_grid(
    allowance: GridAllowance | None, expected: Setpoint
) -> None:
    state = told(10, accumulated_step_benefit_wh=1000.0)
    reading = inverter(0.6 * 690.0)
    assert decided(state, reading, Setpoint(10), grid=allowance).setpoint == expected


def test_the_house_battery_is_held_while_planned_energy_is_charged() -> None:
    reading = with_battery(-4500.0, -1000.0, 80.0)
    policy = Policy(hold_battery=True)
    state = told(7, planned=True, lack_since=NOW - timedelta(minutes=2))
    allowance = GridAllowance(7 * 690.0, "planned")
    decision = decided(state, reading, Setpoint(7), grid=allowance, policy=policy)
    assert decision.state.hold is not BatteryHold.FREE
    assert decision.reason.startswith("planned: ")


def plan(*grid_w: float, age: timedelta = timedelta()) -> Plan:
    """A plan whose first quarter-hour is running."""
    slots = tuple(
        PlannedSlot(start=NOW + index * QUARTER, grid_w=watts, car_w=watts, car_kwh=0.0)
        for index, watts in enumerate(grid_w)
    )
    return Plan(made_at=NOW - age, slots=slots, sentence="", cost=0.0, solar_kwh=0.0, grid_kwh=0.0)


SOON = replace(READY, at=NOW + timedelta(hours=2))
LATE = replace(READY, at=NOW + timedelta(hours=3))


@pytest.mark.parametrize(
    ("made", "car", "departure", "expected_w"),
    [
        pytest.param(plan(5000.0), CAR, LATE, 5000.0, id="the plan's running quarter-hour"),
        pytest.param(plan(0.0), CAR, SOON, 0.0, id="a plan knows better than the latest start"),
        pytest.param(
            plan(0.0),
            replace(CAR, energy_kwh=29.5),
            replace(SOON, at=NOW + timedelta(minutes=15)),
            FULL_W,
            id="the last minutes: no other plan may come",
        ),
        pytest.param(None, CAR, LATE, 0.0, id="no plan: 20 kWh take 2 h"),
        pytest.param(None, CAR, SOON, FULL_W, id="no plan: the latest start is over"),
        pytest.param(
            None,
            replace(CAR, max_power_w=3700.0),
            READY,
            3700.0,
            id="no plan: 20 kWh take 6 h at the owner's highest power",
        ),
        pytest.param(
            None, replace(CAR, max_power_w=0.0), READY, 0.0, id="the owner lets it have nothing"
        ),
        pytest.param(plan(0.0, age=timedelta(hours=2)), CAR, SOON, FULL_W, id="old: like no plan"),
        pytest.param(plan(), CAR, SOON, FULL_W, id="a plan that ends before now: like no plan"),
        pytest.param(
            plan(0.0, age=timedelta(hours=-1)), CAR, SOON, FULL_W, id="from the future: no plan"
        ),
        pytest.param(
            None, replace(CAR, energy_kwh=30.0), SOON, 0.0, id="no plan: nothing is missing"
        ),
        pytest.param(
            plan(0.0), replace(CAR, floor_kwh=12.0), LATE, FULL_W, id="the floor before all"
        ),
        pytest.param(
            None, CAR, replace(SOON, at=NOW), 0.0, id="a departure that is over asks for nothing"
        ),
    ],
)
def test_what_counts_now(
    made: Plan | None, car: Car, departure: Departure, expected_w: float
) -> None:
    assert grid_allowance(NOW, made, car, [departure]).grid_w == expected_w


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        pytest.param(CarLimit(4200.0), Setpoint(6), id="4.2 kW: 6 A x 3"),
        pytest.param(CarLimit(4000.0), Setpoint(16, 1), id="less than 6 A x 3: one phase"),
        pytest.param(CarLimit(0.0), Setpoint(0), id="0 W"),
        pytest.param(CarLimit(4200.0, NOW), Setpoint(16), id="over"),
        pytest.param(CarLimit(4200.0, NOW + QUARTER), Setpoint(6), id="not over yet"),
    ],
)
@pytest.mark.parametrize("mode", ["fast", "solar"])
def test_dimming_is_obeyed_within_a_cycle(limit: CarLimit, expected: Setpoint, mode: Any) -> None:
    policy, reading = Policy(mode=mode), inverter(500.0 if mode == "solar" else -9000.0)
    decision = decided(told(16), reading, Setpoint(16), car_limit=limit, policy=policy)
    assert decision.setpoint == expected
    assert decision.push == (expected != Setpoint(16))
    if expected.current_a == 6:
        assert "the grid operator (4.2 kW) allows 6 A" in decision.reason
