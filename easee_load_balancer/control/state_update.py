"""The one update of the controller state in a cycle; everything after it only reads."""

from __future__ import annotations

from datetime import datetime, timedelta

from easee_load_balancer.control.battery import follow_battery
from easee_load_balancer.control.behaviour import (
    PHASE_MISMATCHES,
    car_is_absent,
    confirmed_mismatch,
    find_mismatch,
    is_drawing,
)
from easee_load_balancer.control.car_model import (
    CarModel,
    learn_draw,
    learn_lines,
    measured_current_a,
)
from easee_load_balancer.control.cycle_inputs import Assessment, CycleInputs, assess
from easee_load_balancer.control.feedback import acknowledge_command, notice_external_limit
from easee_load_balancer.control.hidden_surplus import follow_hidden_surplus
from easee_load_balancer.control.lending import lend
from easee_load_balancer.control.limits import phase_imports_a
from easee_load_balancer.control.meter_sign import check_sign
from easee_load_balancer.control.power_estimate import (
    CLOUD_SETTLES,
    STABLE_FOR,
    CarPowerEstimator,
    voltage_v,
)
from easee_load_balancer.control.power_limits import count_interval
from easee_load_balancer.control.state import CAR_STARTS, Attempt, ControllerState
from easee_load_balancer.control.wiring import learn_wiring
from easee_load_balancer.measurements import (
    MIN_CURRENT_A,
    ChargerMode,
    ChargerState,
    InverterReading,
)

UNKNOWN_HOLD = timedelta(seconds=60)
"""How long a setpoint is held while a value is missing; then the minimum current."""
LONGEST_CYCLE = timedelta(seconds=120)
"""A longer gap between two cycles counts as this long when benefits accumulate."""
METER_LAGS = timedelta(seconds=15)
"""What the charger observed earlier than this after a meter value may be part of that value."""
FROZEN_AFTER = timedelta(seconds=45)
FROZEN_W = 500.0
"""A meter that shows the same this long after the car's power changed by this is frozen."""
LONGEST_GAP = timedelta(minutes=5)
"""After a longer gap another car may be plugged in."""
LONGEST_PHASE_CHANGE_S = 150.0
"""What takes longer was no phase change alone."""
NEWEST_COUNTS = 0.3
"""Share of the newest phase change in what is expected of the next one."""
SURPLUS_MATTERS_W = 1000.0
"""With this much export, a car that is plugged in should be noticed soon."""
_SESSION_RESTARTS_KWH = 0.3
"""A session counter that is this much lower than before counts another session."""


def update_state(state: ControllerState, inputs: CycleInputs) -> ControllerState:
    """The state after this cycle's readings: what was learned, acknowledged and gained."""
    now, inverter, charger, policy = inputs.now, inputs.inverter, inputs.charger, inputs.policy
    volts = voltage_v(inverter, charger)
    imports_a = phase_imports_a(inverter, volts, charger.grid_type)
    state = _remember_pv(state, inverter)
    state = _follow_session(state, now, charger)
    state = _adopt_running_charge(state, charger)
    state = acknowledge_command(now, charger, state)
    state = notice_external_limit(charger, state, ignore=policy.mode == "off")
    state = learn_wiring(state, charger, imports_a)
    state = _learn_car(state, now, charger, volts)
    state = _compare_behaviour(state, now, charger)
    state = _notice_frozen_meter(state, inverter, charger)
    state = _time_missing_values(state, inputs)
    state = _count_battery(state, inputs)
    state = follow_battery(state, now, inverter, policy, inputs.battery_first_until_pct)
    state = count_interval(state, inputs)
    if not state.unknown_since:
        case = assess(inputs, state)
        state = _accumulate_benefit(case)
        state = state.model_copy(update={"sign": check_sign(state.sign, case)})
    state = follow_hidden_surplus(state, inputs)
    state = _watch_for_car(state, inputs, imports_a)
    return _remember_currents(state, charger, imports_a)


