"""The hours of a plan as arrays: what is expected in each, and when the car is there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from easee_load_balancer.control.linear_model import Values
from easee_load_balancer.control.plan import Departure, PlanInputs, PlanSlot
from easee_load_balancer.control.power_estimate import NOMINAL_VOLTAGE_V
from easee_load_balancer.periods import QUARTER

FINE = timedelta(hours=8)
"""Up to this far ahead decisions are made by the quarter-hour and in whole steps; beyond it by the
hour. With 18 hours a plan takes twice the CPU."""
NO_PV_W = 50.0
"""With less, an inverter without a battery is taken to be asleep."""


@dataclass(frozen=True, slots=True)
class PlanTimes:
    """One value for each step of the plan; a step is a quarter-hour or an hour long."""

    starts: tuple[datetime, ...]
    hours: Values
    ahead_h: Values
    """From now until it begins."""
    import_price: Values
    export_price: Values
    surplus_kw: Values
    """PV less what house and other cars take; 0 where that is more."""
    usual_sun_kw: Values
    """What the car usually takes of it by itself, the mean of several days; NaN: as forecast."""
    deficit_kw: Values
    """What house and other cars take less PV; 0 where PV is more."""
    others_kw: Values
    """What other cars take of that."""
    most_kw: Values
    """What the car can take; 0 while it is away."""
    whole: Values
    """1 where the car either charges with its minimum or does not."""
    needed_kwh: Values
    """What has to be in the car when it begins, because the car leaves; one more for the end."""
    used_kwh: Values
    """What that trip uses; one more for the end."""

    @property
    def ends(self) -> tuple[datetime, ...]:
        """When each step ends."""
        return tuple(
            start + timedelta(hours=float(hours))
            for start, hours in zip(self.starts, self.hours, strict=True)
        )


def plan_times(inputs: PlanInputs) -> PlanTimes:
    """The plan's steps; without departures that are over, beyond the last step, or of no car."""
    steps = list(_steps(inputs))
    first = [step[0] for step in steps]
    starts = tuple(slot.start for slot in first)
    comes = inputs.now if inputs.car.connected else inputs.car.connects_at
    departures = [each for each in inputs.departures if comes is not None and comes < each.at]
    needed_kwh, used_kwh = np.zeros(len(steps) + 1), np.zeros(len(steps) + 1)
    bounds = (*starts, inputs.slots[-1].start + QUARTER)
    for departure in departures:
        index = next((i for i, start in enumerate(bounds) if start >= departure.at), None)
        if index is not None:
            needed_kwh[index] = max(needed_kwh[index], departure.energy_kwh)
            used_kwh[index] += min(departure.trip_kwh, departure.energy_kwh)
    surplus_w = [_mean([max(0.0, slot.surplus_w) for slot in step]) for step in steps]
    deficit_w = [_mean([max(0.0, -slot.surplus_w) for slot in step]) for step in steps]
    hours = np.array([len(step) * QUARTER / timedelta(hours=1) for step in steps])
    hours[0] = max(0.01, (starts[0] + QUARTER - max(inputs.now, starts[0])) / timedelta(hours=1))
    return PlanTimes(
        starts=starts,
        hours=hours,
        ahead_h=np.array([(start - inputs.now) / timedelta(hours=1) for start in starts]),
        import_price=np.array([_mean([slot.import_price for slot in step]) for step in steps]),
        export_price=np.array([_mean([slot.export_price for slot in step]) for step in steps]),
        surplus_kw=np.array(surplus_w) / 1000,
        usual_sun_kw=np.array([_usual_sun_kw(step) for step in steps]),
        deficit_kw=np.array(deficit_w) / 1000,
        others_kw=np.array([_mean([slot.other_cars_w for slot in step]) for step in steps]) / 1000,
        most_kw=np.array([_most_w(inputs, departures, slot) for slot in first]) / 1000,
        whole=np.array([float(slot.start - inputs.now < FINE) for slot in first]),
        needed_kwh=needed_kwh,
        used_kwh=used_kwh,
    )


def _steps(inputs: PlanInputs) -> Iterator[list[PlanSlot]]:
    """Quarter-hours, or, later, those of an hour in which the car stays where it is."""
    step: list[PlanSlot] = []
    for slot in inputs.slots:
        coarse = slot.start - inputs.now >= FINE
        if step and not (coarse and _same(inputs, step[0], slot)):
            yield step
            step = []
        step.append(slot)
    yield step


def _same(inputs: PlanInputs, first: PlanSlot, slot: PlanSlot) -> bool:
    hour = timedelta(hours=1)
    together = slot.start - first.start < hour and slot.start.minute > first.start.minute
    here = [_is_here(inputs, inputs.departures, each.start) for each in (first, slot)]
    leaves = any(first.start < each.at <= slot.start for each in inputs.departures)
    fine = first.start - inputs.now < FINE
    return together and here[0] == here[1] and not leaves and not fine


def _most_w(inputs: PlanInputs, departures: list[Departure], slot: PlanSlot) -> float:
    """What the car can take in that quarter-hour; 0 below what it can charge with."""
    car, limits_w = inputs.car, [inputs.car.max_w]
    if not _is_here(inputs, departures, slot.start):
        return 0.0
    if inputs.asleep_limit_a is not None and slot.pv_w < NO_PV_W:
        asleep_w = inputs.asleep_limit_a * max(car.phases) * NOMINAL_VOLTAGE_V
        limits_w.append(asleep_w - slot.other_cars_w)
    if inputs.max_import_w is not None:
        limits_w.append(inputs.max_import_w + slot.surplus_w)
    if inputs.limit is not None:
        limit_w = inputs.limit.at(slot.start)
        limits_w += [] if limit_w is None else [limit_w]
    most_w = min(limits_w)
    return most_w if most_w >= car.min_w else 0.0


def _is_here(inputs: PlanInputs, departures: Iterable[Departure], at: datetime) -> bool:
    """Whether the car is expected to be plugged in for the quarter-hour that begins then."""
    car = inputs.car
    if not car.connected and (car.connects_at is None or at < car.connects_at):
        return False
    return not any(each.at < at + QUARTER and at < each.back_at for each in departures)


def _usual_sun_kw(step: list[PlanSlot]) -> float:
    sun_w = [
        max(0.0, slot.usual_sun_w - slot.other_cars_w)
        for slot in step
        if slot.usual_sun_w is not None
    ]
    return _mean(sun_w) / 1000 if len(sun_w) == len(step) else math.nan


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
