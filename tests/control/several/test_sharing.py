"""Who gets what of several cars: tables of cases with numbers to check."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.several.capacity import Capacity, Demand
from easee_load_balancer.control.several.cars import Car, OneOfSeveral
from easee_load_balancer.control.several.circuits import Ceiling
from easee_load_balancer.control.several.configurations import Range, behind, spread
from easee_load_balancer.control.several.controller import SharedState, Together, decide_together
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.measurements import ChargerMode, ChargerState, InverterReading, Setpoint
from tests.support.control_readings import LONG_AGO, NOW, charger, inverter, told

ONE_PHASE = Range(1311.0, 3611.0, 230.0)  # 6 to 16 A, each car 0.3 A below its offer
THREE_PHASES = Range(3933.0, 10_833.0, 690.0)
NOTHING = Range(0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("ranges", "ranks", "surplus_w", "expected_w"),
    [
        pytest.param([ONE_PHASE, ONE_PHASE], [0, 0], 3200.0, [1541, 1541], id="two on one phase"),
        pytest.param([THREE_PHASES, NOTHING], [0, 0], 4700.0, [4623, 0], id="one on three phases"),
        pytest.param(
            [THREE_PHASES, ONE_PHASE],
            [0, 0],
            6000.0,
            [3933, 2001],
            id="the fine one takes the rest",
        ),
        pytest.param([ONE_PHASE, ONE_PHASE], [0, 1], 3200.0, [1771, 1311], id="by priority"),
        pytest.param([ONE_PHASE, ONE_PHASE], [1, 0], 5400.0, [1771, 3611], id="the second first"),
        pytest.param([ONE_PHASE, ONE_PHASE], [0, 0], 500.0, [1311, 1311], id="never below 6 A"),
        pytest.param([THREE_PHASES] * 2, [0, 0], 40_000.0, [10_833, 10_833], id="plenty"),
    ],
)
def test_surplus_is_spread(
    ranges: list[Range], ranks: list[int], surplus_w: float, expected_w: list[float]
) -> None:
    assert spread(ranges, ranks, surplus_w, more=0.0) == pytest.approx(expected_w)


def test_equal_cars_stay_where_they_are_until_that_is_far_from_fair() -> None:
    near = spread([ONE_PHASE] * 2, [0, 0], 4000.0, 0.0, present_w=[1541.0, 2461.0])
    far = spread([ONE_PHASE] * 2, [0, 0], 5600.0, 0.0, present_w=[1541.0, 1541.0])
    assert near[1] == pytest.approx(2461.0)
    assert far == pytest.approx([2691.0, 2691.0])


@pytest.mark.parametrize(
    ("priorities", "circuit_a", "fuse_a", "expected_a"),
    [
        pytest.param((1, 1), 32.0, 50.0, {0: 16, 1: 16}, id="enough for both"),
        pytest.param((1, 1), 20.0, 50.0, {0: 10, 1: 10}, id="equal ones get the same"),
        pytest.param((2, 1), 20.0, 50.0, {0: 6, 1: 14}, id="least for both, then by priority"),
        pytest.param((2, 1), 11.0, 50.0, {0: 0, 1: 11}, id="below 12 A one waits"),
        pytest.param((1, 2), 32.0, 17.0, {0: 11, 1: 6}, id="the main fuse is the limit"),
        pytest.param((1, 2), 32.0, 5.0, {0: 0, 1: 0}, id="too little for any"),
    ],
)
def test_amperes_are_allotted_in_the_order_of_need(
    priorities: tuple[int, int], circuit_a: float, fuse_a: float, expected_a: dict[int, int]
) -> None:
    capacity = Capacity((fuse_a,) * 3, {7: circuit_a})
    demands = [
        Demand(key, (0, priority), (priority,), 7, (0, 1, 2), least_a=6, most_a=16)
        for key, priority in enumerate(priorities)
    ]
    assert capacity.allot(demands) == expected_a


def one(
    name: str, state: ChargerState, memory: ControllerState, circuit: int = 0, **policy: Any
) -> OneOfSeveral:
    inputs = CycleInputs(NOW, inverter(), state, Policy.model_validate(policy))
    return OneOfSeveral(name, 1, circuit, inputs, memory)


def decide_at(export_w: float, *ones: OneOfSeveral, shared: SharedState | None = None) -> Together:
    reading = inverter(export_w)
    ones = tuple(replace(one, inputs=replace(one.inputs, inverter=reading)) for one in ones)
    return decide_together(ones, shared or SharedState())


def amps_of(decisions: tuple[Decision, ...]) -> list[int | None]:
    return [one.setpoint.current_a if one.setpoint else None for one in decisions]


def test_a_single_charger_is_decided_by_its_own_law_alone() -> None:
    alone = one("Carport", charger(8.0), told(8))
    shared = SharedState(present="kept")
    answer = decide_together([alone], shared)
    assert answer == Together((decide(alone.inputs, alone.state),), shared)


def test_two_cars_do_not_both_take_the_same_surplus() -> None:
    cars = [one(name, charger(8.0), told(8), circuit) for name, circuit in (("A", 0), ("B", 1))]
    later = told(8, accumulated_step_benefit_wh=5.0)
    cars = [replace(car, state=later) for car in cars]
    answer = decide_at(1400.0, *cars)  # two steps of 690 W: 16 A in all before, 18 after
    raised = [amps or 0 for amps in amps_of(answer.decisions)]
    assert sum(raised) == 18


def test_a_fast_car_makes_a_solar_car_give_up_what_it_takes() -> None:
    fast = one("Fast", charger(6.0), told(6), mode="fast")
    solar = one("Solar", charger(16.0), told(16, accumulated_step_benefit_wh=5.0), circuit=1)
    decided = decide_at(0.0, fast, solar).decisions
    assert amps_of(decided) == [16, 6]


def test_a_waiting_car_is_told_whom_it_waits_for() -> None:
    small = (10.0, 10.0, 10.0)
    charging = one("Carport", charger(8.0, circuit_max_current_a=small), told(8), mode="fast")
    waiting = one("Garage", charger(0.0, circuit_max_current_a=small), told(0), mode="fast")
    decided = decide_at(0.0, charging, waiting).decisions
    assert amps_of(decided) == [10, 0]
    assert decided[1].reason == (
        "0 A: waits for Carport: 10 A on the circuit are too little for both"
    )


def test_what_a_charger_that_is_left_alone_draws_is_not_shared_out() -> None:
    small = (20.0, 20.0, 20.0)
    left = one("Off", charger(11.7, circuit_max_current_a=small), told(12), mode="off")
    fast = one("Fast", charger(6.0, circuit_max_current_a=small), told(6), mode="fast")
    decided = decide_at(0.0, left, fast).decisions
    assert amps_of(decided) == [None, 8]


def test_a_circuits_ceiling_leaves_a_charger_that_is_left_alone_what_it_draws() -> None:
    small = (20.0, 20.0, 20.0)
    left = one("Off", charger(11.7, circuit_max_current_a=small), told(12), mode="off")
    fast = one("Fast", charger(6.0, circuit_max_current_a=small), told(6), mode="fast")
    assert decide_at(0.0, left, fast).ceilings == {0: 20}
    # the house takes 5.9 of the fuse's 23 A, the cars 11.7 and 5.7 A
    assert decide_at(-(5.9 + 11.7 + 5.7) * 690, left, fast).ceilings == {0: 17}


def test_what_a_charger_that_is_left_alone_draws_is_not_taken_from_another_circuit_twice() -> None:
    """The fuse leaves 23 A, 11.7 A of them are drawn on the other circuit."""
    left = one("Off", charger(11.7), told(12), circuit=1, mode="off")
    cars = [one(name, charger(0.0), told(0), mode="fast") for name in ("A", "B")]
    assert decide_at(-11.7 * 690, left, *cars).ceilings == {0: 11}


def test_a_car_whose_session_counter_is_unknown_is_not_behind() -> None:
    kwh = (12.0, None, 2.0)
    cars = [
        Car.of(one(str(got), charger(6.0, session_kwh=got), told(6)), shares_circuit=False)
        for got in kwh
    ]
    assert behind(cars) == [0.0, 0.0, 0.5]


def test_the_charger_of_a_shared_circuit_is_commanded_again_after_a_plug_in() -> None:
    arrived = charger(0.0, mode=ChargerMode.READY_TO_CHARGE)
    memory = told(0, session_at=None)
    here = one("A", charger(8.0), told(8))
    assert decide_at(0.0, here, one("B", arrived, memory)).decisions[1].push
    assert not decide_at(0.0, here, one("B", arrived, memory, circuit=1)).decisions[1].push


def test_a_shared_circuit_is_never_set_to_one_phase() -> None:
    cars = [one(name, charger(0.0), told(0)) for name in ("A", "B")]
    shared = SharedState(
        present="A:0 B:0",
        assessed_at=NOW - timedelta(seconds=10),
        benefit_wh={"A:3 B:0": 500.0},
    )
    decided = decide_at(4500.0, *cars, shared=shared).decisions
    assert decided[0].setpoint == Setpoint(7, 3)
    assert all(one.setpoint is not None and one.setpoint.phases == 3 for one in decided)


@pytest.mark.parametrize(
    ("age_min", "allowed_a", "needed_a", "shown_a", "sent_a"),
    [
        pytest.param(1, 16, 12, 16.0, None, id="nothing new"),
        pytest.param(1, 12, 12, 16.0, 12, id="down at once"),
        pytest.param(26, 16, 12, 16.0, 16, id="renewed in time"),
        pytest.param(2, 16, 12, 40.0, 16, id="forgotten in a restart"),
        pytest.param(-30, 16, 12, 16.0, 16, id="sent before the clock was set back"),
    ],
)
def test_a_circuits_ceiling_is_sent_rarely(
    age_min: int, allowed_a: int, needed_a: int, shown_a: float, sent_a: int | None
) -> None:
    ceiling = Ceiling(current_a=16, sent_at=NOW - timedelta(minutes=age_min))
    assert ceiling.next_a(allowed_a, needed_a, shown_a, NOW) == sent_a


def test_an_unreadable_meter_leaves_half_of_the_fuse_to_all_cars_together() -> None:
    cars = [
        one(name, charger(10.0), told(10, unknown_since=LONG_AGO), circuit, mode="fast")
        for circuit, name in enumerate(("A", "B"))
    ]
    blind = InverterReading.unknown(NOW)
    cars = [replace(car, inputs=replace(car.inputs, inverter=blind)) for car in cars]
    decided = decide_together(cars, SharedState()).decisions
    assert sum(amps or 0 for amps in amps_of(decided)) <= 11