def missing_values(inputs: CycleInputs, state: ControllerState) -> list[str]:
    """Names of the values that the law needs and does not have."""
    charger, inverter, policy = inputs.charger, inputs.inverter, inputs.policy
    if not charger.online or charger.mode in (None, ChargerMode.OFFLINE):
        return ["charger (offline)"]
    needs_surplus = policy.mode != "fast"
    missing = ["car power"] if charger.car_w is None and needs_surplus else []
    if inverter.asleep:
        return missing
    if inputs.now - inverter.taken_at > UNKNOWN_HOLD:
        return [*missing, "inverter (silent)"]
    if state.frozen:
        return [*missing, "meter (the same values although the car's power changed)"]
    if inverter.grid_export_w is None:
        missing.append(inverter.problem or "grid power (meter offline?)")
    if inverter.battery_charge_w is None and needs_surplus:
        missing.append("battery power")
    uses_soc = inputs.battery_first_until_pct > 0 or policy.battery_support_w > 0
    needs_soc = needs_surplus and uses_soc
    if needs_soc and inverter.has_battery and inverter.battery_soc_pct is None:
        missing.append("battery state of charge")
    return missing


def _remember_pv(state: ControllerState, inverter: InverterReading) -> ControllerState:
    """The last reading in daylight tells at night that the inverter is asleep."""
    if inverter.asleep or inverter.pv_w is None:
        return state
    return state.model_copy(
        update={
            "inverter_read_at": inverter.taken_at,
            "pv_w": inverter.pv_w,
            "has_battery": inverter.has_battery,
        }
    )


def _follow_session(
    state: ControllerState, now: datetime, charger: ChargerState
) -> ControllerState:
    """Forget the car when it leaves, and when another one may have come unseen."""
    if not charger.online or charger.mode in (None, ChargerMode.OFFLINE):
        return state
    update: dict[str, object] = {
        "mode_seen_at": charger.observed_at.get("mode"),
        "session_kwh": charger.session_kwh,
    }
    if car_is_absent(charger):
        update |= {"session_at": None, "car": CarModel(), "external_limit_a": None}
    elif state.session_at is None:
        update |= {"session_at": now, "weighed": False, "drew": False}
        update |= {"attempt": Attempt.FIRST, "attempt_at": now, "forced_at": None, "resends": 0}
        update["car"] = CarModel()
    elif _may_be_another_car(state, now, charger):
        car = CarModel(refused=state.car.refused)
        update |= {"car": car, "drew": False, "attempt": Attempt.FIRST, "attempt_at": now}
    return state.model_copy(update=update)


def _may_be_another_car(state: ControllerState, now: datetime, charger: ChargerState) -> bool:
    """Whether there was a gap in which one car could have left and another could have come."""
    if state.assessed_at is not None and state.since(state.assessed_at, now) > LONGEST_GAP:
        return True
    before_kwh, kwh = state.session_kwh, charger.session_kwh
    charging = charger.mode is ChargerMode.CHARGING
    if before_kwh is not None and kwh is not None and kwh < before_kwh - _SESSION_RESTARTS_KWH:
        return bool(kwh) or not charging  # zeros come and go while charging
    mode_seen_at = charger.observed_at.get("mode")
    interrupted = state.mode_seen_at is not None and mode_seen_at != state.mode_seen_at
    by_us = state.since(state.changed_at, now) < CAR_STARTS
    return interrupted and not by_us and charging and state.drew


def _adopt_running_charge(state: ControllerState, charger: ChargerState) -> ControllerState:
    """What the charger offers to a car that charges before the first command is the setpoint."""
    offered_a = charger.output_current_a
    charging = charger.mode is ChargerMode.CHARGING
    if state.setpoint is not None or not charging or offered_a is None:
        return state
    return state.model_copy(
        update={
            "setpoint_a": int(offered_a) if offered_a >= MIN_CURRENT_A else 0,
            "phases": 1 if charger.output_phases == 1 else 3,
        }
    )


