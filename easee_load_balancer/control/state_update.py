"""The one update of the controller state in a cycle; everything after it only reads."""

from __future__ import annotations

from datetime import datetime, timedelta

from easee_load_balancer.control.cycle_inputs import Assessment, CycleInputs, assess
from easee_load_balancer.control.feedback import acknowledge_command, notice_external_limit
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.power_estimate import CLOUD_SETTLES
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.measurements import (
    CAR_CURRENTS_OBSERVED,
    MIN_CURRENT_A,
    ChargerMode,
    ChargerState,
    InverterReading,
)

UNKNOWN_HOLD = timedelta(seconds=60)
"""How long a setpoint is held while a value is missing; then the minimum current."""
LONGEST_CYCLE = timedelta(seconds=120)
"""A longer gap between two cycles counts as this long when benefits accumulate."""
SOC_HYSTERESIS_PCT = 2.0


def update_state(state: ControllerState, inputs: CycleInputs) -> ControllerState:
    """The state after this cycle's readings: what was learned, acknowledged and gained."""
    now, inverter, charger, policy = inputs.now, inputs.inverter, inputs.charger, inputs.policy
    state = _remember_pv(state, inverter)
    state = _adopt_running_charge(state, charger)
    state = _learn_car_phases(state, now, charger)
    state = acknowledge_command(now, charger, state)
    state = notice_external_limit(charger, state, ignore=policy.mode == "off")
    state = _time_missing_values(state, inputs)
    state = _prioritise_battery(state, inverter, policy)
    return state if state.unknown_since else _accumulate_benefit(assess(inputs, state))


def missing_values(inputs: CycleInputs) -> list[str]:
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
    if inverter.grid_export_w is None:
        missing.append("grid power (meter offline?)")
    if inverter.battery_charge_w is None and needs_surplus:
        missing.append("battery power")
    needs_soc = needs_surplus and (
        policy.battery_first_until_pct > 0 or policy.battery_support_w > 0
    )
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


def _adopt_running_charge(state: ControllerState, charger: ChargerState) -> ControllerState:
    """A charge that was under way before the first cycle is not interrupted."""
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


def _learn_car_phases(
    state: ControllerState, now: datetime, charger: ChargerState
) -> ControllerState:
    """The car's phases, from steady currents until it is unplugged."""
    if charger.online and charger.mode is ChargerMode.DISCONNECTED:
        return state.model_copy(update={"car_phases": None, "accumulated_benefit_wh": {}})
    seen_at = [
        charger.observed_at[name] for name in CAR_CURRENTS_OBSERVED if name in charger.observed_at
    ]
    amps = [value for value in charger.car_current_a if value is not None]
    drawing = charger.output_phases == 3 and len(amps) == 3 and max(amps) > 4
    if not drawing or not seen_at or now - max(seen_at) < CLOUD_SETTLES:
        return state
    return state.model_copy(update={"car_phases": sum(value > 1 for value in amps)})


def _time_missing_values(state: ControllerState, inputs: CycleInputs) -> ControllerState:
    missing = missing_values(inputs)
    since = min(state.unknown_since or inputs.now, inputs.now) if missing else None
    return state.model_copy(update={"unknown_since": since})


def _prioritise_battery(
    state: ControllerState, inverter: InverterReading, policy: Policy
) -> ControllerState:
    """Whether the battery comes first, or assists the car; each with its hysteresis."""
    soc_pct = inverter.battery_soc_pct
    if not inverter.has_battery or soc_pct is None:
        return state
    until_pct, assist_pct = policy.battery_first_until_pct, policy.battery_support_from_pct
    first = soc_pct < until_pct - (0.0 if state.battery_first else SOC_HYSTERESIS_PCT)
    if state.battery_assisting:
        assisting = soc_pct > assist_pct - policy.battery_support_hysteresis_pct
    else:
        assisting = soc_pct >= assist_pct
    assisting = assisting and not first and policy.battery_support_w > 0
    return state.model_copy(update={"battery_first": first, "battery_assisting": assisting})


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
        benefit_wh: dict[int, float] = {
            other: max(0.0, state.accumulated_benefit_wh.get(other, 0.0) + gain_w[other] * hours)
            for other in case.alternatives
        }
        if case.inputs.policy.mode == "fast":  # back on solar there is no delay, but no debt either
            best = max(gain_w, key=lambda other: gain_w[other])
            benefit_wh = {best: min(benefit_wh[best], case.switching_threshold_wh(best))}
        update["accumulated_benefit_wh"] = benefit_wh
        if case.active.current_a:
            power_w = case.draw_w(case.active.current_a, case.active.phases)
            gain_here_w = present_w - case.worth_w(power_w, surplus.middle_w)
            step_wh = state.accumulated_step_benefit_wh + gain_here_w * hours
            update["accumulated_step_benefit_wh"] = max(0.0, step_wh)
    return state.model_copy(update=update)
