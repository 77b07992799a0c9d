"""Somebody else at the charger: noticed, named, not fought; and commands that were not obeyed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import TIME_TO_LIVE, ControllerState
from easee_load_balancer.measurements import (
    CIRCUIT_CURRENTS_OBSERVED,
    ChargerMode,
    ChargerState,
    InverterReading,
    PhaseValues,
    Setpoint,
)
from tests.support.control_readings import LONG_AGO, NOW, charger, inverter, told

FAST = Policy(mode="fast")
A_MINUTE_AGO = NOW - timedelta(minutes=1)


def shows(
    circuit_a: PhaseValues, seconds_ago: float = 60, drawn_a: float = 9.7, **other: Any
) -> ChargerState:
    """A charger whose circuit current was observed then."""
    seen_at = NOW - timedelta(seconds=seconds_ago)
    state = charger(drawn_a, circuit_current_a=circuit_a, **other)
    times = {"car_w": LONG_AGO, **dict.fromkeys(CIRCUIT_CURRENTS_OBSERVED, seen_at)}
    return replace(state, observed_at=times)


@dataclass(frozen=True)
class Case:
    """What the charger shows and what is remembered; what is to come of it."""

    name: str
    charger: ChargerState
    controller_state: ControllerState
    setpoint: Setpoint
    because: str
    push: bool
    policy: Policy = field(default_factory=lambda: FAST)
    inverter: InverterReading = field(default_factory=lambda: inverter(500))


# `told` commanded 20 minutes ago; the car draws 0.3 A less than it is offered
CASES = [
    Case(
        "a lower circuit current of somebody else is kept",
        shows((10.0,) * 3), told(16), Setpoint(10),
        "another controller of the circuit allows 10 A", push=False,
    ),
    Case(
        "on the sun as well, and named there too",
        shows((10.0,) * 3), told(16), Setpoint(10),
        "another controller of the circuit allows 10 A", push=False, policy=Policy(),
        inverter=inverter(5000),
    ),
    Case(
        "less than theirs may be commanded",
        shows((10.0,) * 3), told(16), Setpoint(9), "surplus 5.7 kW", push=True, policy=Policy(),
        inverter=inverter(-1000),
    ),
    Case(
        "a pause of somebody else is kept",
        shows((0.0,) * 3, drawn_a=0), told(16), Setpoint(0),
        "another controller of the circuit allows 0 A", push=False,
    ),
    Case(
        "one phase of somebody else is kept",
        shows((10.0, 0.0, 0.0), drawn_a=0), told(16), Setpoint(10, 1),
        "another controller of the circuit allows 10 A", push=False,
    ),
    Case(
        "remembered after a lower command of ours",
        shows((8.0,) * 3, drawn_a=7.7), told(8, external_limit_a=(10.0,) * 3), Setpoint(10),
        "another controller of the circuit allows 10 A", push=True,
    ),
    Case(
        "until it is raised again",
        shows((16.0,) * 3), told(10, external_limit_a=(10.0,) * 3), Setpoint(16), "fast", push=True,
    ),
    Case(
        "what the charger showed before our command is nobody else's",
        shows((10.0,) * 3, seconds_ago=3000), told(16), Setpoint(16), "fast", push=True,
    ),
    Case(
        "nor is what it shows in the moments after it",
        shows((10.0,) * 3, seconds_ago=5), told(16, pushed_at=NOW - timedelta(seconds=8)),
        Setpoint(16), "fast", push=False,
    ),
    Case(
        "nor what is left when the time to live has ended",
        shows((10.0,) * 3), told(16, pushed_at=A_MINUTE_AGO - TIME_TO_LIVE), Setpoint(16),
        "fast", push=True,
    ),
    Case(
        "nor is what the charger falls back to when it is offline",
        shows((10.0,) * 3, offline_current_a=(10.0,) * 3), told(16), Setpoint(16),
        "charger reports 10 A; resending", push=True,
    ),
    Case(
        "more than we told it is set back, and said",
        shows((32.0,) * 3, drawn_a=7.7), told(8), Setpoint(8),
        "charger reports 32 A; resending", push=True, policy=Policy(),
        inverter=inverter(100),
    ),
    Case(
        "a command that was accepted and never done is repeated",
        shows((8.0,) * 3, seconds_ago=3000, drawn_a=7.7), told(16), Setpoint(16),
        "charger reports 8 A; resending", push=True,
    ),
    Case(
        "the Equalizer is named",
        shows((16.0,) * 3, output_current_a=9.0, reason_for_no_current=28), told(16),
        Setpoint(16), "the Equalizer allows 9 A", push=False,
    ),
    Case(
        "so is the limit of the app while it binds",
        shows((10.0,) * 3, charger_current_a=10.0), told(10), Setpoint(10),
        "the Easee app or another controller allows 10 A", push=False, policy=Policy(),
        inverter=inverter(5000),
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case) -> None:
    decision = decide(
        CycleInputs(NOW, case.inverter, case.charger, case.policy), case.controller_state
    )
    assert (decision.setpoint, decision.push) == (case.setpoint, case.push), decision.reason
    assert case.because in decision.reason


def test_another_limit_ends_with_the_visit() -> None:
    controller_state = told(10, external_limit_a=(10.0,) * 3)
    gone = decide(
        CycleInputs(NOW, inverter(0), charger(mode=ChargerMode.DISCONNECTED), FAST),
        controller_state,
    )
    assert gone.state.external_limit_a is None
    off = decide(
        CycleInputs(NOW, inverter(0), shows((10.0,) * 3), Policy(mode="off")), controller_state
    )
    assert off.state.external_limit_a is None


def cycles(controller_state: ControllerState, states: list[ChargerState]) -> list[Decision]:
    """Decisions one after the other, each with what the one before left; pushes are accepted."""
    made = []
    for state in states:
        decision = decide(CycleInputs(NOW, inverter(500), state, FAST), controller_state)
        controller_state = (decision.pushed(NOW) if decision.push else decision).state
        made.append(decision)
    return made


def test_another_limit_holds_from_cycle_to_cycle() -> None:
    made = cycles(told(16), [shows((10.0,) * 3)] * 3)
    assert [(one.setpoint, one.push) for one in made] == [(Setpoint(10), False)] * 3


@pytest.mark.parametrize(
    ("shown_a", "seconds_ago", "asked_s_ago", "held"),
    [
        pytest.param(10.0, 20, 30, Setpoint(10), id="taken"),
        pytest.param(16.0, 3000, 30, Setpoint(16), id="not taken"),
        pytest.param(16.0, 3000, 10, None, id="not yet known"),
        pytest.param(12.0, 40, 30, Setpoint(12), id="another one"),
    ],
)
def test_a_command_without_an_answer(
    shown_a: float, seconds_ago: float, asked_s_ago: float, held: Setpoint | None
) -> None:
    """16 A commanded, then 10 A without an answer: the charger shows it, or it is sent again."""
    doubtful = told(16).with_pending(Setpoint(10), NOW - timedelta(seconds=asked_s_ago))
    word = ControllerState.pending_record(Setpoint(10), NOW - timedelta(seconds=asked_s_ago))
    assert told(16).after_crash(word) == doubtful
    (made,) = cycles(doubtful, [shows((shown_a,) * 3, seconds_ago)])
    assert made.state.external_limit_a is None
    assert made.state.is_pending == (held is None)
    if held is None:
        assert made.push
        assert not made.pushed(NOW).state.is_pending
    else:
        assert made.state.setpoint == held


def test_a_command_that_is_taken_late_is_nobody_elses() -> None:
    """10 A without an answer take effect after the 16 A that were sent next."""
    late = told(16, pushed_at=A_MINUTE_AGO).with_pending(Setpoint(10), NOW - timedelta(minutes=2))
    made = cycles(late, [shows((10.0,) * 3, seconds_ago=40)])
    assert made[0].setpoint == Setpoint(16)
    assert made[0].state.external_limit_a is None


@pytest.mark.parametrize("word", ["", "half", '{"pending_a": "x"}', "[1]", "1"])
def test_a_word_that_makes_no_sense_is_none(word: str) -> None:
    assert told(10).after_crash(word) == told(10)


def test_a_command_is_pending_counts_for_the_fuse_whether_taken_or_not() -> None:
    """L1 imports 22 A, and 16 or 10 A of it are the car: it must not rise above 22 A."""
    reading = inverter(-9000, grid_current_phase_a=(-22.0, -10.0, -10.0))
    controller_state = told(16).with_pending(Setpoint(10), A_MINUTE_AGO)
    for drawn_a in (9.7, 15.7):
        decision = decide(CycleInputs(NOW, reading, charger(drawn_a), FAST), controller_state)
        assert decision.setpoint is not None
        assert decision.setpoint.current_a - 9.7 <= 23 - 22


@pytest.mark.parametrize(
    ("before", "after", "lowers"),
    [
        (told(16), Setpoint(10), True),
        (told(16), Setpoint(16, 1), True),
        (told(10, phases=1), Setpoint(8, 3), True),
        (told(10), Setpoint(16), False),
        (told(10), Setpoint(10), False),
        (ControllerState(), Setpoint(6), False),
        (told(16), None, False),
    ],
)
def test_a_command_that_takes_current_from_a_conductor_is_urgent(
    before: ControllerState, after: Setpoint | None, lowers: bool
) -> None:
    assert Decision(after, push=True, reason="", state=before).lowers is lowers


def test_times_from_before_the_clock_was_set_back_stop_nothing() -> None:
    later = NOW + timedelta(hours=1)
    controller_state = told(
        10, pushed_at=later, changed_at=later, unknown_since=later, assessed_at=later
    )
    blind = decide(CycleInputs(NOW, inverter(None), charger(9.7), Policy()), controller_state)
    assert blind.reason == "10 A x 3: unknown for 0 s: grid power (meter offline?)"
    assert decide(CycleInputs(NOW, inverter(100), charger(9.7), Policy()), controller_state).push


def test_a_cycle_that_has_lost_its_memory_raises_nothing() -> None:
    lost = ControllerState.lost(NOW)
    for drawn_a, told_a in ((0, 0), (9.7, 10)):
        state = charger(drawn_a, output_current_a=float(told_a), output_phases=3)
        decision = decide(CycleInputs(NOW, inverter(6000), state, FAST), lost)
        assert decision.setpoint == Setpoint(told_a), decision.reason
    overload = inverter(-9000, grid_current_phase_a=(-30.0, -10.0, -10.0))
    state = charger(15.7, output_current_a=16.0, output_phases=3)
    decision = decide(CycleInputs(NOW, overload, state, FAST), lost)
    assert decision.setpoint == Setpoint(8)
    assert decision.push
