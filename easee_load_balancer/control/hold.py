"""Whether the battery has to be held while the car charges from the grid, and how. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from easee_load_balancer.control.battery import imports_when_held_a, may_be_held
from easee_load_balancer.control.behaviour import car_is_absent, is_drawing
from easee_load_balancer.control.cycle_inputs import CycleInputs, imports_a
from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.power_estimate import voltage_v
from easee_load_balancer.control.state import CAR_STARTS, ControllerState
from easee_load_balancer.measurements import BatteryHold

LACK_W = 300.0
"""The car draws more than the surplus by this much."""
CLOUD = timedelta(seconds=60)
"""In solar+minimum a lack that lasts no longer is a cloud, which the battery may cover."""
COVERED = timedelta(minutes=5)
"""A surplus that lasts this long ends the hold: the battery has nothing to give then."""
OBEYS_WITHIN = timedelta(minutes=2)
"""A battery that still discharges after this ignores the hold, or is another battery."""
UNKNOWN = timedelta(minutes=5)
"""Without readings a hold goes on for this long."""
IN_VAIN = timedelta(minutes=5)
"""The battery is not held any longer for a car that is given current and does not draw."""
DAY_W, NIGHT_W = 500.0, 100.0
"""PV power from which there may be a surplus to charge the battery with, and below which not."""


def hold_battery(inputs: CycleInputs, decision: Decision) -> Decision:
    """The decision with how the battery should be held; `inputs` with a boost's policy."""
    state = decision.state
    if not inputs.policy.hold_battery and state.hold is BatteryHold.FREE:
        return decision
    hold, update = _decided(inputs, decision)
    held = hold is not BatteryHold.FREE
    update |= {"hold": hold, "hold_since": (state.hold_since or inputs.now) if held else None}
    decision = replace(decision, state=state.model_copy(update=update))
    if not held:
        return decision
    given_w = -(inputs.inverter.battery_charge_w or 0.0)
    if state.hold_since is None or inputs.now - state.hold_since < OBEYS_WITHIN or given_w < LACK_W:
        return replace(decision, reason=f"{decision.reason}; battery held")
    disobeys = f"the battery should be held and gives {given_w / 1000:.1f} kW"
    reason, attention = f"{decision.reason}; {disobeys}", decision.attention or disobeys
    return replace(decision, reason=reason, attention=attention)


def _decided(inputs: CycleInputs, decision: Decision) -> tuple[BatteryHold, dict[str, object]]:
    """How the battery should be held, and what the state has to remember of it."""
    state, now = decision.state, inputs.now
    nothing: dict[str, object] = {"lack_since": None, "covered_since": None}
    if not may_be_held(inputs.policy, state) or not _may_charge(inputs, decision):
        return BatteryHold.FREE, nothing
    lack_w = _lack_w(inputs, decision)
    if lack_w is None:
        lately = state.since(state.hold_known_at, now) < UNKNOWN
        return state.hold if lately else BatteryHold.FREE, {}
    lacks = lack_w > LACK_W
    update: dict[str, object] = {
        "hold_known_at": now,
        "lack_since": (state.lack_since or now) if lacks else None,
        "covered_since": None if lacks else state.covered_since or now,
    }
    state = state.model_copy(update=update)
    soon = _starts(inputs, decision) and state.since(state.lack_since, now) < IN_VAIN
    if (soon or is_drawing(inputs.charger)) and _is_needed(inputs, state):
        return _way(inputs, state), update
    return BatteryHold.FREE, update


def _may_charge(inputs: CycleInputs, decision: Decision) -> bool:
    """Whether a car may charge, with a battery in the house and the grid there."""
    inverter, setpoint = inputs.inverter, decision.setpoint
    if setpoint is None or not setpoint.current_a or car_is_absent(inputs.charger):
        return False
    return inverter.has_battery and not inverter.off_grid


def _starts(inputs: CycleInputs, decision: Decision) -> bool:
    """Whether the car is given current for the first time now, or was a moment ago."""
    state = decision.state
    begins = state.setpoint is None or not state.setpoint.current_a
    return begins or state.since(state.attempt_at, inputs.now) < CAR_STARTS


def _lack_w(inputs: CycleInputs, decision: Decision) -> float | None:
    """How much more the car draws, or will, than the surplus; None where a value is unknown."""
    inverter, charger = inputs.inverter, inputs.charger
    export_w, charge_w = inverter.grid_export_w, inverter.battery_charge_w
    if export_w is None or charge_w is None or not charger.online or decision.setpoint is None:
        return None
    draws_w = (charger.car_w or 0.0) if is_drawing(charger) else 0.0
    will_draw_w = draws_w
    if _starts(inputs, decision):
        will_draw_w = max(draws_w, decision.setpoint.power_w(voltage_v(inverter, charger)))
    return will_draw_w - (draws_w + export_w + charge_w)


def _is_needed(inputs: CycleInputs, state: ControllerState) -> bool:
    if state.hold is not BatteryHold.FREE:
        return not state.covered_since or state.since(state.covered_since, inputs.now) < COVERED
    if state.lack_since is None or not _fits_main_fuse(inputs, state):
        return False
    return inputs.policy.mode == "fast" or state.since(state.lack_since, inputs.now) >= CLOUD


def _fits_main_fuse(inputs: CycleInputs, state: ControllerState) -> bool:
    """Whether the grid can give what the battery gives now; if not, the car is lowered first."""
    policy = inputs.policy
    held_a = imports_when_held_a(imports_a(inputs, state), inputs.inverter)
    return held_a is not None and max(held_a) <= policy.main_fuse_a - policy.fuse_margin_a + 0.5


def _way(inputs: CycleInputs, state: ControllerState) -> BatteryHold:
    """By day the limit, which lets the battery charge; at night the command, which ends itself."""
    pv_w = inputs.inverter.pv_w or 0.0
    by_day = pv_w >= (NIGHT_W if state.hold is BatteryHold.LIMIT else DAY_W)
    return BatteryHold.LIMIT if by_day else BatteryHold.COMMAND
