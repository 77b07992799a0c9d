"""What the charger and the car do, compared with what was commanded."""

from __future__ import annotations

from datetime import datetime, timedelta

from easee_load_balancer.control.car_model import currents_seen_at, lines_in_use
from easee_load_balancer.control.limits import IT_GRIDS
from easee_load_balancer.control.power_estimate import CLOUD_SETTLES, DRAWING_W
from easee_load_balancer.control.state import ControllerState, Mismatch
from easee_load_balancer.measurements import ChargerMode, ChargerState, Setpoint

CONFIRMED_AFTER = timedelta(seconds=60)
"""A mismatch that lasts this long is not one of the usual delays."""
PHASE_MISMATCHES = (Mismatch.ONE_PHASE, Mismatch.MORE_PHASES)
_EXCESS_A = 2.0
"""A car draws up to this much more than commanded without being wrong."""
_RESEND_AFTER = timedelta(seconds=60)
"""The first repetition of an ignored command; each further one waits twice as long."""
_LONGEST_RESEND = timedelta(minutes=15)
"""The longest wait between two of them."""


def is_drawing(charger: ChargerState) -> bool:
    """Whether the car is charging with real power."""
    return charger.mode is ChargerMode.CHARGING and (charger.car_w or 0.0) > DRAWING_W


def car_is_absent(charger: ChargerState) -> bool:
    """Whether no car can charge: none is plugged in, or the charger waits to be unlocked."""
    return charger.online and charger.mode in (
        ChargerMode.DISCONNECTED,
        ChargerMode.AWAITING_AUTHENTICATION,
        ChargerMode.DEAUTHENTICATING,
    )


def find_mismatch(now: datetime, charger: ChargerState, state: ControllerState) -> Mismatch | None:
    """How the behaviour differs from the active setpoint, once that had time to take effect."""
    active = state.setpoint
    if active is None or state.is_pending or not charger.online or not is_drawing(charger):
        return None
    if state.since(state.changed_at, now) < CLOUD_SETTLES:
        return None
    amps = [value for value in charger.car_current_a if value is not None]
    seen_at = currents_seen_at(charger)
    fresh = state.changed_at is None or seen_at is None or seen_at > state.changed_at
    if active.current_a == 0:
        return Mismatch.IGNORED_PAUSE
    if fresh and amps and max(amps) > active.current_a + _EXCESS_A:
        return Mismatch.TOO_MUCH
    if charger.grid_type in IT_GRIDS or charger.phase_mode != 2:
        return None
    return _phase_mismatch(active, charger, amps if fresh else [])


def confirmed_mismatch(now: datetime, state: ControllerState) -> Mismatch | None:
    """The mismatch, once it has lasted longer than the usual delays."""
    lasted = state.since(state.mismatch_since, now)
    return state.mismatch if state.mismatch_since and lasted >= CONFIRMED_AFTER else None


def resend_after(state: ControllerState) -> timedelta:
    """How long after the last command it is sent again where the charger does not follow."""
    return min(_RESEND_AFTER * (1 << min(state.resends, 8)), _LONGEST_RESEND)


def _phase_mismatch(active: Setpoint, charger: ChargerState, amps: list[float]) -> Mismatch | None:
    if active.phases == 3 and charger.output_phases == 1:
        return Mismatch.ONE_PHASE
    drawing_more = len(amps) == 3 and lines_in_use(amps) > 1
    if active.phases == 1 and (charger.output_phases == 3 or drawing_more):
        return Mismatch.MORE_PHASES
    return None
