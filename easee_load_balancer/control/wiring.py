"""Which phase of the house each phase of the charger is connected to, from changing currents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from easee_load_balancer.control.car_model import currents_seen_at, lines_in_use
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.measurements import ChargerState

_SETTLED = timedelta(seconds=5)
"""Observed this long after a command, the current is the new one."""
_LEAST_CHANGE_A = 3.0
"""A smaller change of the car's current says little among the house's own loads."""


def learn_wiring(
    state: ControllerState, charger: ChargerState, imports_a: Sequence[float] | None
) -> ControllerState:
    """The state after the effect of the last change on the house's phases.

    A one-phase car's current has to be followed by one phase of the house and no other. Two
    changes that agree prove the connection.
    """
    then, before, changed_at = state.imports_before_a, state.car_currents_before_a, state.changed_at
    seen_at = currents_seen_at(charger)
    amps = [value for value in charger.car_current_a if value is not None]
    if imports_a is None or then is None or before is None or len(amps) < 3:
        return state
    if changed_at is None or state.wiring_checked_at == changed_at:
        return state
    if seen_at is None or seen_at < changed_at + _SETTLED:
        return state
    state = state.model_copy(update={"wiring_checked_at": changed_at})
    if lines_in_use([max(pair) for pair in zip(amps, before, strict=True)]) != 1:
        return state
    line = max(range(3), key=lambda index: max(amps[index], before[index]))
    house_phase = _follower(amps[line] - before[line], then, imports_a)
    if house_phase is None:
        return state
    vote = (line, house_phase)
    if state.wiring_vote == vote:
        return state.model_copy(update={"wiring": state.wiring | {line: house_phase}})
    wiring = {one: phase for one, phase in state.wiring.items() if one != line}
    return state.model_copy(update={"wiring_vote": vote, "wiring": wiring})


def _follower(change_a: float, then: Sequence[float], now: Sequence[float]) -> int | None:
    """The only phase of the house whose import changed like the car's current."""
    if abs(change_a) < _LEAST_CHANGE_A or len(then) != len(now):
        return None
    tolerance_a = max(1.5, 0.3 * abs(change_a))
    changes = [after - before for before, after in zip(then, now, strict=True)]
    followers = [
        phase for phase, change in enumerate(changes) if abs(change - change_a) <= tolerance_a
    ]
    others = [abs(change) for phase, change in enumerate(changes) if phase not in followers]
    if len(followers) != 1 or max(others, default=0.0) > tolerance_a:
        return None
    return followers[0]
