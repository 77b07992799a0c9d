"""Rules about cars that do not draw: starting, asleep, full, or not there yet."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from easee_load_balancer.control.behaviour import car_is_absent
from easee_load_balancer.control.cycle_inputs import Assessment, Proposal
from easee_load_balancer.control.state import START_PATIENCE, Attempt, Phases
from easee_load_balancer.measurements import ChargerMode

START_CURRENT_A = 7
"""Some firmware waits five minutes when charging starts at 6 A."""
WAKE_UP_PAUSE = timedelta(seconds=60)
"""A pause this long wakes the cars that need one."""
RESTING_CHANGES = timedelta(minutes=30)
"""The offer to a car that takes nothing changes no more often than this."""
PREPARED_CHANGES = timedelta(minutes=5)
"""What is prepared for the next car is raised no more often than this."""
STARTING = "the car is starting"
"""In the reason of a decision."""


def start_current_a(case: Assessment) -> int:
    """The current to start with, in A."""
    return max(START_CURRENT_A, case.inputs.policy.min_current_a)


def is_starting(case: Assessment) -> bool:
    """Whether a car that is offered current may still be on its way to drawing it."""
    present = not car_is_absent(case.inputs.charger) and not case.drawing
    return present and case.since(case.state.attempt_at) < START_PATIENCE


def wake_car(case: Assessment, proposal: Proposal) -> Proposal:
    """A car that let a start pass: the other phases, a pause, both once more; then rest."""
    charger, state, active = case.inputs.charger, case.state, case.active
    asleep = charger.mode in (ChargerMode.AWAITING_START, ChargerMode.READY_TO_CHARGE)
    full = charger.mode is ChargerMode.COMPLETED
    if case.drawing or not (asleep or full):
        return proposal
    if not active.current_a:
        if state.attempt is not Attempt.WAKE_UP or state.drew:
            return proposal
        if case.since(state.changed_at) < WAKE_UP_PAUSE:
            return replace(proposal, current_a=0, why="a pause to wake the car")
        return Proposal(active.phases, start_current_a(case), "start after a pause to wake the car")
    if is_starting(case) or not proposal.current_a:
        return proposal
    if full or state.drew or state.attempt is Attempt.LAST:
        return _rest(case, proposal)
    others: list[Phases] = [one for one in case.possible if one != active.phases]
    if state.attempt in (Attempt.FIRST, Attempt.AGAIN):
        if others:
            tried = "one phase" if active.phases == 1 else "three phases"
            return Proposal(others[0], start_current_a(case), f"the car does not start on {tried}")
        if state.attempt is Attempt.AGAIN:
            return _rest(case, proposal)
    return Proposal(active.phases, 0, "the car does not start: a pause to wake it")


def _rest(case: Assessment, proposal: Proposal) -> Proposal:
    """The minimum offer, on the phases that suit the surplus, for when the car wants again."""
    active = case.active
    current_a = min(active.current_a, case.inputs.policy.min_current_a)
    settled = case.since(case.state.changed_at) >= RESTING_CHANGES
    phases = proposal.phases if settled else active.phases
    return Proposal(phases, current_a, "the car takes nothing: full, asleep, or limited in the car")


def prepare_for_next_car(case: Assessment, proposal: Proposal) -> Proposal:
    """Without a car, set what the next one may begin with: nothing, or a start that fits."""
    charger, active = case.inputs.charger, case.active
    if not car_is_absent(charger):
        return proposal
    locked = charger.mode is not ChargerMode.DISCONNECTED
    why = "charger waits to be unlocked: Easee app or tag" if locked else "no car connected"
    if not proposal.current_a:
        return replace(proposal, why=why)
    if active.current_a and case.since(case.state.changed_at) < PREPARED_CHANGES:
        return Proposal(active.phases, active.current_a, why)
    if case.inputs.policy.mode == "fast":
        return replace(proposal, why=why)
    return Proposal(case.possible[0], start_current_a(case), why)
