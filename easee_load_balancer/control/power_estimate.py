"""What the car drew when the meter was read, although meter and cloud lag behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean
from typing import NamedTuple

from easee_load_balancer.control.car_model import CarModel, measured_current_a
from easee_load_balancer.control.state import CAR_STARTS, ControllerState
from easee_load_balancer.measurements import ChargerState, InverterReading, Setpoint

NOMINAL_VOLTAGE_V = 230.0
"""Where no voltage is measured."""
METER_SETTLES = timedelta(seconds=12)
"""From a command until the meter shows its effect: charger, car and a slow dongle together."""
CLOUD_SETTLES = timedelta(seconds=60)
"""From a command until the cloud shows its effect, if there is any."""
STABLE_FOR = timedelta(seconds=30)
"""Unchanged this long counts as steady."""
DRAWING_W = 500.0
"""More than the standby of a car, less than any charging."""


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
            return f"{self.middle_w / 1000:z.1f}"
        return f"{self.low_w / 1000:z.1f} to {self.high_w / 1000:z.1f}"

    @property
    def known(self) -> bool:
        return self.high_w - self.low_w < DRAWING_W


class Draw(NamedTuple):
    """What the car may be drawing: current on each of its lines, and power."""

    current_a: float
    power_w: float


@dataclass(frozen=True, slots=True)
class CarEstimate:
    """What the car was drawing when the meter was read."""

    power: PowerRange
    low_a: float
    """The least current that it may be drawing on each of its lines."""
    metered_a: tuple[float, ...]
    """The car's current that the import on each phase of the house includes, if it uses that."""


def voltage_v(inverter: InverterReading, charger: ChargerState) -> float:
    """Mean phase voltage at the charger, else at the meter, else nominal."""
    for measured in (charger.voltage_v, inverter.grid_voltage_v):
        known = [volts for volts in measured if volts is not None and 180 < volts < 280]
        if known:
            return fmean(known)
    return NOMINAL_VOLTAGE_V


@dataclass(frozen=True, slots=True)
class CarPowerEstimator:
    """Estimates the car's draw from one cycle's readings and the commands before it."""

    now: datetime
    charger: ChargerState
    state: ControllerState
    volts: float
    imports_a: Sequence[float] | None = None
    """Import on each phase of the house."""

    def estimate(self) -> CarEstimate:
        """What the car drew when the meter was read.

        A command that the readings cannot show yet leaves two possibilities, the draw before and
        the draw after it; the law acts only where both agree. So does a pending command.
        """
        draws = self._possible_draws()
        metered_a = self._metered_a(draws)
        if self.state.is_pending and self.state.pending is not None:
            pending = self.offered(self.state.pending)
            draws = (*draws, pending)
            metered_a = tuple(min(amps, pending.current_a) for amps in metered_a)
        powers = [draw.power_w for draw in draws]
        low_a = min(draw.current_a for draw in draws)
        return CarEstimate(PowerRange(min(powers), max(powers)), low_a, metered_a)

    def watts_per_ampere(self, phases: int) -> float:
        """Power of one ampere on each line of that many offered phases."""
        return self.state.car.factor(phases, self.charger.grid_type) * self.volts

    def offered(self, offer: Setpoint) -> Draw:
        """What this car draws of an offer."""
        current_a = self.state.car.draw_a(offer.current_a) if offer.current_a else 0.0
        return Draw(current_a, current_a * self.watts_per_ampere(offer.phases))

    def _possible_draws(self) -> tuple[Draw, ...]:
        """What the car may draw: first what the meter shows of it without further evidence."""
        offer, before, car_w = self.state.setpoint, self.state.before, self.charger.car_w
        nothing = Draw(0.0, 0.0)
        if car_w is None:
            return (nothing,) if offer is None else (nothing, self.offered(offer))
        age = self.state.since(self.state.changed_at, self.now)
        if offer is None or age >= CAR_STARTS:
            return self._settled(car_w)
        expected = self.offered(offer)
        if age < METER_SETTLES:
            return (self.offered(before) if car_w > 0 else nothing, expected)
        if before.current_a == 0 or (offer.current_a and before.phases != offer.phases):
            return self._settled(car_w) if self._seen_drawing(car_w) else (nothing, expected)
        if offer.current_a == 0:
            return (nothing,) if age < CLOUD_SETTLES else (self._measured(car_w),)
        return self._settled(car_w)

    def _settled(self, car_w: float) -> tuple[Draw, ...]:
        """The cloud's value where it is steady; the offer where both agree."""
        state, offer, measured = self.state, self.state.setpoint, self._measured(car_w)
        if offer is None:
            return (measured,)
        expected = self.offered(offer)
        if agree(car_w, expected.power_w):
            return (expected,)
        observed_at = self.charger.observed_at.get("car_w")
        age = state.since(state.changed_at, self.now)
        if observed_at is None or age >= CAR_STARTS:
            return (measured,)
        if state.changed_at and observed_at < state.changed_at and age < CLOUD_SETTLES:
            before_w = self.offered(state.before).power_w
            if car_w < before_w and not agree(car_w, before_w):  # it did not take the last offer
                return (measured, expected)
            return self._expected_of(state.car, expected)
        if self.now - observed_at >= STABLE_FOR:
            return (measured,)
        return (measured, expected)

    def _expected_of(self, car: CarModel, expected: Draw) -> tuple[Draw, ...]:
        """The expected draw, and less where this car has surprised before."""
        if not car.uncertainty_a or self.state.setpoint is None:
            return (expected,)
        less_a = max(0.0, expected.current_a - car.uncertainty_a)
        per_ampere = self.watts_per_ampere(self.state.setpoint.phases)
        return (Draw(less_a, less_a * per_ampere), expected)

    def _measured(self, car_w: float) -> Draw:
        """What the charger measures."""
        current_a = measured_current_a(self.charger)
        if current_a is None:
            phases = self.charger.output_phases or self.state.phases
            current_a = car_w / self.watts_per_ampere(1 if phases == 1 else 3)
        return Draw(current_a, car_w)

    def _seen_drawing(self, car_w: float) -> bool:
        observed_at, changed_at = self.charger.observed_at.get("car_w"), self.state.changed_at
        if observed_at is None or changed_at is None or car_w < DRAWING_W:
            return False
        return observed_at > changed_at + timedelta(seconds=5)

    def _metered_a(self, draws: Sequence[Draw]) -> tuple[float, ...]:
        """The car's current that the import on each phase of the house includes.

        Between the two possible draws the meter decides: what has come to a phase since the
        command is the car's, as far as the command explains it.
        """
        imports_a, then = self.imports_a or (0.0, 0.0, 0.0), self.state.imports_before_a
        if self.imports_a is None or then is None or len(then) != len(imports_a):
            return (draws[0].current_a,) * len(imports_a)
        least_a, most_a = sorted((draws[0].current_a, draws[-1].current_a))
        before_a = self.offered(self.state.before).current_a
        return tuple(
            max(least_a, min(before_a + now - earlier, most_a))
            for now, earlier in zip(imports_a, then, strict=True)
        )


def agree(car_w: float, expected_w: float) -> bool:
    """Whether they differ by no more than the cloud's dead band may hide."""
    return abs(car_w - expected_w) <= max(250.0, 0.08 * expected_w)
