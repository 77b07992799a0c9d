"""The control law: one cycle's inputs and the controller state in, a decision out.

No clock, no I/O. A new rule is one function in `rules.py` and one row in the tests' table of
cases.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from easee_load_balancer.control import rules
from easee_load_balancer.control.cycle_inputs import Assessment, CycleInputs, Proposal, assess
from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.feedback import unconfirmed_current
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.control.state_update import update_state
from easee_load_balancer.measurements import Setpoint

RENEW_AFTER = timedelta(minutes=25)
"""A setpoint is sent again after this long, before its time to live ends."""


def decide(inputs: CycleInputs, state: ControllerState) -> Decision:
    """The setpoint for the present readings, with the reason and the state for the next cycle.

    A boost takes the place of what the policy wants, not of its limits.
    """
    if inputs.boost is None:
        return _decide(inputs, state)
    boosted = replace(inputs, policy=inputs.boost.over(inputs.policy))
    decision = _decide(boosted, inputs.boost.hurry(state))
    return replace(decision, reason=f"{inputs.boost}: {decision.reason}")


def _decide(inputs: CycleInputs, state: ControllerState) -> Decision:
    state = update_state(state, inputs)
    case = assess(inputs, state)
    if why := rules.no_action_reason(case):
        return Decision(None, push=False, reason=why, state=state)
    if proposal := rules.step_down_when_blind(case):
        return _step_down(case, proposal)
    proposal = Proposal(case.active.phases, case.active.current_a)
    for rule in rules.RULES:
        proposal = rule(case, proposal)
    setpoint = Setpoint(proposal.current_a, proposal.phases)
    shown_a = unconfirmed_current(inputs.now, inputs.charger, state)
    why = f"{proposal.why}; " if proposal.why else ""
    if shown_a is not None and setpoint == state.setpoint:
        why += f"charger reports {shown_a:.0f} A; resending"
    else:
        why += case.equation
    return Decision(
        setpoint,
        push=_needs_push(case, setpoint, shown_a),
        reason=f"{setpoint}: {why}",
        state=state,
        surplus_w=case.surplus.middle_w if case.surplus else None,
    )


def _step_down(case: Assessment, proposal: Proposal) -> Decision:
    setpoint = Setpoint(proposal.current_a, proposal.phases)
    waits = rules.waits_for_values(case, proposal)
    shown_a = unconfirmed_current(case.inputs.now, case.inputs.charger, case.state)
    return Decision(
        None if case.state.setpoint is None and waits else setpoint,
        push=not waits and _needs_push(case, setpoint, shown_a),
        reason=f"{setpoint}: {proposal.why}",
        state=case.state,
    )


def _needs_push(case: Assessment, setpoint: Setpoint, unconfirmed_a: float | None) -> bool:
    state, active = case.state, case.state.setpoint
    if active is None or state.is_pending or case.since(state.pushed_at) >= RENEW_AFTER:
        return True
    changed = active != setpoint and (active.current_a or setpoint.current_a)
    return bool(changed) or unconfirmed_a is not None
