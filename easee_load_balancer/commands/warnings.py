"""What a house has that its owner should know about before the balancer works on it."""

from __future__ import annotations

from easee_load_balancer.control.limits import ONE_PHASE_GRIDS
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import TIME_TO_LIVE
from easee_load_balancer.devices.easee.discovery import FoundCharger
from easee_load_balancer.devices.easee.observations import Controls
from easee_load_balancer.devices.huawei.identity import Identity
from easee_load_balancer.measurements import ChargerState

_TTL_MIN = int(TIME_TO_LIVE.total_seconds() / 60)
_SCHEDULED = 54
"""Reason for no current: the charger's own schedule."""


def of_inverter(identity: Identity) -> list[str]:
    """About inverter, meter and battery."""
    found = []
    if not identity.meter_online:
        found.append(
            "No grid meter answers. Without it neither the surplus nor the load of the main fuse "
            "is known, and nothing charges on sun: have the meter (DTSU666-H or the like) checked."
        )
    if identity.has_battery and not identity.battery_online:
        found.append(
            "The battery is installed and offline. What it charges or gives is unknown, so the "
            "surplus is wrong by that much: see the FusionSolar app."
        )
    return found


def of_charger(charger: FoundCharger, state: ChargerState, others: Controls) -> list[str]:
    """About the charger, its circuit, and whoever else decides over it."""
    found = []
    if not state.online:
        found.append("The charger is offline: it gets no commands until it is back.")
    if others.enabled is False:
        found.append("The charger is switched off in the Easee app.")
    if others.authorization_required:
        found.append(
            "The charger wants to be unlocked for each car (app or tag): until then nothing "
            "charges. To charge on sun unattended, switch that off in the Easee app."
        )
    if charger.others:
        names = ", ".join(f"{one.name} ({one.id})" for one in charger.others)
        found.append(
            f"On the same circuit there is {names}. The balancer sets the current of the whole "
            "circuit and looks at one car alone: all of its chargers get that current, or none."
        )
    if charger.site.equalizers or others.equalizer:
        found.append(
            "An Easee Equalizer is installed. It sets the same current as the balancer, and they "
            "undo each other's commands: switch off its load balancing or do without this one."
        )
    if others.scheduled or state.reason_for_no_current == _SCHEDULED:
        found.append(
            "The charger has a schedule of its own: outside of its hours no sun is charged. "
            "Delete it in the Easee app."
        )
    if others.smart_charging:
        found.append(
            "Smart charging is switched on in the Easee app: it pauses the charger when energy is "
            "dear, whatever the sun does. Switch it off."
        )
    return found


def of_both(state: ChargerState, meter_phases: int | None) -> list[str]:
    """About what does not fit together."""
    if meter_phases == 1 and state.grid_type not in (None, *ONE_PHASE_GRIDS):
        return [
            "The grid meter measures one phase, the charger is connected to three. The main fuse "
            "is guarded on that phase alone, and what the others export is not seen."
        ]
    return []


def when_unattended(state: ChargerState, policy: Policy) -> str:
    """What the charger does when nobody commands it any more, and what that leaves to the house."""
    fallback_a = _fallback_a(state)
    if fallback_a is None:
        return (
            f"When nobody commands it for {_TTL_MIN} minutes, the circuit falls back to its "
            "offlineMaxCircuitCurrent, which the charger did not report."
        )
    left_a = max(0, policy.main_fuse_a - fallback_a)
    return (
        f"When nobody commands it for {_TTL_MIN} minutes, the circuit falls back to "
        f"{fallback_a:g} A (its offlineMaxCircuitCurrent), says the vendor; some chargers kept "
        f"what they had. Of the main fuse's {policy.main_fuse_a} A that leaves {left_a:g} A per "
        "phase to the house."
    )


def of_fallback(state: ChargerState, policy: Policy) -> list[str]:
    """About what the circuit falls back to, beside the main fuse."""
    fallback_a = _fallback_a(state)
    usable_a = policy.main_fuse_a - policy.fuse_margin_a
    if fallback_a is None:
        return ["The charger did not report its offlineMaxCircuitCurrent: see the Easee app."]
    if fallback_a > usable_a:
        return [
            f"The {fallback_a:g} A to which the circuit falls back are more than the {usable_a} A "
            f"which the main fuse of {policy.main_fuse_a} A allows: when the balancer stops, it "
            "can trip. Have the installer lower offlineMaxCircuitCurrent."
        ]
    return []


def _fallback_a(state: ChargerState) -> float | None:
    """The highest phase of what the circuit falls back to, within its and the charger's limits."""
    most = state.charger_max_current_a
    phases = [
        min(limit for limit in (offline, highest, most) if limit is not None)
        for offline, highest in zip(
            state.offline_current_a, state.circuit_max_current_a, strict=True
        )
        if offline is not None
    ]
    return max(phases, default=None)
