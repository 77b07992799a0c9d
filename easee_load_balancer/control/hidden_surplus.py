"""Surplus that a limit of the export hides: the car is offered more, and the meter answers.

An inverter that may not export throttles its PV to what house, battery and car take, so the meter
shows no surplus. What the car takes beyond that comes from the panels if they can give it, else
from the grid or the battery; then the surplus is known exactly, and the law goes back to it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from easee_load_balancer.control.behaviour import car_is_absent, is_drawing
from easee_load_balancer.control.changes import in_last_hour
from easee_load_balancer.control.cycle_inputs import Assessment, CycleInputs, Proposal, assess
from easee_load_balancer.control.export_limit import (
    TOLERANCE_W,
    Probe,
    export_limit_w,
    is_at_limit,
    notice_limit,
)
from easee_load_balancer.control.power_estimate import METER_SETTLES, PowerRange
from easee_load_balancer.control.starts import start_current_a
from easee_load_balancer.control.state import (
    START_PATIENCE,
    Choice,
    ControllerState,
    Mismatch,
    Phases,
)
from easee_load_balancer.measurements import ChargerMode

_LASTS = timedelta(seconds=60)
"""How long a limit has to hold before the first probe."""
_PHASES_LAST = timedelta(seconds=180)
"""The same before three phases are tried, which interrupts the charge."""
_PV_COMES_UP = timedelta(seconds=20)
"""From the car's higher draw until PV covers it, if it can."""
_GIVES_UP = timedelta(seconds=30)
"""What PV has not covered within this time was in vain."""
_NOT_COMMANDED = timedelta(seconds=60)
"""A probe that another rule holds back this long counts as in vain."""
_FIRST_PAUSE = timedelta(minutes=4)
"""After a probe in vain; each further one doubles it."""
_MOST_DOUBLINGS = 3
"""Up to half an hour."""
_PAUSE_BETWEEN_STEPS = timedelta(minutes=2)
"""After a probe that PV covered."""
_CLOUDS_PASS = timedelta(minutes=20)
"""For this long after a fall, the surplus may soon be back."""
_LARGEST_STEP_A = 8
"""After some probes in a row that PV covered."""
_MOST_CHANGES_AN_HOUR = 30
"""The law keeps the rest of an hour's changes for what it sees."""
_BATTERY_TAKES_LESS_PCT = 95.0
"""Below this a battery takes what PV can give, up to its maximum."""


def follow_hidden_surplus(state: ControllerState, inputs: CycleInputs) -> ControllerState:
    """The state with what this cycle says about a probe, or with the next one."""
    draws = is_drawing(inputs.charger)
    hidden = notice_limit(state.hidden, inputs.now, inputs.inverter, car_draws=draws)
    state = state.model_copy(update={"hidden": hidden})
    limit_w = export_limit_w(inputs.policy, inputs.inverter, hidden)
    blind = state.unknown_since or state.sign.wrong_since
    if limit_w is None or blind or inputs.policy.mode in ("off", "fast"):
        idle = hidden.probe is None and hidden.limited_since is None
        return state if idle else _with(state, probe=None, limited_since=None)
    case = assess(inputs, state)
    state = _judge(case) if hidden.probe else _forget_failures(case)
    case = replace(case, state=state)
    known = case.surplus is not None and case.surplus.known
    hides = known and _may_hide(case, limit_w)
    since = (state.hidden.limited_since or inputs.now) if hides or not known else None
    state = _with(state, limited_since=since, offered_a=case.active.current_a * case.active.phases)
    return _begin(replace(case, state=state)) if hides and not state.hidden.probe else state


def probe(case: Assessment, proposal: Proposal) -> Proposal:
    """During a probe the car is offered more, although no surplus shows."""
    tried = case.state.hidden.probe
    if tried is None or tried.phases != case.active.phases or not case.active.current_a:
        return proposal
    if proposal.phases != tried.phases or not 0 < proposal.current_a <= tried.current_a:
        return proposal
    why = "trying more: export is limited"
    return replace(proposal, current_a=tried.current_a, why=why)


def _with(state: ControllerState, **update: object) -> ControllerState:
    return state.model_copy(update={"hidden": state.hidden.model_copy(update=update)})


def _may_hide(case: Assessment, limit_w: float) -> bool:
    """Whether PV may be throttled although the visible surplus is used up."""
    inputs, surplus = case.inputs, case.surplus
    if surplus is None or not is_at_limit(inputs.inverter, limit_w):
        return False
    if car_is_absent(inputs.charger) or inputs.charger.mode is ChargerMode.COMPLETED:
        return False
    spare_w = surplus.middle_w - case.car.power.middle_w
    battery_takes_it = inputs.inverter.has_battery and (
        (inputs.inverter.battery_soc_pct or 0.0) < _BATTERY_TAKES_LESS_PCT
    )
    return spare_w >= -TOLERANCE_W and not (battery_takes_it and spare_w > TOLERANCE_W)


def _begin(case: Assessment) -> ControllerState:
    """The state with the next probe, if it is time for one."""
    state, hidden, policy = case.state, case.state.hidden, case.inputs.policy
    lasted = case.since(hidden.limited_since)
    if case.since(hidden.tried_at) < _pause(case) or (lasted < _LASTS and hidden.step_a == 1):
        return state
    if in_last_hour(state.changes, case.inputs.now) >= _MOST_CHANGES_AN_HOUR:
        return state
    if case.active.current_a:
        return _begin_more(case) if case.drawing else state
    rested = case.since(state.started_at) >= timedelta(seconds=policy.start_interval_s)
    lasted_enough = lasted >= timedelta(seconds=policy.start_threshold_s)
    obeys = state.mismatch is not Mismatch.IGNORED_PAUSE
    return _begin_on(case, case.possible[0]) if rested and lasted_enough and obeys else state


