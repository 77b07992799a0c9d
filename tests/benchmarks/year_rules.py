"""Other ways of charging for a year, and the bound that none can pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from easee_load_balancer.control.linear_model import Columns, LinearModel, Term
from easee_load_balancer.control.plan import Departure
from tests.benchmarks.year_house import (
    CAPACITY_KWH,
    MAX_W,
    MIN_W,
    START_KWH,
    BatterySize,
    Floats,
    Moment,
    Year,
)

HALF_H = 0.5
"""The bound's steps are half-hours."""


def sun_w(moment: Moment) -> float:
    """The surplus, where the car can charge with it."""
    surplus_w = moment.pv_w - moment.load_w
    return min(surplus_w, MAX_W) if surplus_w >= MIN_W else 0.0


@dataclass(slots=True)
class Next:
    """The departure that comes next."""

    year: Year
    _ahead: list[Departure] = field(default_factory=list)

    def at(self, now: datetime) -> Departure | None:
        if not self._ahead:
            self._ahead = list(reversed(self.year.departures))
        while len(self._ahead) > 1 and self._ahead[-1].at <= now:
            self._ahead.pop()
        return self._ahead[-1] if self._ahead[-1].at > now else None


@dataclass(slots=True)
class OnArrival:
    """What the next trip needs from the moment the car is plugged in; then sun."""

    next: Next
    _from_grid: bool = False

    def car_w(self, moment: Moment) -> float:
        departure = self.next.at(moment.now)
        self._from_grid = departure is not None and moment.car_kwh < departure.energy_kwh
        return MAX_W if self._from_grid else sun_w(moment)

    def holds_battery(self) -> bool:
        return self._from_grid


@dataclass(slots=True)
class SunThenLate:
    """Sun; what is missing for the departure as late as it still can be charged."""

    next: Next
    _from_grid: bool = False

    def car_w(self, moment: Moment) -> float:
        departure = self.next.at(moment.now)
        self._from_grid = False
        if departure is not None:
            missing_kwh = departure.energy_kwh - moment.car_kwh
            needs = timedelta(hours=missing_kwh * 1000 / MAX_W + 0.25)
            self._from_grid = missing_kwh > 0 and moment.now + needs >= departure.at
        return MAX_W if self._from_grid else sun_w(moment)

    def holds_battery(self) -> bool:
        return self._from_grid


@dataclass(slots=True)
class CheapestBeforeDeparture:
    """evcc's planner: sun, and the cheapest slots with known prices before the next departure."""

    next: Next
    _from_grid: bool = False

    def car_w(self, moment: Moment) -> float:
        self._from_grid = self._is_cheap(moment)
        return MAX_W if self._from_grid else sun_w(moment)

    def _is_cheap(self, moment: Moment) -> bool:
        departure, year = self.next.at(moment.now), self.next.year
        if departure is None:
            return False
        missing_kwh = departure.energy_kwh - moment.car_kwh
        until = (departure.at - year.start) // timedelta(minutes=15)
        until = min(until, known_until(year, moment.quarter))
        if missing_kwh <= 0:
            return False
        needed = missing_kwh * 4000 / MAX_W
        rest = [float(price) for price in year.import_price[moment.quarter : until]]
        here = rest[0] if rest else 0.0
        cheaper = sum(price < here for price in rest)
        late = len(rest) <= needed + 1
        return late or cheaper < needed

    def holds_battery(self) -> bool:
        return self._from_grid


def known_until(year: Year, quarter: int) -> int:
    """The first quarter-hour without a published price; those of the next day come at 13:00."""
    day, of_day = divmod(quarter, 96)
    return min(year.quarters, (day + (2 if of_day >= 13 * 4 else 1)) * 96)


def lowest_bill(year: Year, battery: BatterySize | None, *, car: bool = True) -> float:
    """The bill of one who knows the whole year; where the car is, it may charge with any power.

    A battery works as it does for all: charged from the sun, discharged for the house.
    """
    model, count = LinearModel(), year.quarters // 2
    buys, sells = (_halves(each) for each in (year.import_price, year.export_price))
    house_kw = _halves(year.load_w - year.pv_w) / 1000
    # bounded: with a price below zero, buying and selling at once would earn without end
    bought = model.variables(count, high=25.0, cost=buys * HALF_H)
    sold = model.variables(count, high=np.maximum(0.0, -house_kw) + 5.0, cost=-sells * HALF_H)
    terms: list[Term] = [(bought, 1.0), (sold, -1.0)]
    if car:
        terms.append((_add_car(model, year), -1.0))
    if battery is not None:
        terms += _add_battery(model, house_kw, battery)
    model.rows(*terms, low=house_kw, high=house_kw)
    found = model.solve(most_s=300.0)
    return float((found[bought] * buys - found[sold] * sells).sum() * HALF_H)


def _add_car(model: LinearModel, year: Year) -> Columns:
    """The car's power, which lets it leave with what its trips need."""
    count = year.quarters // 2
    here, used_kwh, needed_kwh = np.ones(count), np.zeros(count), np.zeros(count)
    for trip in year.departures:
        leaves = (trip.at - year.start) // timedelta(minutes=30)
        comes = (trip.back_at - year.start) // timedelta(minutes=30)
        here[leaves:comes] = 0.0
        used_kwh[leaves], needed_kwh[leaves] = trip.trip_kwh, trip.energy_kwh
    power = model.variables(count, high=here * MAX_W / 1000)
    low_kwh = np.append(needed_kwh, START_KWH)
    energy = model.variables(count + 1, low=low_kwh, high=CAPACITY_KWH)
    model.row((energy[:1], 1.0), low=START_KWH, high=START_KWH)
    change: list[Term] = [(energy[1:], 1.0), (energy[:-1], -1.0), (power, -HALF_H)]
    model.rows(*change, low=-used_kwh, high=-used_kwh)
    return power


def _add_battery(model: LinearModel, house_kw: Floats, battery: BatterySize) -> list[Term]:
    count, most_kw = len(house_kw), battery.power_w / 1000
    charge = model.variables(count, high=np.clip(-house_kw, 0.0, most_kw))
    supply = model.variables(count, high=np.clip(house_kw, 0.0, most_kw))
    stored = model.variables(count + 1, high=battery.capacity_kwh)
    model.row((stored[:1], 1.0), high=0.0)
    change: list[Term] = [(stored[1:], 1.0), (stored[:-1], -1.0), (supply, HALF_H)]
    model.rows(*change, (charge, -HALF_H * battery.efficiency), low=0.0, high=0.0)
    return [(charge, -1.0), (supply, 1.0)]


def _halves(values: Floats) -> Floats:
    return np.asarray(values.reshape(-1, 2).mean(axis=1))
