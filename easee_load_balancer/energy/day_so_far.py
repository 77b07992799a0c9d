"""The energy of the present day, added up cycle by cycle without pandas: for the page of now.

The rules are those of `power_flows`, without the devices' counters: linear between two samples, the
car in steps, imported energy to the car first, then the battery's. The daily summary corrects it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from easee_load_balancer.periods import QUARTER

LONGEST_STEP = timedelta(minutes=3)
"""Nothing is assumed between samples that are further apart."""
CAR_HELD = timedelta(minutes=1)
"""A car that is unknown draws what it drew for this long; then it is part of the house."""


class Sample(NamedTuple):
    """What a cycle has measured; None is unknown."""

    at: datetime
    pv_w: float | None
    grid_export_w: float | None
    battery_charge_w: float | None
    car_w: float | None


@dataclass(slots=True)
class Flows:
    """Powers in W, or energies in Ws."""

    pv: float = 0.0
    imported: float = 0.0
    exported: float = 0.0
    discharged: float = 0.0
    charged: float = 0.0
    house: float = 0.0
    """Conversion losses included. Less than 0 for moments: meter and cloud are not in step."""
    car_from_solar: float = 0.0
    car_from_battery: float = 0.0
    car_from_grid: float = 0.0

    @property
    def car(self) -> float:
        """What the car got from all sources."""
        return self.car_from_solar + self.car_from_battery + self.car_from_grid

    def add(self, power: Flows, seconds: float) -> None:
        """Add these powers for that time."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(power, name) * seconds)


def flows(sample: Sample, following: Sample | None = None) -> Flows | None:
    """The powers from a sample to the following one; None where the plant is unknown."""
    following = following or sample
    pv_w, charge_w = _mean(sample.pv_w, following.pv_w), sample.battery_charge_w
    charge_w = _mean(charge_w, following.battery_charge_w)
    export_w, car_w = _mean(sample.grid_export_w, following.grid_export_w), sample.car_w or 0.0
    if pv_w is None or charge_w is None:
        return None
    if export_w is None:
        if pv_w or charge_w:
            return None
        export_w = -car_w  # the inverter sleeps: the car can only draw from the grid
    imported, discharged = max(-export_w, 0.0), max(-charge_w, 0.0)
    from_grid = min(imported, car_w)
    from_battery = min(discharged, car_w - from_grid)
    return Flows(
        pv=pv_w,
        imported=imported,
        exported=max(export_w, 0.0),
        discharged=discharged,
        charged=max(charge_w, 0.0),
        house=pv_w - export_w - charge_w - car_w,
        car_from_solar=car_w - from_grid - from_battery,
        car_from_battery=from_battery,
        car_from_grid=from_grid,
    )


def _mean(first: float | None, second: float | None) -> float | None:
    return first if first is None or second is None else (first + second) / 2


@dataclass(slots=True)
class DaySoFar:
    """A local day from its start to the last cycle."""

    start: datetime
    end: datetime
    total: Flows = field(default_factory=Flows)
    saved: float = 0.0
    """In the tariff's currency."""
    measured_s: float = 0.0
    bins: dict[int, tuple[Flows, float]] = field(default_factory=dict)
    """Energies of each quarter of an hour in Ws, with the seconds measured in it."""
    last: Sample | None = None
    car_known_at: datetime | None = None

    def add(self, sample: Sample, gain: float = 0.0) -> None:
        """Add the time since the last sample; `gain` is what a kWh of solar in the car saves."""
        last, self.last = self.last, self._with_car(sample)
        if last is None or not timedelta() < sample.at - last.at <= LONGEST_STEP:
            return
        power, seconds = flows(last, sample), (sample.at - max(last.at, self.start)).total_seconds()
        if power is None or seconds <= 0:
            return
        self.total.add(power, seconds)
        self.measured_s += seconds
        self.saved += power.car_from_solar * seconds / 3.6e6 * gain
        number = (sample.at - self.start) // QUARTER
        energy, known_s = self.bins.get(number, (Flows(), 0.0))
        energy.add(power, seconds)
        self.bins[number] = energy, known_s + seconds

    def _with_car(self, sample: Sample) -> Sample:
        if sample.car_w is not None:
            self.car_known_at = sample.at
        elif self.last and self.car_known_at and sample.at - self.car_known_at <= CAR_HELD:
            return sample._replace(car_w=self.last.car_w)
        return sample

    def means(self) -> Iterator[tuple[int, Flows]]:
        """The mean powers of each quarter of an hour with a measurement, in order, in W."""
        for number, (energy, seconds) in sorted(self.bins.items()):
            mean = Flows()
            mean.add(energy, 1 / seconds)
            yield number, mean

    @property
    def bin_count(self) -> int:
        """How many quarters of an hour the day has."""
        return -((self.start - self.end) // QUARTER)
