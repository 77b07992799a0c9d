"""A house, its car and its prices for a year, in simulated time: what charging costs."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from easee_load_balancer.control.plan import Departure
from easee_load_balancer.periods import QUARTER

Floats = NDArray[np.float64]
STEP = timedelta(minutes=5)
STEPS = int(QUARTER / STEP)
HOURS = STEP / timedelta(hours=1)
SCALE = 0.8
CAPACITY_KWH = 55.0
LOWEST_KWH = 8.0
START_KWH = 20.0
MAX_W = 16 * 3 * 230.0
MIN_W = 6 * 230.0
_ENOUGH_KWH = 0.05


@dataclass(frozen=True, slots=True)
class BatterySize:
    """The house's battery, in self-consumption."""

    capacity_kwh: float = 10.0
    power_w: float = 5000.0
    efficiency: float = 0.95


@dataclass(frozen=True)
class Year:
    """Values by the quarter-hour; the local wall time is taken as UTC, without clock changes."""

    start: datetime
    pv_w: Floats
    load_w: Floats
    spot: Floats

    @cached_property
    def import_price(self) -> Floats:
        """What the owner pays."""
        return np.asarray(self.spot * 1.25 + 0.10)

    @property
    def export_price(self) -> Floats:
        return self.spot

    @property
    def quarters(self) -> int:
        return len(self.spot)

    @cached_property
    def departures(self) -> tuple[Departure, ...]:
        """Weekdays 07:30 to 17:00 for 12 kWh, Sundays 10:00 to 13:00 for 8 kWh."""
        days = range(self.quarters // 96)
        return tuple(trip for day in days for trip in _trips(self.start + timedelta(days=day)))

    def at(self, quarter: int) -> datetime:
        return self.start + quarter * QUARTER


def _trips(day: datetime) -> Iterator[Departure]:
    if day.weekday() < 5:
        at, back_at, trip_kwh = timedelta(hours=7.5), timedelta(hours=17), 12.0
    elif day.weekday() == 6:
        at, back_at, trip_kwh = timedelta(hours=10), timedelta(hours=13), 8.0
    else:
        return
    yield Departure(day + at, LOWEST_KWH + trip_kwh, trip_kwh, day + back_at)


def load_year(house: Path, prices: Path) -> Year:
    """The house's year beside the prices' year; 29 February is left out."""
    with prices.open() as lines:
        hourly = {row["start_local"]: float(row["eur_kwh"]) for row in csv.DictReader(lines)}
    first = date.fromisoformat(min(hourly)[:10])
    pv_w: list[float] = []
    load_w: list[float] = []
    with house.open() as lines:
        for row in csv.DictReader(lines):
            if row["start"][5:10] != "02-29":
                pv_w += [float(row["pv_w"])] * 2
                load_w += [float(row["load_w"])] * 2
    start = datetime(first.year, 1, 1, tzinfo=UTC)
    names = [f"{start + quarter * QUARTER:%Y-%m-%dT%H:00}" for quarter in range(len(pv_w) + 96)]
    days = [name for name in names if name[5:10] != "02-29"][: len(pv_w)]
    spot = [hourly[name] for name in days]
    return Year(start, np.array(pv_w) * SCALE, np.array(load_w) * SCALE, np.array(spot))


@dataclass(slots=True)
class Moment:
    """What a way of charging may look at: the present."""

    quarter: int
    now: datetime
    pv_w: float
    load_w: float
    car_kwh: float
    connected: bool
    battery_kwh: float | None


class Charging(Protocol):
    """A way of charging the car."""

    def car_w(self, moment: Moment) -> float:
        """Power for the next step."""

    def holds_battery(self) -> bool:
        """Whether the house's battery must not discharge in this step."""


@dataclass(slots=True)
class Outcome:
    """A year's bill and what the car got."""

    bill: float = 0.0
    car_kwh: float = 0.0
    solar_kwh: float = 0.0
    missed: int = 0
    starts: int = 0
    end_kwh: float = START_KWH


def run(year: Year, charging: Charging | None, battery: BatterySize | None) -> Outcome:
    """A year; without `charging` there is no car."""
    outcome = Outcome()
    stored_kwh = 0.0
    ahead = list(reversed(year.departures)) if charging else []
    car_kwh, away_until, before_w = START_KWH, year.start, 0.0
    for quarter in range(year.quarters):
        pv_w, load_w = float(year.pv_w[quarter]), float(year.load_w[quarter])
        for step in range(STEPS):
            now = year.at(quarter) + step * STEP
            if ahead and ahead[-1].at <= now:
                trip = ahead.pop()
                outcome.missed += car_kwh < trip.energy_kwh - _ENOUGH_KWH
                car_kwh, away_until = max(0.0, car_kwh - trip.trip_kwh), trip.back_at
            car_w, held = 0.0, False
            if charging is not None:
                known_kwh = stored_kwh if battery else None
                here = now >= away_until
                moment = Moment(quarter, now, pv_w, load_w, car_kwh, here, known_kwh)
                offered_w = charging.car_w(moment)
                held = charging.holds_battery()
                room_w = (CAPACITY_KWH - car_kwh) * 1000 / HOURS
                car_w = min(offered_w, room_w) if here else 0.0
            outcome.starts += before_w == 0 < car_w
            before_w = car_w
            surplus_w = pv_w - load_w
            solar_w = min(car_w, max(0.0, surplus_w))
            grid_w = surplus_w - car_w  # > 0: to the grid
            if battery is not None:
                charge_w = battery_w(battery, stored_kwh, grid_w, held=held)
                gain = battery.efficiency if charge_w > 0 else 1.0
                stored_kwh += charge_w * gain * HOURS / 1000
                grid_w -= charge_w
            price = year.export_price[quarter] if grid_w > 0 else year.import_price[quarter]
            outcome.bill -= grid_w * HOURS / 1000 * float(price)
            car_kwh += car_w * HOURS / 1000
            outcome.car_kwh += car_w * HOURS / 1000
            outcome.solar_kwh += solar_w * HOURS / 1000
    outcome.end_kwh = car_kwh
    return outcome


def battery_w(battery: BatterySize, stored_kwh: float, rest_w: float, *, held: bool) -> float:
    """What the battery takes of the rest; negative: gives."""
    if rest_w >= 0:
        room_w = (battery.capacity_kwh - stored_kwh) * 1000 / HOURS / battery.efficiency
        return min(rest_w, battery.power_w, room_w)
    if held:
        return 0.0
    return -min(-rest_w, battery.power_w, stored_kwh * 1000 / HOURS)
