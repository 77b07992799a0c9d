"""The rules of the control law, one function each. All of them only read.

Preconditions answer instead of the law; rules change the proposal of those before them, so the
last one wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from easee_load_balancer.control.behaviour import PHASE_MISMATCHES, confirmed_mismatch
from easee_load_balancer.control.changes import (
    HUNTING_PAUSE,
    MOST_AN_HOUR,
    find_hunt,
    in_last_hour,
    scarcity,
)
from easee_load_balancer.control.cycle_inputs import Assessment, Proposal
from easee_load_balancer.control.feedback import other_controller
from easee_load_balancer.control.starts import STARTING, is_starting, start_current_a
from easee_load_balancer.control.state import Choice, Mismatch, Phases
from easee_load_balancer.control.state_update import UNKNOWN_HOLD, missing_values
from easee_load_balancer.measurements import ChargerMode, ReasonForNoCurrent, Setpoint

RAISE_AFTER = timedelta(seconds=20)
"""Raises are at least this far apart."""
RAISE_PAYS_WH = 1.0
"""A raise is worth a write to the API once it would have gained this much."""
COVERED_WH = 5.0
"""A house battery covers a shortfall until it has cost this much."""
SCARCE_RAISE_WH = 4.0
SCARCE_LOWERING_WH = 2.0
"""What a change has to gain in addition, times how scarce changes are."""
DISCHARGING_W = 500.0
"""A battery that gives more than this while the meter is silent may be alone with the house."""
UNKNOWN_STOP = timedelta(minutes=5)
"""With a value missing this long, solar charging pauses."""
FORCED_PAUSE = timedelta(seconds=45)
"""A pause this long makes the charger choose its phases again."""
_WAITING: Mapping[int, str] = {
    ReasonForNoCurrent.DISABLED: "charger is disabled in the Easee app",
    ReasonForNoCurrent.SCHEDULE: "charger waits for its own schedule",
}


def no_action_reason(case: Assessment) -> str | None:
    """Why there is nothing to do: disabled, or user action needed."""
    charger = case.inputs.charger
    if case.inputs.policy.mode == "off":
        return "off: the charger is left alone"
    if not charger.online:
        return None
    if charger.mode is ChargerMode.ERROR:
        return "charger reports an error: see the Easee app"
    if charger.mode is ChargerMode.CHARGING:
        return None
    return _WAITING.get(charger.reason_for_no_current or ReasonForNoCurrent.NONE)


def pause_off_grid(case: Assessment) -> Proposal | None:
    """Off the grid the house needs its battery: the car pauses in every mode."""
    if case.inputs.policy.charge_off_grid:
        return None
    inverter, phases = case.inputs.inverter, case.state.phases
    if inverter.off_grid:
        return Proposal(phases, 0, "the grid is gone: the battery is left to the house")
    discharging = (inverter.battery_charge_w or 0.0) < -DISCHARGING_W
    blind = case.state.unknown_since is not None and inverter.grid_export_w is None
    if blind and discharging and case.since(case.state.unknown_since) >= UNKNOWN_HOLD:
        return Proposal(phases, 0, "meter silent and battery discharging: is the grid gone?")
    return None


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
    if age >= UNKNOWN_HOLD or case.imports_a is not None:
        fuse_a, _ = case.fuse_headroom(state.phases, raising=False)
        current_a = at_most(min(case.limit(state.phases)[0], fuse_a), current_a, case)
    missing = ", ".join(missing_values(case.inputs, case.state))
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
    if not case.state.weighed and case.drawing:
        return _weigh_running_charge(case, proposal)
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
    changed = replace(
        proposal, phases=best, why=f"{phases}, {ripe[best]:.0f} Wh more with {phases}"
    )
    return replace(changed, current_a=0) if case.state.phases_need_pause else changed


def _weigh_running_charge(case: Assessment, proposal: Proposal) -> Proposal:
    """A charge that the charger began by itself is weighed like a start: no debt, no delay."""
    mode, surplus = case.inputs.policy.mode, case.surplus
    if mode == "fast" or surplus is None:
        return _most_phases(case, proposal)
    worth_w = {choice: case.best_worth_w(choice, surplus.middle_w) for choice in case.possible}
    best = max(worth_w, key=lambda phases: worth_w[phases])
    if mode == "solar" and worth_w[best] < 0:
        return replace(proposal, current_a=0, why="too little surplus for the charge that began")
    if best == case.active.phases:
        return proposal
    return replace(proposal, phases=best, why="one phase" if best == 1 else "three phases")


def _ripe(case: Assessment) -> Mapping[Choice, float]:
    """The alternatives that have gained enough to be taken, and how much in Wh."""
    benefit_wh = {
        other: case.state.accumulated_benefit_wh.get(other, 0.0) for other in case.alternatives
    }
    ripe = {
        other: wh
        for other, wh in benefit_wh.items()
        if wh > case.switching_threshold_wh(other)
        and (other != 0 or case.inputs.policy.mode == "solar")
    }
    share = case.inputs.share
    return ripe if share is None else share.ripe(case.choice, ripe)


def _rested(case: Assessment) -> bool:
    interval = timedelta(seconds=case.inputs.policy.phase_interval_s)
    return case.since(case.state.switched_at) >= interval


def _most_phases(case: Assessment, proposal: Proposal) -> Proposal:
    if case.active.phases not in case.possible or _rested(case):
        return replace(proposal, phases=case.possible[-1])
    return proposal


def _start(case: Assessment, proposal: Proposal) -> Proposal:
    """Start charging once it is wanted, on the phases that have gained most."""
    policy, state, ripe = case.inputs.policy, case.state, _ripe(case)
    if state.forced_at is not None and state.forced_at == state.changed_at:
        if case.since(state.forced_at) < FORCED_PAUSE:
            return replace(proposal, why="pausing so that the charger chooses its phases again")
        return Proposal(case.active.phases, start_current_a(case), "start after the pause")
    if (policy.mode == "solar" and not ripe) or state.mismatch is Mismatch.IGNORED_PAUSE:
        return proposal
    wait_s = policy.start_interval_s - case.since(state.started_at).total_seconds()
    if wait_s > 0:
        return replace(proposal, why=f"next start in {wait_s:.0f} s")
    if policy.mode == "fast":
        return Proposal(case.possible[-1], start_current_a(case), "start")
    best = max(ripe, key=lambda other: ripe[other], default=first_phases(case))
    return Proposal(best or case.possible[0], start_current_a(case), "start")


def first_phases(case: Assessment) -> Phases:
    """The phases to start on before the surplus has been watched: as few as possible.

    Planned energy from the grid is known beforehand.
    """
    if not case.inputs.planned_w or case.surplus is None:
        return case.possible[0]
    surplus_w = case.surplus.middle_w
    return max(case.possible, key=lambda phases: case.best_worth_w(phases, surplus_w))


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
        return replace(proposal, current_a=max(low_a, start_current_a(case)))
    if is_starting(case):  # some firmware waits five minutes when a start goes down to 6 A
        return replace(proposal, current_a=max(active.current_a, low_a), why=STARTING)
    proposal = replace(proposal, current_a=min(max(active.current_a, low_a), high_a))
    if policy.mode == "solar" and case.best_worth_w(proposal.phases, surplus.high_w) < 0:
        return replace(proposal, why="pause if this lasts")
    return proposal


def force_phases_once(case: Assessment, proposal: Proposal) -> Proposal:
    """Pause once in a session where the charger uses other phases than commanded."""
    mismatch = confirmed_mismatch(case.inputs.now, case.state)
    if mismatch not in PHASE_MISMATCHES or mismatch is None or not proposal.current_a:
        return proposal
    if case.state.forced_at is None:
        return Proposal(case.active.phases, 0, f"{mismatch}: pausing once to change that")
    return replace(proposal, why=f"{proposal.why}; {mismatch}" if proposal.why else mismatch.value)


def hold_against_flapping(case: Assessment, proposal: Proposal) -> Proposal:
    """Down at once, unless a battery covers it for a moment; up when it is worth a write."""
    active, gain_wh = case.active, case.state.accumulated_step_benefit_wh
    keep = Proposal(active.phases, active.current_a, proposal.why)
    fast = case.inputs.policy.mode == "fast"
    scarce = scarcity(case.state.changes, case.inputs.now)
    if proposal.is_above(active):
        if case.since(case.state.raised_at) < RAISE_AFTER:
            return replace(keep, why="next raise within 20 s")
        worth_it = gain_wh >= RAISE_PAYS_WH + scarce * SCARCE_RAISE_WH
    else:
        covered_wh = COVERED_WH if case.inputs.inverter.has_battery else 0.0
        worth_it = gain_wh >= covered_wh + scarce * SCARCE_LOWERING_WH
    same = proposal.phases == active.phases and active.current_a and proposal.current_a
    return proposal if worth_it or not same or fast else keep


def calm_hunting(case: Assessment, proposal: Proposal) -> Proposal:
    """After going back and forth between two currents, the higher one waits.

    So does any raise once the changes of an hour are used up.
    """
    active, changes = case.active, case.state.changes
    if not active.current_a or not proposal.current_a or not proposal.is_above(active):
        return proposal
    keep = Proposal(active.phases, active.current_a)
    hunt = find_hunt(changes, follows=case.inputs.policy.mode != "fast")
    age = case.since(case.state.changed_at)
    if hunt and age < HUNTING_PAUSE and proposal.current_a <= hunt[1]:
        why = f"went back and forth between {hunt[0]} and {hunt[1]} A: next raise in "
        return replace(keep, why=f"{why}{(HUNTING_PAUSE - age).total_seconds():.0f} s")
    count = in_last_hour(changes, case.inputs.now)
    if count >= MOST_AN_HOUR:
        return replace(keep, why=f"{count} changes in the last hour: no raise for now")
    return proposal


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
    """The worst of the phases that the car uses decides, at once and in every mode.

    With the meter unknown the house is left half of the fuse.
    """
    limit_a, why = _fuse_limit(case, proposal)
    if proposal.current_a <= limit_a:
        return proposal
    lowered = replace(proposal, current_a=at_most(limit_a, proposal.current_a, case), why=why)
    if lowered.current_a or proposal.phases == 1 or 1 not in case.possible:
        return lowered
    on_one = replace(proposal, phases=1)
    one_a = at_most(_fuse_limit(case, on_one)[0], proposal.current_a, case)
    return replace(on_one, current_a=one_a, why=f"one phase, {why}") if one_a else lowered


def _fuse_limit(case: Assessment, proposal: Proposal) -> tuple[int, str]:
    """What the main fuse leaves to the car on the proposed phases, and the numbers."""
    active = case.active
    raising = proposal.current_a > active.current_a or proposal.phases > active.phases
    limit_a, why = case.fuse_headroom(proposal.phases, raising=raising)
    if raising and proposal.phases == active.phases:
        kept_a, _ = case.fuse_headroom(proposal.phases, raising=False)
        limit_a = max(limit_a, min(active.current_a, kept_a))
    return limit_a, why


def name_other_controller(case: Assessment, proposal: Proposal) -> Proposal:
    """Say which other controller gives the car less than we do; nothing is done about it."""
    why = other_controller(case.inputs.charger, proposal.current_a)
    lower = proposal.current_a <= case.active.current_a
    return replace(proposal, why=why) if why and lower else proposal


def at_most(limit_a: int, current_a: int, case: Assessment) -> int:
    """The current within the limit; 0 where the limit is below what a car can charge with."""
    if current_a <= limit_a:
        return current_a
    return limit_a if limit_a >= case.inputs.policy.min_current_a else 0