def _learn_car(
    state: ControllerState, now: datetime, charger: ChargerState, volts: float
) -> ControllerState:
    """Lines and watts per ampere at once, its draw from steady measurements, whether it draws."""
    active, car = state.setpoint, state.car
    if active is None or not is_drawing(charger) or charger.car_w is None:
        return state
    update: dict[str, object] = {}
    observed_at = charger.observed_at.get("car_w")
    age = state.since(state.changed_at, now)
    fresh = observed_at is None or state.changed_at is None or observed_at > state.changed_at
    if fresh or age >= CLOUD_SETTLES:
        if not state.drew:
            if state.attempt is not Attempt.FIRST:
                other_phases = state.attempt in (Attempt.OTHER_PHASES, Attempt.LAST)
                car = car.started_on(active.phases, at_once=other_phases)
            update |= {"drew": True, "attempt": Attempt.FIRST}
            update["phase_change_s"] = _learned_phase_change_s(state, observed_at)
        car = learn_lines(car, now, charger, active.phases, volts)
    steady = observed_at is None or now - observed_at >= STABLE_FOR
    if active.current_a and age >= CLOUD_SETTLES and steady:
        estimator = CarPowerEstimator(now, charger, state.model_copy(update={"car": car}), volts)
        watts_per_ampere = estimator.watts_per_ampere(active.phases)
        drawn_a = measured_current_a(charger) or charger.car_w / watts_per_ampere
        tolerance_w = 0.08 * estimator.offered(active).power_w
        car = learn_draw(car, active, drawn_a, watts_per_ampere, tolerance_w)
    return state.model_copy(update=update | {"car": car})


def _learned_phase_change_s(state: ControllerState, observed_at: datetime | None) -> float:
    """How long a phase change takes, now that the car draws again."""
    changed_at, before = state.changed_at, state.before
    by_us = before.current_a and before.phases != state.phases and state.attempt is Attempt.FIRST
    if not by_us or changed_at is None or observed_at is None or observed_at <= changed_at:
        return state.phase_change_s
    seen_s = min((observed_at - changed_at).total_seconds(), LONGEST_PHASE_CHANGE_S)
    return state.phase_change_s + (seen_s - state.phase_change_s) * NEWEST_COUNTS


def _compare_behaviour(
    state: ControllerState, now: datetime, charger: ChargerState
) -> ControllerState:
    """How the charger differs from the command, and since when; a pause may have forced phases."""
    paused_for_phases = state.phases_need_pause and state.before_phases != state.phases
    stuck = confirmed_mismatch(now, state) in PHASE_MISMATCHES
    if state.setpoint_a == 0 and state.before_a and (stuck or paused_for_phases):
        car = state.car.without_lines(state.phases)
        state = state.model_copy(update={"forced_at": state.changed_at, "car": car})
    mismatch = find_mismatch(now, charger, state)
    if mismatch is None and _pause_has_worked(state, now, charger):
        state = state.model_copy(update={"forced_at": None, "phases_need_pause": True})
    since = state.mismatch_since if mismatch is state.mismatch else now
    return state.model_copy(
        update={"mismatch": mismatch, "mismatch_since": since if mismatch else None}
    )


def _pause_has_worked(state: ControllerState, now: datetime, charger: ChargerState) -> bool:
    """Whether the car draws as commanded since a pause that forced the phases."""
    if state.forced_at is None or not is_drawing(charger):
        return False
    return min(state.since(at, now) for at in (state.forced_at, state.changed_at)) >= CLOUD_SETTLES


def _notice_frozen_meter(
    state: ControllerState, inverter: InverterReading, charger: ChargerState
) -> ControllerState:
    """Whether the meter repeats its values although the car's power has changed since."""
    since, observed_at = inverter.unchanged_since, charger.observed_at.get("car_w")
    if inverter.asleep or charger.car_w is None or since is None or observed_at is None:
        return state
    if since != state.meter_since or observed_at < since + METER_LAGS:
        update = {"meter_since": since, "car_w_then": charger.car_w, "frozen": False}
        return state.model_copy(update=update)
    moved = state.car_w_then is not None and abs(charger.car_w - state.car_w_then) > FROZEN_W
    had_time = inverter.taken_at - observed_at >= FROZEN_AFTER
    return state.model_copy(update={"frozen": state.frozen or (moved and had_time)})


def _time_missing_values(state: ControllerState, inputs: CycleInputs) -> ControllerState:
    missing = missing_values(inputs, state)
    since = min(state.unknown_since or inputs.now, inputs.now) if missing else None
    return state.model_copy(update={"unknown_since": since})


