"""Several cars with plans, floors and a month's peak: whose turn it is, and who gets how much."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.peak import PeakLimit
from easee_load_balancer.control.plan import GridAllowance
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.several.cars import OneOfSeveral
from easee_load_balancer.control.several.controller import SharedState, Together, decide_together
from easee_load_balancer.measurements import Setpoint
from tests.support.control_readings import NOW, charger, inverter, told

FULL_W = 16 * 690.0


def planned(amps: float, hours: float = 8.0) -> GridAllowance:
    """A plan that allows so many amperes on three phases, for a departure in so many hours."""
    at = NOW + timedelta(hours=hours)
    return GridAllowance(amps * 690.0, "planned", by_plan=True, needed_at=at)


FLOOR = GridAllowance(FULL_W, "up to 5 kWh at once", needed_at=NOW)


def car(
    name: str, held_a: int = 0, priority: int = 1, circuit: int | None = None, **other: Any
) -> OneOfSeveral:
    """A car that draws what it is allowed."""
    state = told(held_a, accumulated_step_benefit_wh=1000.0, planned="grid" in other)
    policy = Policy.model_validate({"main_fuse_a": 50} | other.pop("policy", {}))
    circuit_a = (other.pop("circuit_a", 16.0),) * 3
    shown = charger(float(held_a), circuit_max_current_a=circuit_a)
    inputs = CycleInputs(NOW, inverter(), shown, policy, **other)
    return OneOfSeveral(name, priority, ord(name) if circuit is None else circuit, inputs, state)


def together(export_w: float | None, *cars: OneOfSeveral, **reading: Any) -> Together:
    seen = inverter(export_w, **reading)
    return decide_together(
        [replace(one, inputs=replace(one.inputs, inverter=seen)) for one in cars], SharedState()
    )


def amps_of(answer: Together) -> list[int | None]:
    return [one.setpoint.current_a if one.setpoint else None for one in answer.decisions]


FAST = {"mode": "fast"}
MINIMUM = {"mode": "solar+minimum"}


@pytest.mark.parametrize(
    ("export_w", "cars", "expected_a"),
    [
        pytest.param(
            -400.0,
            [car("A", grid=planned(8)), car("B")],
            [8, 0],
            id="the planned car starts, the other waits for sun",
        ),
        pytest.param(
            # 14 A in all are 9.7 kW: 4.1 kW of sun, 5.5 kW planned
            -5520.0,
            [car("A", 14, 2, grid=planned(8)), car("B")],
            [14, 0],
            id="planned energy comes beside the sun, before a higher priority",
        ),
        pytest.param(
            # sun for 22 A: A takes 8 A from it beside 8 A planned, 14 A are left
            6 * 690.0,
            [car("A", 8, 2, grid=planned(8)), car("B", 8, policy=MINIMUM)],
            [16, 14],
            id="what the planned car leaves of the sun goes to the other",
        ),
        pytest.param(
            -16 * 690.0,
            [car("A", 8, grid=planned(8)), car("B", 8, grid=planned(8))],
            [8, 8],
            id="what is planned for one is not taken by the other",
        ),
    ],
)
def test_planned_energy_comes_beside_the_sun(
    export_w: float, cars: list[OneOfSeveral], expected_a: list[int]
) -> None:
    assert amps_of(together(export_w, *cars)) == expected_a


def on_10_a(name: str, priority: int = 1, **other: Any) -> OneOfSeveral:
    """A car on a circuit that leaves current to one car at a time."""
    return car(name, 0, priority, circuit=7, circuit_a=10.0, **other)


@pytest.mark.parametrize(
    ("cars", "first"),
    [
        pytest.param(
            [on_10_a("A", grid=planned(8, 9)), on_10_a("B", 2, grid=planned(8, 2))],
            "B",
            id="the more urgent plan, whatever the priority",
        ),
        pytest.param(
            [on_10_a("A", grid=planned(8, 2)), on_10_a("B", 2, grid=FLOOR)],
            "B",
            id="the floor before a plan",
        ),
        pytest.param(
            [on_10_a("A", grid=planned(8)), on_10_a("B", 2, policy=FAST)],
            "B",
            id="fast before a plan",
        ),
        pytest.param(
            [on_10_a("A", policy=MINIMUM), on_10_a("B", policy=MINIMUM)],
            "A",
            id="two that never pause begin one after the other",
        ),
    ],
)
def test_where_there_is_current_for_one_car_only(cars: list[OneOfSeveral], first: str) -> None:
    answer = together(-400.0, *cars)
    charging = [one.name for one, amps in zip(cars, amps_of(answer), strict=True) if amps]
    assert charging == [first]
    [waits] = [one.reason for one in answer.decisions if one.setpoint == Setpoint(0)]
    assert f"waits for {first}: 10 A on the circuit" in waits


def peak(limit_w: float) -> dict[str, Any]:
    return {"peak": PeakLimit(limit_w, 60)}


@pytest.mark.parametrize(
    ("limit_w", "second", "expected_a"),
    [
        # the house takes 1.4 kW, so 12.4 kW of 14 are left: 18 A x 3
        pytest.param(14_000.0, {"policy": FAST}, [9, 9], id="shared alike"),
        pytest.param(14_000.0, {"policy": FAST, "priority": 2}, [12, 6], id="by priority"),
        pytest.param(9_000.0, {"policy": FAST, "priority": 2}, [10, 0], id="enough for one"),
        pytest.param(4_000.0, {"policy": FAST}, [0, 0], id="enough for none"),
    ],
)
def test_all_cars_together_stay_below_the_months_peak(
    limit_w: float, second: dict[str, Any], expected_a: list[int]
) -> None:
    limited = peak(limit_w)
    cars = [car("A", 16, policy=FAST, **limited), car("B", 16, **second, **limited)]
    counted = {"interval_counted_at": NOW, "interval_wh": 0.0}
    cars = [replace(one, state=one.state.model_copy(update=counted)) for one in cars]
    answer = together(-1000.0 - 2 * FULL_W, *cars)
    assert amps_of(answer) == expected_a
    assert f"the month's peak ({limit_w / 1000:.1f} kW)" in answer.decisions[1].reason


def test_what_a_charger_that_is_left_alone_draws_counts_in_the_months_peak() -> None:
    """The house takes 1 kW, the charger left alone 6.9 kW: of 14 kW, 5.96 kW are left."""
    limited = peak(14_000.0)
    cars = [car("A", 10, policy={"mode": "off"}, **limited), car("B", 16, policy=FAST, **limited)]
    counted = {"interval_counted_at": NOW, "interval_wh": 0.0}
    cars = [replace(one, state=one.state.model_copy(update=counted)) for one in cars]
    answer = together(-1000.0 - 10 * 690.0 - FULL_W, *cars)
    assert amps_of(answer) == [None, 8]


def test_a_sleeping_inverter_means_that_there_is_no_sun_for_any_car() -> None:
    cars = [car(name, 6, policy=MINIMUM) for name in ("A", "B")]
    asleep = together(None, *cars, asleep=True)
    assert asleep.surplus_w == 0
    assert amps_of(asleep) == [6, 6]
