"""The control law: one cycle's inputs and the controller state in, a decision out.

No clock, no I/O. A new rule is one function in `rules.py` and one row in the tests' table of
cases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from easee_load_balancer.control import hidden_surplus, meter_sign, rules, starts
from easee_load_balancer.control.behaviour import confirmed_mismatch, resend_after
from easee_load_balancer.control.cycle_inputs import Assessment, CycleInputs, Proposal, assess
from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.feedback import unconfirmed_current
from easee_load_balancer.control.hold import hold_battery
from easee_load_balancer.control.state import ControllerState, Mismatch
from easee_load_balancer.control.state_update import update_state
from easee_load_balancer.measurements import Setpoint

RULES: tuple[Callable[[Assessment, Proposal], Proposal], ...] = (
    rules.choose_phases,
    rules.choose_current,
    rules.force_phases_once,
    starts.wake_car,
    starts.prepare_for_next_car,
    rules.hold_against_flapping,
    hidden_surplus.probe,
    rules.respect_limits,
    rules.protect_main_fuse,
    rules.calm_hunting,
    meter_sign.pause_on_wrong_sign,
    rules.name_other_controller,
)
"""In the order in which they are asked: the last one wins."""
RENEW_AFTER = timedelta(minutes=25)
"""A setpoint is sent again after this long, before its time to live ends."""


def decide(inputs: CycleInputs, state: ControllerState) -> Decision:
    """The setpoint for the present readings, with the reason and the state for the next cycle.

    A boost takes the place of what the policy wants, not of its limits; it may exceed the month's
    peak.
    """
    if inputs.boost is None:
        if inputs.grid is None and not state.planned:
            return hold_battery(inputs, _decide(inputs, state))
        return _obey_plan(inputs, state)
    boosted = replace(inputs, policy=inputs.boost.over(inputs.policy), peak=None)
    decision = hold_battery(boosted, _decide(boosted, inputs.boost.hurry(state)))
    return replace(decision, reason=f"{inputs.boost}: {decision.reason}")


def _obey_plan(inputs: CycleInputs, state: ControllerState) -> Decision:
    """The decision with what the plan allows from the grid.

    Where planned charging has ended, the running charge is weighed like a start in this cycle.
    """
    inputs = inputs.obeying_plan()
    planned = inputs.grid is not None
    ended = state.planned and not planned
    before = state.model_copy(update={"planned": planned, "weighed": not ended and state.weighed})
    decision = hold_battery(inputs, _decide(inputs, before))
    if ended:
        after = decision.state.model_copy(update={"weighed": state.weighed})
        decision = replace(decision, state=after)
    why = inputs.grid.why if inputs.grid else ""
    return replace(decision, reason=f"{why}: {decision.reason}") if why else decision


def _decide(inputs: CycleInputs, state: ControllerState) -> Decision:
    state = update_state(state, inputs)
    case = assess(inputs, state)
    if why := rules.no_action_reason(case):
        return Decision(None, push=False, reason=why, state=state)
    if proposal := rules.pause_off_grid(case) or rules.step_down_when_blind(case):
        return _step_down(case, proposal)
    proposal = Proposal(case.active.phases, case.active.current_a)
    for rule in RULES:
        proposal = rule(case, proposal)
    setpoint = Setpoint(proposal.current_a, proposal.phases)
    ignored = _ignored_command(case) if setpoint == state.setpoint else ""
    why = f"{proposal.why}; " if proposal.why else ""
    mismatch = confirmed_mismatch(inputs.now, state)
    return Decision(
        setpoint,
        push=_needs_push(case, setpoint, ignored),
        reason=f"{setpoint}: {why}{ignored or case.equation}",
        state=state,
        surplus_w=case.surplus.middle_w if case.surplus else None,
        attention=meter_sign.attention(state.sign) or (mismatch.value if mismatch else None),
    )


def _step_down(case: Assessment, proposal: Proposal) -> Decision:
    setpoint = Setpoint(proposal.current_a, proposal.phases)
    waits = rules.waits_for_values(case, proposal)
    lasting = case.since(case.state.unknown_since) >= rules.UNKNOWN_STOP
    return Decision(
        None if case.state.setpoint is None and waits else setpoint,
        push=not waits and _needs_push(case, setpoint, _ignored_command(case)),
        reason=f"{setpoint}: {proposal.why}",
        state=case.state,
        attention=proposal.why if lasting else None,
    )


def _ignored_command(case: Assessment) -> str:
    """How the charger does not follow the active setpoint, where it has to be sent again."""
    inputs, state = case.inputs, case.state
    shown_a = unconfirmed_current(inputs.now, inputs.charger, state)
    if shown_a is not None:
        return f"charger reports {shown_a:.0f} A; resending"
    mismatch = confirmed_mismatch(inputs.now, state)
    if mismatch in (Mismatch.IGNORED_PAUSE, Mismatch.TOO_MUCH):
        return f"{mismatch}; resending"
    return ""


def _needs_push(case: Assessment, setpoint: Setpoint, ignored: str) -> bool:
    state, active = case.state, case.state.setpoint
    age = case.since(state.pushed_at)
    if active is None or state.is_pending or age >= RENEW_AFTER:
        return True
    if active != setpoint and (active.current_a or setpoint.current_a):
        return True
    return bool(ignored) and age >= resend_after(state)
