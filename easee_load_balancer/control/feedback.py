"""Whether the charger does what it was told, or what somebody else told it."""

from __future__ import annotations

from datetime import datetime, timedelta

from easee_load_balancer.control.power_estimate import CAR_STARTS, CLOUD_SETTLES
from easee_load_balancer.control.state import TIME_TO_LIVE, ControllerState, Phases, after_push
from easee_load_balancer.measurements import (
    CIRCUIT_CURRENTS_OBSERVED,
    MIN_CURRENT_A,
    ChargerMode,
    ChargerState,
    Setpoint,
)

_Amperes = tuple[float, float, float]

_TAKEN = timedelta(seconds=10)
"""From a command until the charger has taken it."""
_SHOWN = timedelta(seconds=25)
"""From a command until the cloud shows that the charger has taken it."""
_LATE = timedelta(minutes=10)
"""A command in doubt is not taken any more after so long."""
_OTHERS = {28: "the Equalizer", 29: "load balancing of the circuit", 76: "a schedule"}
"""Reasons for less current that are other hands."""


def resolve_doubt(now: datetime, charger: ChargerState, state: ControllerState) -> ControllerState:
    """The state when the charger shows whether it has taken the command that was in doubt."""
    asked, asked_at, shown = state.asked, state.asked_at, _shown(charger)
    if not state.in_doubt or asked is None or asked_at is None or shown is None:
        return state
    seen_at = _seen_at(charger) or asked_at
    if seen_at >= asked_at and shown == asked.circuit_current_a:
        return after_push(state, asked, asked_at).model_copy(update={"changed_at": seen_at})
    if state.since(asked_at, now) < _SHOWN:
        return state
    return _holding(shown, seen_at, state).model_copy(update={"in_doubt": False})


def notice_other_hands(
    charger: ChargerState, state: ControllerState, *, leave: bool = False
) -> ControllerState:
    """The state with what somebody else has set on the circuit since our last command.

    A current below ours is a limit from then on, and what the charger holds. It ends when the
    charger shows more, with the car's visit, or when we leave the charger alone.
    """
    held, before, shown = state.setpoint, state.elsewhere_a, _shown(charger)
    if leave or (charger.online and charger.mode is ChargerMode.DISCONNECTED):
        return state.model_copy(update={"elsewhere_a": None})
    if held is None or shown is None:
        return state
    if before is not None and any(
        amps > limit_a for amps, limit_a in zip(shown, before, strict=True)
    ):
        state = state.model_copy(update={"elsewhere_a": None})
    seen_at = _seen_at(charger)
    if seen_at is None or not _less(charger, held) or not _by_somebody_else(charger, state):
        return state
    return _holding(shown, seen_at, state).model_copy(update={"elsewhere_a": shown})


def disobeyed(
    now: datetime, setpoint: Setpoint, charger: ChargerState, state: ControllerState
) -> float | None:
    """The circuit current in A that the charger shows long after another was commanded."""
    if state.pushed_at is None:
        return None
    age, seen_at = state.since(state.pushed_at, now), _seen_at(charger)
    told = setpoint.circuit_current_a
    if age >= CLOUD_SETTLES:
        for amps, allowed in zip(charger.circuit_current_a, told, strict=True):
            if amps is not None and amps > allowed:
                return amps
    if not _less(charger, setpoint):
        return None
    unmoved = seen_at is not None and seen_at < state.pushed_at
    ours = unmoved or _taken_late(charger, state)
    if (_fallen_back(charger) and age >= CLOUD_SETTLES) or (ours and age >= CAR_STARTS):
        return min(amps for amps in charger.circuit_current_a if amps is not None)
    return None


def other_limit(charger: ChargerState, current_a: int) -> str:
    """Who gives the car less than this, and how much; empty where nobody does."""
    who = _OTHERS.get(charger.reason_for_no_current or 0)
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
            "missed_step_wh": 0.0,
        }
    )


def _shown(charger: ChargerState) -> _Amperes | None:
    """The circuit current that the charger shows; None where one of three is unknown."""
    l1, l2, l3 = charger.circuit_current_a
    return None if l1 is None or l2 is None or l3 is None or not charger.online else (l1, l2, l3)


def _less(charger: ChargerState, told: Setpoint) -> bool:
    pairs = zip(charger.circuit_current_a, told.circuit_current_a, strict=True)
    return any(amps is not None and int(amps) < wanted for amps, wanted in pairs)


def _by_somebody_else(charger: ChargerState, state: ControllerState) -> bool:
    """Whether the charger's value came neither of our last command nor of its end."""
    seen_at, pushed_at = _seen_at(charger), state.pushed_at
    if seen_at is None or pushed_at is None or state.in_doubt:
        return False
    if _fallen_back(charger) or _taken_late(charger, state):
        return False
    return _TAKEN <= seen_at - pushed_at < TIME_TO_LIVE - timedelta(minutes=1)


def _fallen_back(charger: ChargerState) -> bool:
    """Whether the circuit has what it has when nobody commands it."""
    return charger.circuit_current_a == charger.offline_current_a


def _taken_late(charger: ChargerState, state: ControllerState) -> bool:
    """Whether the charger shows a command of ours that was in doubt before the last one."""
    seen_at, asked_at = _seen_at(charger), state.asked_at
    if seen_at is None or asked_at is None or state.asked is None:
        return False
    return charger.circuit_current_a == state.asked.circuit_current_a and (
        timedelta() <= seen_at - asked_at < _LATE
    )


def _seen_at(charger: ChargerState) -> datetime | None:
    """When the charger observed its circuit current."""
    times = [charger.observed_at.get(name) for name in CIRCUIT_CURRENTS_OBSERVED]
    return max((at for at in times if at is not None), default=None)
