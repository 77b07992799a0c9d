"""What of the house battery's power is the car's: priority, assistance, and what only looks so."""

from __future__ import annotations

from datetime import datetime, timedelta

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.power_estimate import NOMINAL_VOLTAGE_V
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.measurements import InverterReading

SOC_HYSTERESIS_PCT = 2.0
"""Once the car may charge, the battery comes first again this far below."""
_NIGHT_HYSTERESIS_PCT = 10.0
"""The same where what the night needs decides, which rises through the day."""
_BATTERY_RETURNS = 0.9
"""Of a kWh that is charged."""
_EMPTY_PCT = 5.0
"""A battery gives nothing below."""
_MOST_FOR_NIGHT_PCT = 85.0
"""The rest comes from what the car leaves; a battery that is nearly full takes little."""
REGULATES_WITHIN = timedelta(seconds=25)
"""A battery in self-consumption stops charging from the grid sooner than this."""
LIMIT_HOLDS = timedelta(minutes=30)
"""A battery that is nearly full or cold is given the chance to take more again after this long."""
_IMPORT_W = 300.0
"""More import than regulation leaves over."""
_EXPORT_W = 300.0
"""More export than regulation leaves over."""
_CHARGING_W = 500.0
"""A battery that takes less is hardly charging."""
GRID_MODES = ("fast", "solar+minimum")
"""Modes in which the car charges without surplus; a boost is "fast"."""
_STEP_W = 700.0
"""One ampere on three phases."""
_LARGEST_ONE_PHASE_W = 6000.0
"""A larger inverter feeds three phases."""
_CLAIM_CHANGES = 0.2
"""A battery whose charging power changes by this share follows the surplus again."""


def first_until_pct(policy: Policy, prices: Prices, wanted_wh: float | None) -> float:
    """State of charge below which the battery comes first.

    The owner's, or what the house will need in the night (`wanted_wh`) if that is more, and if a
    kWh in the battery saves more than one that the car does not have to charge at night.
    """
    until_pct = policy.battery_first_until_pct
    if not policy.battery_night_kwh or wanted_wh is None:
        return until_pct
    if prices.import_price * _BATTERY_RETURNS <= prices.night_price:
        return until_pct
    night_pct = _EMPTY_PCT + wanted_wh / (10 * policy.battery_night_kwh)
    return max(until_pct, min(night_pct, _MOST_FOR_NIGHT_PCT))


def reserve_w(inverter: InverterReading, policy: Policy, state: ControllerState) -> float:
    """Surplus that is left to the battery; negative where the battery assists the car."""
    if not inverter.has_battery or inverter.battery_soc_pct is None:
        return 0.0
    if state.battery_first:
        taken_w = state.battery_takes_w
        reserve_w = float(policy.battery_reserve_w)
        return reserve_w if taken_w is None else min(reserve_w, taken_w)
    return float(-policy.battery_support_w) if state.battery_assisting else 0.0


def available_charge_w(inverter: InverterReading, state: ControllerState) -> float | None:
    """Charging power of the battery that could go to the car instead; negative: discharging.

    PV power reaches the car only through the inverter's AC side: what charges the battery beyond
    its rating cannot. Nor can what the battery takes on command.
    """
    charge_w = inverter.battery_charge_w
    if charge_w is None or charge_w <= 0:
        return charge_w
    if state.battery_claim_w is not None:
        charge_w = max(0.0, charge_w - state.battery_claim_w)
    headroom_w = _ac_headroom_w(inverter)
    return charge_w if headroom_w is None else min(charge_w, headroom_w)


def _ac_headroom_w(inverter: InverterReading) -> float | None:
    """What the inverters with a battery could add on the AC side; None = unknown."""
    headroom_w = inverter.battery_ac_headroom_w
    if headroom_w is None and inverter.rated_w is not None and inverter.inverter_ac_w is not None:
        headroom_w = max(0.0, inverter.rated_w - inverter.inverter_ac_w)
    return headroom_w


def can_give(inverter: InverterReading) -> bool:
    """Whether another step of the car could come from the battery rather than from the grid."""
    headroom_w = _ac_headroom_w(inverter)
    return headroom_w is None or headroom_w >= _STEP_W