def _pause(case: Assessment) -> timedelta:
    """From the end of one probe to the next: growing, but not while clouds pass."""
    hidden = case.state.hidden
    if not hidden.failures:
        return timedelta()
    if hidden.carried:
        return _PAUSE_BETWEEN_STEPS
    cloudy = case.since(hidden.fell_at) < _CLOUDS_PASS
    return _FIRST_PAUSE * (1 if cloudy else 1 << min(hidden.failures - 1, _MOST_DOUBLINGS))


def _begin_more(case: Assessment) -> ControllerState:
    """More current, or three phases once one carries no more."""
    state, hidden, active, surplus = case.state, case.state.hidden, case.active, case.surplus
    if surplus is None or case.best_current_a(active.phases, surplus.middle_w) > active.current_a:
        return state  # the law raises by itself
    draws_w = case.draw_w(active.current_a, active.phases) + TOLERANCE_W
    target_a = min(active.current_a + hidden.step_a, case.limit(active.phases)[0])
    if target_a > active.current_a and case.draw_w(target_a, active.phases) > draws_w:
        begun_at = case.inputs.now
        return _with(
            state, probe=Probe(phases=active.phases, current_a=target_a, begun_at=begun_at)
        )
    most, lasted = case.possible[-1], case.since(hidden.limited_since)
    rested = case.since(state.switched_at).total_seconds() >= case.inputs.policy.phase_interval_s
    more = case.draw_w(start_current_a(case), most) > draws_w
    worth_it = most != active.phases and rested and lasted >= _PHASES_LAST and more
    return _begin_on(case, most) if worth_it else state


def _begin_on(case: Assessment, phases: Phases) -> ControllerState:
    """The state in which charging on that many phases has gained enough to be begun."""
    probe = Probe(phases=phases, current_a=start_current_a(case), begun_at=case.inputs.now)
    return _with_ripe(_with(case.state, probe=probe), case, phases)


def _with_ripe(state: ControllerState, case: Assessment, choice: Choice) -> ControllerState:
    """The state in which that choice has gained enough to be taken."""
    ripe_wh = {choice: case.switching_threshold_wh(choice) + 1.0}
    return state.model_copy(
        update={"accumulated_benefit_wh": state.accumulated_benefit_wh | ripe_wh}
    )


def _judge(case: Assessment) -> ControllerState:
    """The state once the readings show whether PV covers what is tried."""
    state, active, surplus, now = case.state, case.active, case.surplus, case.inputs.now
    tried = state.hidden.probe
    if tried is None:
        return state
    if active.phases == tried.phases and active.current_a > tried.current_a:
        return _with(state, probe=None)
    commanded = active.phases == tried.phases and active.current_a == tried.current_a
    age = now - tried.begun_at
    if not commanded:
        return _failed(case) if age >= _NOT_COMMANDED else state
    shown = (
        case.drawing
        and surplus is not None
        and surplus.known
        and case.since(state.changed_at) >= METER_SETTLES
    )
    if not shown or surplus is None:
        return _failed(case) if age >= START_PATIENCE + _NOT_COMMANDED else state
    since = tried.shown_since or now
    state = _with(state, probe=tried.model_copy(update={"shown_since": since}))
    if now - since < _PV_COMES_UP:
        return state
    worth_w, before_w = (
        case.worth_w(case.draw_w(one.current_a, one.phases), surplus.middle_w, one.phases)
        for one in (active, state.before)
    )
    if worth_w >= before_w:
        return _carried(replace(case, state=state), surplus)
    return _failed(replace(case, state=state)) if now - since >= _GIVES_UP else state


def _carried(case: Assessment, surplus: PowerRange) -> ControllerState:
    """The state after a probe that paid: larger steps, but not just after one in vain."""
    state, hidden, active = case.state, case.state.hidden, case.active
    if case.best_current_a(active.phases, surplus.middle_w) < active.current_a:
        found = {"failures": 2, "carried": False, "step_a": 1}
        return _with(state, probe=None, tried_at=case.inputs.now, **found)
    if hidden.failures and not hidden.carried:
        return _with(state, probe=None, carried=True, tried_at=case.inputs.now)
    step_a = min(2 * hidden.step_a, _LARGEST_STEP_A)
    return _with(state, probe=None, failures=0, carried=True, step_a=step_a)


def _failed(case: Assessment) -> ControllerState:
    """The state after a probe in vain; a start that PV does not carry ends at once."""
    state, surplus, active = case.state, case.surplus, case.active
    failures = state.hidden.failures + 1
    vain = {"failures": failures, "carried": False, "step_a": 1}
    state = _with(state, probe=None, tried_at=case.inputs.now, **vain)
    if not active.current_a or state.before_a or surplus is None:
        return state
    carried = case.best_worth_w(active.phases, surplus.middle_w) >= 0
    return state if carried else _with_ripe(state, case, 0)


def _forget_failures(case: Assessment) -> ControllerState:
    """After a fall of the surplus that was no probe's end, earlier failures say nothing."""
    state, hidden, active = case.state, case.state.hidden, case.active
    fell = active.current_a * active.phases < hidden.offered_a
    if not fell or case.since(hidden.tried_at) < 4 * _GIVES_UP:
        return state
    return _with(state, failures=0, step_a=1, tried_at=None, fell_at=case.inputs.now)
