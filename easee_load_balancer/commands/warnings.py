"""Warnings about equipment and settings that interfere with the balancer."""

from __future__ import annotations

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import TIME_TO_LIVE
from easee_load_balancer.devices.easee.discovery import FoundCharger
from easee_load_balancer.devices.easee.observations import Controls
from easee_load_balancer.devices.huawei.identity import Identity
from easee_load_balancer.measurements import ChargerState, GridType
from easee_load_balancer.orchestration.other_chargers import OtherChargers

_ONE_PHASE_GRIDS = (None, GridType.TN_ONE_PHASE, GridType.IT_ONE_PHASE)
_TTL_MIN = int(TIME_TO_LIVE.total_seconds() / 60)
_SCHEDULED = 54
"""Reason for no current: the charger's own schedule."""


def of_inverter(identity: Identity) -> list[str]:
    """About inverter, meter and battery."""
    found = []
    if not identity.meter_online:
        found.append(
            "The grid meter does not answer. Without it, surplus and main fuse load are unknown "
            "and solar charging is off: have the meter (DTSU666-H or similar) checked."
        )
    if identity.has_battery and not identity.battery_online:
        found.append(
            "The battery is offline. Its power is unknown, so the surplus is wrong by that much: "
            "see the FusionSolar app."
        )
    return found


def of_charger(
    charger: FoundCharger,
    state: ChargerState,
    controls: Controls,
    others: OtherChargers | None = None,
) -> list[str]:
    """About the charger, its circuit, and what else controls it.

    `others`: further chargers that are balanced too.
    """
    found = []
    if not state.online:
        found.append("The charger is offline and receives no commands.")
    if controls.enabled is False:
        found.append("The charger is switched off in the Easee app.")
    if controls.authorization_required:
        found.append(
            "The charger must be unlocked for each car (app or tag) before it charges. To charge "
            "unattended, disable this in the Easee app."
        )
    balanced = {one.charger_id for one in others.chargers} if others else set()
    if names := ", ".join(
        f"{one.name} ({one.id})" for one in charger.others if one.id not in balanced
    ):
        found.append(
            f"The circuit also has {names}. The balancer sets the current of the whole circuit but "
            "reads only one charger."
        )
    if charger.site.equalizers or controls.equalizer:
        found.append(
            "An Easee Equalizer is installed. It sets the same current as the balancer, and they "
            "override each other: disable its load balancing, or do not use this balancer."
        )
    if controls.scheduled or state.reason_for_no_current == _SCHEDULED:
        found.append(
            "The charger has a schedule of its own and does not charge outside its hours. "
            "Delete it in the Easee app."
        )
    return found


def of_role(permitted: bool | None) -> list[str]:
    """About a login that may only read."""
    if permitted is False:
        return [
            "This login may read the charger but not control it, so no surplus will be charged. "
            "The owner can make it an administrator of the site in the Easee app."
        ]
    return []


def of_phases(state: ChargerState, meter_phases: int | None) -> list[str]:
    """About a meter that does not see all phases of the charger."""
    if meter_phases == 1 and state.grid_type not in _ONE_PHASE_GRIDS:
        return [
            "The grid meter measures one phase, but the charger uses three. The main fuse is "
            "protected on that phase only, and export on the others is not seen."
        ]
    return []


def when_unattended(state: ChargerState, policy: Policy) -> str:
    """What the charger does without commands, and what that leaves for the house."""
    fallback_a = _fallback_a(state)
    if fallback_a is None:
        return (
            f"After {_TTL_MIN} minutes without commands, the circuit falls back to its "
            "offlineMaxCircuitCurrent, which the charger did not report."
        )
    left_a = max(0, policy.main_fuse_a - fallback_a)
    return (
        f"According to the vendor, after {_TTL_MIN} minutes without commands the circuit falls "
        f"back to {fallback_a:g} A (its offlineMaxCircuitCurrent); some chargers keep their last "
        f"current. The {policy.main_fuse_a} A main fuse then leaves {left_a:g} A per phase for the "
        "house."
    )


def of_fallback(state: ChargerState, policy: Policy) -> list[str]:
    """About a fallback current that the main fuse does not allow."""
    fallback_a = _fallback_a(state)
    usable_a = policy.main_fuse_a - policy.fuse_margin_a
    if fallback_a is None:
        return ["The charger did not report its offlineMaxCircuitCurrent: see the Easee app."]
    if fallback_a > usable_a:
        return [
            f"The circuit falls back to {fallback_a:g} A, but the {policy.main_fuse_a} A main fuse "
            f"allows {usable_a} A: it can trip when the balancer stops. Have the installer lower "
            "offlineMaxCircuitCurrent."
        ]
    return []


def _fallback_a(state: ChargerState) -> float | None:
    """The highest fallback current of a phase, within the circuit's and charger's limits."""
    most = state.charger_max_current_a
    phases = [
        min(limit for limit in (offline, highest, most) if limit is not None)
        for offline, highest in zip(
            state.offline_current_a, state.circuit_max_current_a, strict=True
        )
        if offline is not None
    ]
    return max(phases, default=None)
