"""Whether the charger has applied our command, or another controller's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from easee_load_balancer.control.power_estimate import CLOUD_SETTLES
from easee_load_balancer.control.state import (
    CAR_STARTS,
    TIME_TO_LIVE,
    ControllerState,
    Phases,
    after_push,
)
from easee_load_balancer.measurements import (
    CIRCUIT_CURRENTS_OBSERVED,
    MIN_CURRENT_A,
    ChargerMode,
    ChargerState,
    ReasonForNoCurrent,
    Setpoint,
)

_Amperes = tuple[float, float, float]

_APPLIED = timedelta(seconds=10)
"""From a command until the charger has applied it."""
_SHOWN = timedelta(seconds=25)
"""From a command until the cloud shows that the charger has applied it."""
_LATE = timedelta(minutes=10)
"""A pending command is not applied any more after this long."""
_CONTROLLERS: Mapping[int, str] = {
    ReasonForNoCurrent.LIMITED_BY_EQUALIZER: "the Equalizer",
    ReasonForNoCurrent.LIMITED_BY_LOAD_BALANCING: "load balancing of the circuit",
    ReasonForNoCurrent.LIMITED_BY_SCHEDULE: "a schedule",
}
"""Reasons for less current that name another controller."""


def acknowledge_command(
    now: datetime, charger: ChargerState, state: ControllerState
) -> ControllerState:
    """The state once the charger shows whether it has applied the pending command."""
    pending, sent_at, shown = state.pending, state.pending_at, _shown(charger)
    if not state.is_pending or pending is None or sent_at is None or shown is None:
        return state
    seen_at = _seen_at(charger) or sent_at
    if seen_at >= sent_at and shown == pending.circuit_current_a:
        return after_push(state, pending, sent_at).model_copy(update={"changed_at": seen_at})
    if state.since(sent_at, now) < _SHOWN:
        return state
    return _holding(shown, seen_at, state).model_copy(update={"is_pending": False})


def notice_external_limit(
    charger: ChargerState, state: ControllerState, *, ignore: bool = False
) -> ControllerState:
    """The state with what another controller has set on the circuit since our last command.

    A current below ours is a limit from then on, and the active setpoint. It ends when the
    charger shows more, when the car leaves, or when the charger is left alone (`ignore`).
    """
    active, limit_a, shown = state.setpoint, state.external_limit_a, _shown(charger)
    if ignore or (charger.online and charger.mode is ChargerMode.DISCONNECTED):
        return state.model_copy(update={"external_limit_a": None})
    if active is None or shown is None:
        return state
    if limit_a is not None and any(a > b for a, b in zip(shown, limit_a, strict=True)):
        state = state.model_copy(update={"external_limit_a": None})
    seen_at = _seen_at(charger)
    if seen_at is None or not _less(charger, active) or not _by_another_controller(charger, state):
        return state
    return _holding(shown, seen_at, state).model_copy(update={"external_limit_a": shown})


def unconfirmed_current(
    now: datetime, charger: ChargerState, state: ControllerState
) -> float | None:
    """The circuit current in A that the charger reports long after another was commanded."""
    active = state.setpoint
    if active is None or state.pushed_at is None:
        return None
    age, seen_at = state.since(state.pushed_at, now), _seen_at(charger)
    if age >= CLOUD_SETTLES:
        for amps, allowed in zip(charger.circuit_current_a, active.circuit_current_a, strict=True):
            if amps is not None and amps > allowed:
                return amps
    if not _less(charger, active):
        return None
    unmoved = seen_at is not None and seen_at < state.pushed_at
    ours = unmoved or _applied_late(charger, state)
    if (_fallen_back(charger) and age >= CLOUD_SETTLES) or (ours and age >= CAR_STARTS):
        return min(amps for amps in charger.circuit_current_a if amps is not None)
    return None


def other_controller(charger: ChargerState, current_a: int) -> str:
    """Which other controller gives the car less than this, and how much; empty if none does."""
    who = _CONTROLLERS.get(charger.reason_for_no_current or ReasonForNoCurrent.NONE)
    given_a = charger.output_current_a
    if who is None or given_a is None or given_a >= current_a:
        return ""
    return f"{who} allows {given_a:.0f} A"


def _holding(shown: _Amperes, seen_at: datetime, state: ControllerState) -> ControllerState:
    """The state when the charger holds what it shows."""
    before = state.setpoint or Setpoint(0, state.phases)
    l1, l2, l3 = shown
    phases: Phases = 1 if l1 >= MIN_CURRENT_A and not l2 and not l3 else before.phases
    current_a = int(min(shown[:phases]))
    holds = Setpoint(current_a if current_a >= MIN_CURRENT_A else 0, phases)
    if holds == before:
        return state
    return state.model_copy(
        update={
            "setpoint_a": holds.current_a,
            "phases": holds.phases,
            "before_a": before.current_a,
            "before_phases": before.phases,
            "changed_at": seen_at,
            "attempt_at": seen_at,
            "accumulated_step_benefit_wh": 0.0,
        }
    )


def _shown(charger: ChargerState) -> _Amperes | None:
    """The circuit current that the charger shows; None where one of three is unknown."""
    l1, l2, l3 = charger.circuit_current_a
    return None if l1 is None or l2 is None or l3 is None or not charger.online else (l1, l2, l3)


def _less(charger: ChargerState, commanded: Setpoint) -> bool:
    pairs = zip(charger.circuit_current_a, commanded.circuit_current_a, strict=True)
    return any(amps is not None and int(amps) < wanted for amps, wanted in pairs)


def _by_another_controller(charger: ChargerState, state: ControllerState) -> bool:
    """Whether the charger's value came neither of our last command nor of its end."""
    seen_at, pushed_at = _seen_at(charger), state.pushed_at
    if seen_at is None or pushed_at is None or state.is_pending:
        return False
    if _fallen_back(charger) or _applied_late(charger, state):
        return False
    return _APPLIED <= seen_at - pushed_at < TIME_TO_LIVE - timedelta(minutes=1)


def _fallen_back(charger: ChargerState) -> bool:
    """Whether the circuit is at the current that it falls back to without commands."""
    return charger.circuit_current_a == charger.offline_current_a


def _applied_late(charger: ChargerState, state: ControllerState) -> bool:
    """Whether the charger shows a command of ours that was pending before the last one."""
    seen_at, sent_at = _seen_at(charger), state.pending_at
    if seen_at is None or sent_at is None or state.pending is None:
        return False
    return charger.circuit_current_a == state.pending.circuit_current_a and (
        timedelta() <= seen_at - sent_at < _LATE
    )


def _seen_at(charger: ChargerState) -> datetime | None:
    """When the charger observed its circuit current."""
    times = [charger.observed_at.get(name) for name in CIRCUIT_CURRENTS_OBSERVED]
    return max((at for at in times if at is not None), default=None)