def _count_battery(state: ControllerState, inputs: CycleInputs) -> ControllerState:
    """Add what the car took from the battery since the last cycle."""
    inverter, policy, car_w = inputs.inverter, inputs.policy, inputs.charger.car_w
    if not inverter.has_battery or state.assessed_at is None:
        return state
    if not car_w or policy.mode not in ("solar", "solar+minimum"):
        return state
    since_last = min(state.since(state.assessed_at, inputs.now), LONGEST_CYCLE)
    assist_w = float(policy.battery_support_w) if state.battery_assisting else 0.0
    lent = lend(state.lent, inputs.now, since_last, inverter, car_w, assist_w)
    return state.model_copy(update={"lent": lent})


def _accumulate_benefit(case: Assessment) -> ControllerState:
    """Add up what each alternative would have gained since the last cycle."""
    state, surplus, now = case.state, case.surplus, case.inputs.now
    update: dict[str, object] = {"assessed_at": now}
    if surplus is not None and surplus.known and state.assessed_at is not None:
        hours = min(case.since(state.assessed_at), LONGEST_CYCLE) / timedelta(hours=1)
        present_w = case.best_worth_w(case.choice, surplus.middle_w)
        gain_w = {
            other: case.best_worth_w(other, surplus.middle_w) - present_w
            for other in case.alternatives
        }
        before_wh = _at_present_weight(case)
        benefit_wh: dict[int, float] = {
            other: max(0.0, before_wh.get(other, 0.0) + gain_w[other] * hours)
            for other in case.alternatives
        }
        update["accumulated_at_weight"] = case.grid_weight
        if case.inputs.policy.mode == "fast":  # back on solar there is no delay, but no debt either
            best = max(gain_w, key=lambda other: gain_w[other])
            benefit_wh = {best: min(benefit_wh[best], case.switching_threshold_wh(best))}
        update["accumulated_benefit_wh"] = benefit_wh
        if case.active.current_a:
            power_w = case.draw_w(case.active.current_a, case.active.phases)
            gain_here_w = present_w - case.worth_w(power_w, surplus.middle_w, case.active.phases)
            step_wh = state.accumulated_step_benefit_wh + gain_here_w * hours
            update["accumulated_step_benefit_wh"] = max(0.0, step_wh)
    update |= {"available_a": _available_a(case), "near_fuse": _is_near_fuse(case)}
    return state.model_copy(update=update)


def _at_present_weight(case: Assessment) -> dict[int, float]:
    """The benefits so far; that of a pause in terms of what its threshold is made of now."""
    state, weight = case.state, case.grid_weight
    benefit_wh, before = dict(state.accumulated_benefit_wh), state.accumulated_at_weight
    if before and 0 in benefit_wh:
        benefit_wh[0] *= weight / before
    return benefit_wh


def _is_near_fuse(case: Assessment) -> bool:
    """Whether the main fuse leaves a car less than the fixed limits do."""
    phases = case.active.phases
    headroom_a, _ = case.fuse_headroom(phases, raising=False)
    return case.imports_a is not None and headroom_a < case.limit(phases)[0]


def _available_a(case: Assessment) -> float | None:
    """What surplus or, in fast mode, the main fuse leaves to each of the car's lines."""
    if case.inputs.policy.mode == "fast":
        return float(case.fuse_headroom(case.active.phases, raising=False)[0])
    if case.surplus is None:
        return None
    return case.surplus.middle_w / case.estimator.watts_per_ampere(case.active.phases)


def _watch_for_car(
    state: ControllerState, inputs: CycleInputs, imports_a: list[float] | None
) -> ControllerState:
    """Without a car: look often where one would matter at once, near the fuse or with surplus."""
    policy, export_w = inputs.policy, inputs.inverter.grid_export_w
    usable_a = policy.main_fuse_a - policy.fuse_margin_a
    near_fuse = imports_a is not None and max(imports_a) > usable_a - policy.max_current_a
    surplus = policy.mode != "off" and export_w is not None and export_w > SURPLUS_MATTERS_W
    return state.model_copy(update={"watch_closely": near_fuse or surplus})


def _remember_currents(
    state: ControllerState, charger: ChargerState, imports_a: list[float] | None
) -> ControllerState:
    """What the next change is compared with."""
    amps = [value or 0.0 for value in charger.car_current_a]
    known = None not in charger.car_current_a
    charging = charger.mode is ChargerMode.CHARGING
    return state.model_copy(
        update={
            "imports_a": None if imports_a is None else tuple(imports_a),
            "car_currents_a": tuple(amps if charging else (0.0,) * 3) if known else None,
        }
    )