def may_be_held(policy: Policy, state: ControllerState) -> bool:
    """Whether the owner wants the battery held while the car charges from the grid."""
    return policy.hold_battery and policy.mode in GRID_MODES and not state.battery_assisting


def imports_when_held_a(
    imports_a: list[float] | None, inverter: InverterReading
) -> list[float] | None:
    """What each phase would import if the battery stopped discharging now.

    On which phase a small inverter feeds is unknown: it counts on each of them.
    """
    discharge_w = max(0.0, -(inverter.battery_charge_w or 0.0))
    phases = 3 if (inverter.rated_w or 0.0) > _LARGEST_ONE_PHASE_W else 1
    more_a = discharge_w / min(phases, len(imports_a or ()) or 1) / NOMINAL_VOLTAGE_V
    return None if imports_a is None else [amps + more_a for amps in imports_a]


def follow_battery(
    state: ControllerState,
    now: datetime,
    inverter: InverterReading,
    policy: Policy,
    until_pct: float,
) -> ControllerState:
    """The state with what this reading says about the battery, which comes first until then."""
    state = _prioritise(state, inverter, policy, until_pct)
    return _notice_limit(_notice_claim(state, now, inverter), now, inverter)


def _prioritise(
    state: ControllerState, inverter: InverterReading, policy: Policy, until_pct: float
) -> ControllerState:
    """Whether the battery comes first, or assists the car; each with its hysteresis."""
    soc_pct = inverter.battery_soc_pct
    if not inverter.has_battery or soc_pct is None:
        return state
    assist_pct, hysteresis_pct = policy.battery_support_from_pct, SOC_HYSTERESIS_PCT
    if until_pct > policy.battery_first_until_pct:
        hysteresis_pct = _NIGHT_HYSTERESIS_PCT
    first = soc_pct < until_pct - (0.0 if state.battery_first else hysteresis_pct)
    if state.battery_assisting:
        assisting = soc_pct > assist_pct - policy.battery_support_hysteresis_pct
    else:
        assisting = soc_pct >= assist_pct
    assisting = assisting and not first and policy.battery_support_w > 0
    return state.model_copy(update={"battery_first": first, "battery_assisting": assisting})


def _notice_claim(
    state: ControllerState, now: datetime, inverter: InverterReading
) -> ControllerState:
    """Import beside a charging battery that lasts: it charges on command, not from surplus.

    A forced charge, a time-of-use window, another controller: until its power changes, that power
    is not the car's.
    """
    charge_w, export_w = inverter.battery_charge_w, inverter.grid_export_w
    if charge_w is None or export_w is None:
        return state
    claim_w = state.battery_claim_w
    if claim_w is not None and abs(charge_w - claim_w) > _CLAIM_CHANGES * claim_w:
        claim_w = None
    beside = charge_w > _CHARGING_W and export_w < -_IMPORT_W
    since = (state.import_beside_charge_since or now) if beside else None
    if since is not None and state.since(since, now) >= REGULATES_WITHIN:
        claim_w = charge_w
    return state.model_copy(
        update={"battery_claim_w": claim_w, "import_beside_charge_since": since}
    )


def _notice_limit(
    state: ControllerState, now: datetime, inverter: InverterReading
) -> ControllerState:
    """Export or throttled PV beside a charging battery: it takes no more, nearly full or cold."""
    charge_w, export_w = inverter.battery_charge_w, inverter.grid_export_w
    if charge_w is None or export_w is None:
        return state
    takes_w = state.battery_takes_w
    if takes_w is not None:
        more = charge_w > max(takes_w, _CHARGING_W) * (1 + _CLAIM_CHANGES)
        if more or state.since(state.battery_limit_at, now) >= LIMIT_HOLDS:
            return state.model_copy(update={"battery_takes_w": None, "export_beside_since": None})
    left_over = export_w > _EXPORT_W or (inverter.throttled and export_w > -_IMPORT_W)
    since = (state.export_beside_since or now) if left_over else None
    update: dict[str, object] = {"export_beside_since": since}
    if takes_w is None and since is not None and state.since(since, now) >= REGULATES_WITHIN:
        update |= {"battery_takes_w": max(0.0, charge_w), "battery_limit_at": now}
    return state.model_copy(update=update)
