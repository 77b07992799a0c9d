"""The rules of the control law, one function each. All of them only read.

Preconditions answer instead of the law; rules change the proposal of those before them, so the
last one wins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from easee_load_balancer.control.cycle_inputs import Assessment, Proposal
from easee_load_balancer.control.feedback import other_controller
from easee_load_balancer.control.power_estimate import CAR_STARTS, DRAWING_W
from easee_load_balancer.control.state import Choice
from easee_load_balancer.control.state_update import UNKNOWN_HOLD, missing_values
from easee_load_balancer.measurements import ChargerMode, Setpoint

RAISE_AFTER = timedelta(seconds=20)
"""Raises are at least this far apart."""
START_CURRENT_A = 7
"""Some firmware waits five minutes when charging starts at 6 A."""
RAISE_PAYS_WH = 1.0
"""A raise is worth a write to the API once it would have gained this much."""
COVERED_WH = 5.0
"""A house battery covers a shortfall until it has cost this much."""
UNKNOWN_STOP = timedelta(minutes=5)
"""With a value missing this long, solar charging pauses."""
DISABLED, SCHEDULED = 53, 54


def no_action_reason(case: Assessment) -> str | None:
    """Why there is nothing to do: disabled, unplugged, or user action needed."""
    charger = case.inputs.charger
    if case.inputs.policy.mode == "off":
        return "off: the charger is left alone"
    if not charger.online:
        return None
    by_mode = {
        ChargerMode.DISCONNECTED: "no car connected",
        ChargerMode.AWAITING_AUTHENTICATION: "charger waits to be unlocked: Easee app or tag",
        ChargerMode.DEAUTHENTICATING: "charger waits to be unlocked: Easee app or tag",
        ChargerMode.ERROR: "charger reports an error: see the Easee app",
    }
    why = by_mode.get(charger.mode or ChargerMode.OFFLINE)
    if why is None and charger.mode is not ChargerMode.CHARGING:
        why = {
            DISABLED: "charger is disabled in the Easee app",
            SCHEDULED: "charger waits for its own schedule",
        }.get(charger.reason_for_no_current or 0)
    return why


def step_down_when_blind(case: Assessment) -> Proposal | None:
    """A value is missing: hold for a minute, then the minimum current, then pause. Never raise.

    `solar+minimum` keeps the minimum current. `fast` needs no surplus: after the minute it goes
    on within what `protect_main_fuse` allows when the meter is unknown.
    """
    policy, state, active = case.inputs.policy, case.state, case.state.setpoint
    age = case.since(state.unknown_since)
    if state.unknown_since is None:
        return None
    if policy.mode == "fast" and case.inputs.charger.online and age >= UNKNOWN_HOLD:
        return None
    current_a = 0 if active is None else active.current_a
    if age >= UNKNOWN_HOLD:
        current_a = min(current_a, policy.min_current_a)
    if age >= UNKNOWN_STOP and policy.mode == "solar":
        current_a = 0
    if age >= UNKNOWN_HOLD or case.phase_imports_a is not None:
        fuse_a, _ = case.fuse_headroom(raising=False)
        current_a = _at_most(min(case.limit(state.phases)[0], fuse_a), current_a, case)
    missing = ", ".join(missing_values(case.inputs))
    return Proposal(state.phases, current_a, f"unknown for {age.total_seconds():.0f} s: {missing}")


def waits_for_values(case: Assessment, proposal: Proposal) -> bool:
    """Whether a step down has no reason to write yet: nothing changes in the first minute."""
    active = case.state.setpoint
    same = active is None or active == Setpoint(proposal.current_a, proposal.phases)
    return same and case.since(case.state.unknown_since) < UNKNOWN_HOLD


def choose_phases(case: Assessment, proposal: Proposal) -> Proposal:
    """Pause, one phase or three: an alternative has to gain more than the change costs."""
    if not case.active.current_a:
        return _start(case, proposal)
    if case.inputs.policy.mode == "fast":
        return _most_phases(case, proposal)
    if case.active.phases not in case.possible:
        return replace(proposal, phases=case.possible[-1])
    ripe = _ripe(case)
    if not _rested(case):
        ripe = {other: wh for other, wh in ripe.items() if other == 0}
    if not ripe:
        return proposal
    best = max(ripe, key=lambda other: ripe[other])
    if best == 0:
        return replace(proposal, current_a=0, why=f"pause, {ripe[best]:.0f} Wh more without")
    phases = "one phase" if best == 1 else "three phases"
    return replace(proposal, phases=best, why=f"{phases}, {ripe[best]:.0f} Wh more with {phases}")


def _ripe(case: Assessment) -> Mapping[Choice, float]:
    """The alternatives that have gained enough to be taken, and how much in Wh."""
    benefit_wh = {
        other: case.state.accumulated_benefit_wh.get(other, 0.0) for other in case.alternatives
    }
    return {
        other: wh
        for other, wh in benefit_wh.items()
        if wh > case.switching_threshold_wh(other)
        and (other != 0 or case.inputs.policy.mode == "solar")
    }


def _rested(case: Assessment) -> bool:
    interval = timedelta(seconds=case.inputs.policy.phase_interval_s)
    return case.since(case.state.switched_at) >= interval


def _most_phases(case: Assessment, proposal: Proposal) -> Proposal:
    if case.active.phases not in case.possible or _rested(case):
        return replace(proposal, phases=case.possible[-1])
    return proposal


def _start(case: Assessment, proposal: Proposal) -> Proposal:
    """Start charging once it is wanted, on the phases that have gained most."""
    policy, ripe = case.inputs.policy, _ripe(case)
    if policy.mode == "solar" and not ripe:
        return proposal
    wait_s = policy.start_interval_s - case.since(case.state.started_at).total_seconds()
    if wait_s > 0:
        return replace(proposal, why=f"next start in {wait_s:.0f} s")
    if policy.mode == "fast":
        return Proposal(case.possible[-1], START_CURRENT_A, "start")
    best = max(ripe, key=lambda other: ripe[other], default=case.possible[0])
    return Proposal(best or case.possible[0], START_CURRENT_A, "start")


def choose_current(case: Assessment, proposal: Proposal) -> Proposal:
    """The current that gains most now; until a pause pays, never less than the minimum."""
    active, surplus, policy = case.active, case.surplus, case.inputs.policy
    if not proposal.current_a:
        return proposal
    if policy.mode == "fast" or surplus is None:
        return replace(proposal, current_a=policy.max_current_a, why="fast")
    low_a = case.best_current_a(proposal.phases, surplus.low_w)
    high_a = case.best_current_a(proposal.phases, surplus.high_w)
    if not active.current_a or proposal.phases != active.phases:
        return replace(proposal, current_a=max(low_a, START_CURRENT_A))
    proposal = replace(proposal, current_a=min(max(active.current_a, low_a), high_a))
    if policy.mode == "solar" and case.best_worth_w(proposal.phases, surplus.high_w) < 0:
        return replace(proposal, why="pause if this lasts")
    return proposal


def leave_idle_car(case: Assessment, proposal: Proposal) -> Proposal:
    """A car that is full or asleep keeps the minimum offer."""
    state, active, charger = case.state, case.active, case.inputs.charger
    idle = charger.mode in (ChargerMode.COMPLETED, ChargerMode.READY_TO_CHARGE)
    drawing = (charger.car_w or 0.0) > DRAWING_W
    if not idle or drawing or not active.current_a or not proposal.current_a:
        return proposal
    if min(case.since(state.started_at), case.since(state.switched_at)) < CAR_STARTS:
        return proposal
    current_a = min(active.current_a, case.inputs.policy.min_current_a)
    return Proposal(active.phases, current_a, "the car takes nothing")


def hold_against_flapping(case: Assessment, proposal: Proposal) -> Proposal:
    """Down at once, unless a battery covers it for a moment; up when it is worth a write."""
    active, gain_wh = case.active, case.state.accumulated_step_benefit_wh
    keep = Proposal(active.phases, active.current_a, proposal.why)
    if proposal.current_a * proposal.phases > active.current_a * active.phases:
        if case.since(case.state.raised_at) < RAISE_AFTER:
            return replace(keep, why="next raise within 20 s")
        worth_it = gain_wh >= RAISE_PAYS_WH
    else:
        worth_it = not case.inputs.inverter.has_battery or gain_wh >= COVERED_WH
    same = proposal.phases == active.phases and active.current_a and proposal.current_a
    return proposal if worth_it or not same or case.inputs.policy.mode == "fast" else keep


def respect_limits(case: Assessment, proposal: Proposal) -> Proposal:
    """Never more than policy, charger, circuit and other controllers allow."""
    limit_a, who = case.limit(proposal.phases)
    policy = case.inputs.policy
    allowed_a = limit_a if limit_a >= policy.min_current_a else 0
    at_limit = proposal.current_a == allowed_a < policy.max_current_a
    if proposal.current_a > allowed_a or (at_limit and proposal.why in ("", "fast")):
        return replace(proposal, current_a=allowed_a, why=f"{who} allows {limit_a} A")
    return proposal


def protect_main_fuse(case: Assessment, proposal: Proposal) -> Proposal:
    """The worst phase decides, at once and in every mode.

    With the meter unknown the house is left half of the fuse.
    """
    active = case.active
    raising = proposal.current_a > active.current_a or proposal.phases > active.phases
    limit_a, why = case.fuse_headroom(raising=raising)
    if raising and proposal.phases == active.phases:
        kept_a = min(active.current_a, case.fuse_headroom(raising=False)[0])
        limit_a = max(limit_a, kept_a)
    if proposal.current_a <= limit_a:
        return proposal
    return replace(proposal, current_a=_at_most(limit_a, proposal.current_a, case), why=why)


def name_other_controller(case: Assessment, proposal: Proposal) -> Proposal:
    """Say who gives the car less than we do; nothing is done about it."""
    why = other_controller(case.inputs.charger, proposal.current_a)
    lower = proposal.current_a <= case.active.current_a
    return replace(proposal, why=why) if why and lower else proposal


RULES: tuple[Callable[[Assessment, Proposal], Proposal], ...] = (
    choose_phases,
    choose_current,
    leave_idle_car,
    hold_against_flapping,
    respect_limits,
    protect_main_fuse,
    name_other_controller,
)


def _at_most(limit_a: int, current_a: int, case: Assessment) -> int:
    """The current within the limit; 0 where the limit is below what a car can charge with."""
    if current_a <= limit_a:
        return current_a
    return limit_a if limit_a >= case.inputs.policy.min_current_a else 0
