"""The control law, case by case, with numbers that a reader can check."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from pydantic import ValidationError

from easee_load_balancer.control.controller import RENEW_AFTER, decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import ControllerState, after_push
from easee_load_balancer.devices.easee.models import Observation
from easee_load_balancer.devices.easee.observations import OBSERVATION_IDS, charger_state
from easee_load_balancer.measurements import ChargerMode, ChargerState, InverterReading, Setpoint
from tests.support.control_readings import NOW, charger, inverter, told, with_battery


@dataclass(frozen=True)
class Case:
    """A row of the table: what is read and remembered, what is to come of it."""

    name: str
    inverter: InverterReading
    charger: ChargerState
    controller_state: ControllerState
    setpoint: Setpoint | None
    because: str
    policy: Policy = field(default_factory=Policy)
    push: bool | None = None


# 10 A x 3 draw 9.7 x 3 x 230 W = 6.7 kW; a step of three phases is 690 W, of one 230 W.
CASES = [
    Case(
        "held while the sun carries it",
        inverter(100), charger(9.7), told(10), Setpoint(10),
        "surplus 6.8 kW = car 6.7 + export 0.1", push=False,
    ),
    Case(
        "a little import is shown as none",
        inverter(-20), charger(9.7), told(10), Setpoint(10), "car 6.7 + export 0.0", push=False,
    ),
    Case(
        "down at once on an import",
        inverter(-1000), charger(9.7), told(10), Setpoint(9), "surplus 5.7 kW", push=True,
    ),
    Case(
        "a third of a step from the grid still pays",
        inverter(-200), charger(9.7), told(10), Setpoint(10), "export -0.2", push=False,
    ),
    Case(
        "not when nothing may be imported",
        inverter(-200), charger(9.7), told(10), Setpoint(9), "export -0.2",
        policy=Policy(export_margin_w=0),
    ),
    Case(
        "up to the step that pays",
        inverter(1400), charger(9.7), told(10), Setpoint(12), "surplus 8.1 kW", push=True,
    ),
    Case(
        "a rise waits 20 s after the last one",
        inverter(1400), charger(9.7), told(10, raised_at=NOW - timedelta(seconds=15)),
        Setpoint(10), "next raise within 20 s", push=False,
    ),
    Case(
        "a margin is kept",
        inverter(1400), charger(9.7), told(10), Setpoint(11), "- 0.5 margin",
        policy=Policy(export_margin_w=500),
    ),
    Case(
        "an import may be tolerated",
        inverter(-400), charger(9.7), told(10), Setpoint(10), "+ 0.5 margin",
        policy=Policy(export_margin_w=-500),
    ),
    Case(
        "what the law did just now is not counted twice",
        inverter(2100), charger(6.7, car_w=6.7 * 690),
        told(10, before_a=7, changed_at=NOW - timedelta(seconds=5)),
        Setpoint(10), "surplus 6.7 to 8.8 kW", push=False,
    ),
    Case(
        "no sun, no start",
        inverter(-400), charger(), told(0), Setpoint(0), "surplus -0.4 kW", push=False,
    ),
    Case(
        "some sun, not yet for long enough",
        inverter(1500), charger(), told(0), Setpoint(0), "surplus 1.5 kW", push=False,
    ),
    Case(
        "a start on one phase with 7 A",
        inverter(1000), charger(), told(0, accumulated_benefit_wh={1: 25.0}), Setpoint(7, 1),
        "start",
    ),
    Case(
        "a start on three phases",
        inverter(7000), charger(), told(0, accumulated_benefit_wh={1: 60.0, 3: 90.0}),
        Setpoint(10), "start",
    ),
    Case(
        "not again so soon",
        inverter(7000), charger(),
        told(0, accumulated_benefit_wh={3: 90.0}, started_at=NOW - timedelta(seconds=200)),
        Setpoint(0), "next start in 100 s",
    ),
    Case(
        "the lowest current while a cloud passes",
        inverter(-1400), charger(5.7, 1), told(6, 1), Setpoint(6, 1), "pause if this lasts",
        push=False,
    ),
    Case(
        "a pause when it lasts",
        inverter(-1400), charger(5.7, 1), told(6, 1, accumulated_benefit_wh={0: 40.0}),
        Setpoint(0, 1),
        "pause, 43 Wh more without", push=True,
    ),
    Case(
        "never a pause with solar+minimum",
        inverter(-1400), charger(5.7, 1), told(6, 1, accumulated_benefit_wh={0: 400.0}),
        Setpoint(6, 1),
        "surplus -0.1 kW", policy=Policy(mode="solar+minimum"),
    ),
    Case(
        "solar+minimum starts without sun",
        inverter(-400), charger(), told(0), Setpoint(7, 1), "start",
        policy=Policy(mode="solar+minimum"),
    ),
    Case(
        "three phases once it has missed enough",
        inverter(3000), charger(15.7, 1), told(16, 1, accumulated_benefit_wh={3: 80.0}),
        Setpoint(10),
        "three phases",
    ),
    Case(
        "not so soon after a change",
        inverter(3000), charger(15.7, 1),
        told(16, 1, accumulated_benefit_wh={3: 80.0}, switched_at=NOW - timedelta(minutes=4)),
        Setpoint(16, 1), "surplus 6.6 kW",
    ),
    Case(
        "one phase when the sun fades",
        inverter(-2500), charger(5.7), told(6, accumulated_benefit_wh={1: 80.0}), Setpoint(7, 1),
        "one phase",
    ),
    Case(
        "no change of phases on an IT grid",
        inverter(-1800), charger(5.7, car_w=2270, grid_type=4),
        told(6, accumulated_benefit_wh={1: 80.0}), Setpoint(6),
        "pause if this lasts",
    ),
    Case(
        "the policy's phases at once",
        inverter(0), charger(9.7), told(10), Setpoint(16, 1), "surplus 6.7 kW",
        policy=Policy(phases="1"),
    ),
    Case(
        "the policy's limit",
        inverter(3000), charger(9.7), told(10), Setpoint(12), "surplus 9.7 kW",
        policy=Policy(max_current_a=12),
    ),
    Case(
        "the circuit's limit at once",
        inverter(0), charger(9.7, circuit_max_current_a=(8.0, 8.0, 8.0)), told(10), Setpoint(8),
        "surplus 6.7 kW",
    ),
    Case(
        "another hand on the charger is named",
        inverter(0), charger(5.7, charger_current_a=4.0), told(6), Setpoint(0),
        "the Easee app or another controller allows 4 A",
    ),
    Case(
        "the battery first below 80 %",
        with_battery(500, 1000, 79), charger(9.7), told(10), Setpoint(6),
        "battery 1.0 - 5.0 battery reserve", policy=Policy(battery_first_until_pct=80),
    ),
    Case(
        "the car first from 80 % on",
        with_battery(500, 1000, 80), charger(9.7), told(10), Setpoint(12),
        "surplus 8.2 kW = car 6.7 + export 0.5 + battery 1.0",
        policy=Policy(battery_first_until_pct=80),
    ),
    Case(
        "a little more than the surplus at 100 %",
        with_battery(300, 0, 100), charger(9.7), told(10), Setpoint(11), "+ 0.5 battery assist",
        policy=Policy(battery_support_w=500),
    ),
    Case(
        "the battery does not drive the car",
        with_battery(0, -1500, 60), charger(9.7), told(10), Setpoint(7), "battery -1.5",
        policy=Policy(battery_lends_kwh=0),
    ),
    Case(
        "unless the owner lets it lend: then for some Wh",
        with_battery(0, -1500, 60), charger(9.7), told(10), Setpoint(10), "battery -1.5",
    ),
    Case(
        "and no longer",
        with_battery(0, -1500, 60), charger(9.7), told(10, accumulated_step_benefit_wh=5.0),
        Setpoint(8), "battery -1.5",
    ),
    Case(
        "main fuse: the worst phase decides",
        inverter(-3000, grid_current_phase_a=(-27.0, -8.0, -2.0)), charger(15.7), told(16),
        Setpoint(11), "main fuse 25 A: L1 imports 27 A", policy=Policy(mode="fast"), push=True,
    ),
    Case(
        "main fuse: a pause when it leaves less than 6 A",
        inverter(-9000, grid_current_phase_a=(-36.0, -16.0, -16.0)), charger(15.7), told(16),
        Setpoint(0), "main fuse 25 A: L1 imports 36 A", policy=Policy(mode="fast"),
    ),
    Case(
        "fast holds for a minute without a meter",
        inverter(None, battery_charge_w=None), charger(15.7), told(16), Setpoint(16),
        "unknown for 0 s: grid power", policy=Policy(mode="fast"), push=False,
    ),
    Case(
        "fast without a meter for longer leaves half of the fuse to the house",
        inverter(None, battery_charge_w=None), charger(15.7),
        told(16, unknown_since=NOW - timedelta(seconds=61)), Setpoint(11),
        "meter unknown: half of the main fuse, 11 A", policy=Policy(mode="fast"),
    ),
    Case(
        "fast at night, as much as the limits allow",
        inverter(-500), charger(), told(0), Setpoint(16), "fast", policy=Policy(mode="fast"),
    ),
    Case(
        "a full car keeps the lowest offer",
        inverter(6000), charger(0, mode=ChargerMode.COMPLETED), told(12), Setpoint(6),
        "the car takes nothing",
    ),
    Case(
        "a car that takes less than offered does not hide the sun",
        inverter(0), charger(9.7), told(16), Setpoint(10), "surplus 6.7 kW = car 6.7",
    ),
    Case(
        "renewed before its time to live ends",
        inverter(100), charger(9.7), told(10, pushed_at=NOW - RENEW_AFTER), Setpoint(10),
        "surplus", push=True,
    ),
    Case(
        "sent again when the charger allows more than it was told",
        inverter(-400), charger(circuit_current_a=(40.0, 40.0, 40.0)), told(0), Setpoint(0),
        "charger reports 40 A; resending", push=True,
    ),
    Case(
        "night",
        InverterReading.sleeping(NOW), charger(), told(0), Setpoint(0), "inverter asleep",
    ),
    Case(
        "a missing meter is not zero: held for a minute",
        inverter(None), charger(9.7), told(10), Setpoint(10), "grid power (meter offline?)",
        push=False,
    ),
    Case(
        "then the lowest current",
        inverter(None), charger(9.7), told(10, unknown_since=NOW - timedelta(seconds=61)),
        Setpoint(6), "unknown for 61 s", push=True,
    ),
    Case(
        "then a pause",
        inverter(None), charger(5.7), told(6, unknown_since=NOW - timedelta(minutes=5)),
        Setpoint(0), "unknown for 300 s", push=True,
    ),
    Case(
        "a silent inverter likewise",
        inverter(0, taken_at=NOW - timedelta(seconds=70)), charger(9.7),
        told(10, unknown_since=NOW - timedelta(seconds=61)), Setpoint(6), "inverter (silent)",
    ),
    Case(
        "an offline charger likewise",
        inverter(0), charger(9.7, online=False),
        told(10, unknown_since=NOW - timedelta(seconds=61)), Setpoint(6), "charger (offline)",
    ),
    Case("off", inverter(9000), charger(), told(0), None, "off", policy=Policy(mode="off")),
    Case(
        "no car: the next one may start on one phase",
        inverter(9000), charger(mode=ChargerMode.DISCONNECTED), told(0), Setpoint(7, 1), "no car",
    ),
    Case(
        "no car and no surplus: the next one waits",
        inverter(-300), charger(mode=ChargerMode.DISCONNECTED), told(0), Setpoint(0), "no car",
    ),
    Case(
        "locked", inverter(9000), charger(mode=ChargerMode.AWAITING_AUTHENTICATION), told(0),
        Setpoint(7, 1),
        "unlocked",
    ),
    Case(
        "a schedule in the app", inverter(9000), charger(reason_for_no_current=54), told(0), None,
        "schedule",
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case) -> None:
    decision = decide(
        CycleInputs(NOW, case.inverter, case.charger, case.policy), case.controller_state
    )
    assert (decision.setpoint, decision.reason) == (case.setpoint, decision.reason)
    assert case.because in decision.reason
    if case.push is not None:
        assert decision.push == case.push


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 10"):
        Policy(min_current_a=20)
    with pytest.raises(ValidationError, match="greater than or equal to 10"):
        Policy(max_current_a=8)
    with pytest.raises(ValidationError, match="Extra inputs"):
        Policy.model_validate({"max_current": 10})


def test_a_charge_under_way_before_the_first_cycle_is_not_interrupted() -> None:
    state = charger(9.7, output_current_a=10.0, output_phases=3)
    decision = decide(CycleInputs(NOW, inverter(100), state, Policy()), ControllerState())
    assert decision.setpoint == Setpoint(10)
    assert decision.push


def test_memory_of_another_version_is_read() -> None:
    stored = {"setpoint_a": 8, "forgotten": 1}
    assert ControllerState.model_validate(stored) == ControllerState(setpoint_a=8)


def test_the_phases_of_the_car_are_learned_from_what_the_cloud_sends() -> None:
    values = {"mode": 3, "output_phases": 30, "car_w": 2.2, "connected_to_cloud": True}
    values |= {"car_current_l1_a": 9.7, "car_current_l2_a": 0.0, "car_current_l3_a": 0.0}
    observed_at = NOW - timedelta(minutes=2)
    state = charger_state(
        [
            Observation(id=OBSERVATION_IDS[name], timestamp=observed_at, value=value)
            for name, value in values.items()
        ],
        NOW,
    )
    assert decide(CycleInputs(NOW, inverter(0), state, Policy()), told(10)).state.car.lines == {
        3: 1
    }


def test_a_renewal_is_no_change() -> None:
    controller_state = told(10, accumulated_benefit_wh={0: 3.0})
    renewed = after_push(controller_state, Setpoint(10), NOW)
    assert renewed == controller_state.model_copy(update={"pushed_at": NOW})


def test_blind_for_long_means_a_pause_and_then_on_again() -> None:
    """No current is held for ever, and nobody has to do anything when the meter is back."""
    controller_state = told(10)
    seen: list[tuple[int, int | None]] = []
    for second in range(0, 400, 10):
        now = NOW + timedelta(seconds=second)
        decision = decide(
            CycleInputs(now, InverterReading.unknown(now), charger(9.7), Policy()), controller_state
        )
        controller_state = _follow(decision, now)
        seen.append((second, controller_state.setpoint_a))
    assert seen[5] == (50, 10)
    assert seen[7] == (70, 6)
    assert seen[-1] == (390, 0)
    back = NOW + timedelta(seconds=400)
    for second in range(0, 120, 10):
        now = back + timedelta(seconds=second)
        decision = decide(
            CycleInputs(now, inverter(6000, taken_at=now), charger(), Policy()), controller_state
        )
        controller_state = _follow(decision, now)
    assert controller_state.setpoint_a == 9


def _follow(decision: Decision, now: datetime) -> ControllerState:
    return (decision.pushed(now) if decision.push else decision).state
