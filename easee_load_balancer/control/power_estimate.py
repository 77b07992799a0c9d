"""The car's power when the meter was read, although meter and cloud lag behind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean

from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.measurements import ChargerState, InverterReading, Setpoint

NOMINAL_VOLTAGE_V = 230.0
CAR_UNDERDRAW_A = 0.3
"""Cars draw this much less than they are offered."""
METER_SETTLES = timedelta(seconds=12)
"""From a command until the meter shows its effect: charger, car and a slow dongle together."""
CLOUD_SETTLES = timedelta(seconds=60)
"""From a command until the cloud shows its effect, if there is any."""
CAR_STARTS = timedelta(seconds=150)
"""From a start or a phase change until a car that wants to charge draws."""
STABLE_FOR = timedelta(seconds=30)
"""Unchanged this long counts as steady."""
DRAWING_W = 500.0


@dataclass(frozen=True, slots=True)
class PowerRange:
    """The bounds in W of a power; both are the same when it is known."""

    low_w: float
    high_w: float

    def __add__(self, power_w: float) -> PowerRange:
        return PowerRange(self.low_w + power_w, self.high_w + power_w)

    @property
    def middle_w(self) -> float:
        return (self.low_w + self.high_w) / 2

    def __str__(self) -> str:
        """In kW."""
        if self.known:
            return f"{self.middle_w / 1000:.1f}"
        return f"{self.low_w / 1000:.1f} to {self.high_w / 1000:.1f}"

    @property
    def known(self) -> bool:
        return self.high_w - self.low_w < DRAWING_W


def voltage_v(inverter: InverterReading, charger: ChargerState) -> float:
    """Mean phase voltage at the charger, else at the meter, else nominal."""
    for measured in (charger.voltage_v, inverter.grid_voltage_v):
        known = [volts for volts in measured if volts is not None and 180 < volts < 280]
        if known:
            return fmean(known)
    return NOMINAL_VOLTAGE_V


def draw_w(current_a: float, phases: int, volts: float) -> float:
    """What a car draws of that offer."""
    return max(0.0, current_a - CAR_UNDERDRAW_A) * phases * volts


def car_power(
    now: datetime, charger: ChargerState, state: ControllerState, volts: float
) -> PowerRange:
    """What the car drew when the meter was read.

    A command that the readings cannot show yet leaves two possibilities, the draw before and the
    draw after it; the law acts only where both agree. So does a command in doubt.
    """
    car = _after_commands(now, charger, state, volts)
    if state.pending is None or not state.is_pending:
        return car
    pending_w = offered_w(state.pending, state, volts)
    return PowerRange(min(car.low_w, pending_w), max(car.high_w, pending_w))


def _after_commands(
    now: datetime, charger: ChargerState, state: ControllerState, volts: float
) -> PowerRange:
    offer = state.setpoint
    age = state.since(state.changed_at, now)
    car_w = charger.car_w
    if car_w is None:
        return PowerRange(0.0, 0.0 if offer is None else offered_w(offer, state, volts))
    if offer is None or age >= CAR_STARTS:
        return _settled(now, charger, state, volts, car_w)
    before = state.before
    expected_w = offered_w(offer, state, volts)
    before_w = offered_w(before, state, volts) if car_w > 0 else 0.0
    if age < METER_SETTLES:
        return _between(before_w, expected_w)
    if before.current_a == 0 or (offer.current_a and before.phases != offer.phases):
        if not _seen_drawing(charger, state, car_w):
            return _between(0.0, expected_w)
        return _settled(now, charger, state, volts, car_w)
    if offer.current_a == 0:
        return PowerRange(0.0, 0.0) if age < CLOUD_SETTLES else PowerRange(car_w, car_w)
    return _settled(now, charger, state, volts, car_w)


def _settled(
    now: datetime, charger: ChargerState, state: ControllerState, volts: float, car_w: float
) -> PowerRange:
    """The cloud's value where it has stood; the offer where both agree within the dead band."""
    offer = state.setpoint
    if offer is None:
        return PowerRange(car_w, car_w)
    expected_w = offered_w(offer, state, volts)
    if _agree(car_w, expected_w):
        return PowerRange(expected_w, expected_w)
    observed_at = charger.observed_at.get("car_w")
    age = state.since(state.changed_at, now)
    if observed_at is None or age >= CAR_STARTS:
        return PowerRange(car_w, car_w)
    if state.changed_at is not None and observed_at < state.changed_at and age < CLOUD_SETTLES:
        before_w = offered_w(state.before, state, volts)
        if car_w < before_w and not _agree(car_w, before_w):  # it did not take the last offer
            return _between(car_w, expected_w)
        return PowerRange(expected_w, expected_w)
    if now - observed_at >= STABLE_FOR:
        return PowerRange(car_w, car_w)
    return _between(car_w, expected_w)


def _agree(car_w: float, expected_w: float) -> bool:
    """Whether they differ by no more than what the cloud's dead band may hide."""
    return abs(car_w - expected_w) <= max(250.0, 0.08 * expected_w)


def _seen_drawing(charger: ChargerState, state: ControllerState, car_w: float) -> bool:
    observed_at = charger.observed_at.get("car_w")
    if observed_at is None or state.changed_at is None or car_w < DRAWING_W:
        return False
    return observed_at > state.changed_at + timedelta(seconds=5)


def offered_w(offer: Setpoint, state: ControllerState, volts: float) -> float:
    """What this car draws of an offer, as far as its phases are known."""
    phases = min(offer.phases, state.car_phases or 3)
    return draw_w(offer.current_a, phases, volts)


def _between(one_w: float, other_w: float) -> PowerRange:
    return PowerRange(min(one_w, other_w), max(one_w, other_w))
