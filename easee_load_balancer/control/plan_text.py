"""A solved model as a plan: what each quarter-hour allows, and what it says to people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from easee_load_balancer.control.linear_model import Values
from easee_load_balancer.control.plan import (
    WORTH_SAYING_KWH,
    Car,
    Plan,
    PlanInputs,
    PlannedSlot,
    Unmet,
)
from easee_load_balancer.control.plan_times import PlanTimes
from easee_load_balancer.control.power_estimate import NOMINAL_VOLTAGE_V
from easee_load_balancer.periods import QUARTER

_NOTHING_KW = 0.05
_NOTHING_KWH = 0.1
"""Less is not mentioned."""
_MOST_BLOCKS = 3
"""This many charging times fit into a sentence."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What the model has found, one value for each step."""

    grid_kw: Values
    sun_kw: Values
    energy_kwh: Values
    """In the car at the start of each step, and at the end of the last one."""
    missing_kwh: Values
    peak_kw: float | None


@dataclass(frozen=True, slots=True)
class Block:
    """Steps one after the other in which the car takes energy from the grid."""

    start: datetime
    end: datetime
    highest_kw: float
    grid_kwh: float
    cost: float


def plan_of(inputs: PlanInputs, times: PlanTimes, planned: Planned) -> Plan:
    """The plan with its numbers and its sentence."""
    grid_kw = np.where(planned.grid_kw > _NOTHING_KW, planned.grid_kw, 0.0)
    grid_kwh, sun_kwh = grid_kw * times.hours, planned.sun_kw * times.hours
    cost = float((grid_kwh * times.import_price + sun_kwh * times.export_price).sum())
    unmet = tuple(_unmet(inputs, times, planned))
    return Plan(
        made_at=inputs.now,
        slots=tuple(_slots(inputs.car, times, planned, grid_kw)),
        sentence=_sentence(inputs, times, planned, grid_kw, unmet),
        cost=round(cost, 4),
        solar_kwh=round(float(sun_kwh.sum()), 3),
        grid_kwh=round(float(grid_kwh.sum()), 3),
        unmet=unmet,
        peak_w=None if planned.peak_kw is None else round(planned.peak_kw * 1000),
    )


def whole_amperes(car: Car, power_kw: float) -> tuple[int, int]:
    """The lowest current and its phases that give this power, or the most there is."""
    for phases in sorted(car.phases):
        exact_a = power_kw * 1000 / phases / NOMINAL_VOLTAGE_V
        amps = max(car.min_current_a, math.ceil(exact_a - 0.01))
        if amps <= car.max_current_a:
            return amps, phases
    return car.max_current_a, max(car.phases)


def _slots(car: Car, times: PlanTimes, planned: Planned, grid_kw: Values) -> Iterator[PlannedSlot]:
    for index, start in enumerate(times.starts):
        car_kw = grid_kw[index] + planned.sun_kw[index]
        grid_w = float(grid_kw[index]) * 1000
        if grid_w and times.whole[index]:
            amps, phases = whole_amperes(car, float(car_kw))
            most_w = max(times.most_kw[index] * 1000, grid_w)
            offer_w = min(amps * phases * NOMINAL_VOLTAGE_V, most_w)
            grid_w = max(0.0, offer_w - planned.sun_kw[index] * 1000)
        begin_kwh, end_kwh = planned.energy_kwh[index : index + 2]
        quarters = max(1, round(times.hours[index] * 4))
        for quarter in range(quarters):
            car_kwh = begin_kwh + (end_kwh - begin_kwh) * (quarter + 1) / quarters
            yield PlannedSlot(
                start=start + quarter * QUARTER,
                grid_w=round(float(grid_w)),
                car_w=round(float(car_kw) * 1000),
                car_kwh=round(float(car_kwh), 3),
            )


def _unmet(inputs: PlanInputs, times: PlanTimes, planned: Planned) -> Iterator[Unmet]:
    for index in np.flatnonzero(planned.missing_kwh > _NOTHING_KWH):
        step_at = (*times.starts, times.ends[-1])[index]
        yield Unmet(
            at=max(each.at for each in inputs.departures if each.at <= step_at),
            energy_kwh=float(times.needed_kwh[index]),
            possible_kwh=round(float(planned.energy_kwh[index]), 1),
        )


def blocks(times: PlanTimes, grid_kw: Values, car_kw: Values) -> list[Block]:
    """When the car takes energy from the grid, where it is worth saying."""
    found: list[Block] = []
    for index in np.flatnonzero(grid_kw):
        start, end = times.starts[index], times.ends[index]
        grid_kwh = float(grid_kw[index] * times.hours[index])
        cost, highest_kw = grid_kwh * float(times.import_price[index]), float(car_kw[index])
        if found and found[-1].end >= start:
            last = found.pop()
            start, grid_kwh, cost = last.start, last.grid_kwh + grid_kwh, last.cost + cost
            highest_kw = max(last.highest_kw, highest_kw)
        found.append(Block(start, end, highest_kw, grid_kwh, cost))
    return [block for block in found if block.grid_kwh >= WORTH_SAYING_KWH]


def _sentence(
    inputs: PlanInputs,
    times: PlanTimes,
    planned: Planned,
    grid_kw: Values,
    unmet: Sequence[Unmet],
) -> str:
    zone = ZoneInfo(inputs.time_zone)
    now = inputs.now.astimezone(zone)
    parts = [_not_met(each, now) for each in unmet]
    found = blocks(times, grid_kw, grid_kw + planned.sun_kw)
    for block in found[:_MOST_BLOCKS]:
        amps, phases = whole_amperes(inputs.car, block.highest_kw)
        span = f"{_clock(block.start, now)} to {block.end.astimezone(zone):%H:%M}"
        parts.append(f"{span} at {amps} A x {phases} for {block.cost:.2f} {inputs.currency}")
    if len(found) > _MOST_BLOCKS:
        rest = found[_MOST_BLOCKS:]
        cost = sum(block.cost for block in rest)
        parts.append(f"later {len(rest)} times more for {cost:.2f} {inputs.currency}")
    if sun := _sun(times, planned, now):
        parts.append(sun)
    sentence = "; ".join(parts) or "nothing to charge"
    return sentence[0].upper() + sentence[1:]


def _not_met(unmet: Unmet, now: datetime) -> str:
    wanted = f"{round(unmet.energy_kwh, 1):g} kWh by {_clock(unmet.at, now)}"
    return f"{wanted} cannot be reached: {unmet.possible_kwh:g} kWh are possible"


def _sun(times: PlanTimes, planned: Planned, now: datetime) -> str:
    """What the sun brings on the first day it does, until the car leaves or the sun does."""
    sunny = np.flatnonzero(planned.sun_kw * times.hours > _NOTHING_KWH / 4)
    if not len(sunny):
        return ""
    day = times.starts[sunny[0]].astimezone(now.tzinfo).date()
    of_day = [i for i in sunny if times.starts[i].astimezone(now.tzinfo).date() == day]
    kwh = round(float((planned.sun_kw * times.hours)[of_day].sum()))
    return "" if not kwh else f"sun brings {kwh} kWh before {_clock(times.ends[of_day[-1]], now)}"


def _clock(at: datetime, now: datetime) -> str:
    """The local time, with the weekday where it is neither today nor the coming night."""
    local = at.astimezone(now.tzinfo)
    soon = local.date() == now.date() or local - now < timedelta(hours=18)
    return f"{local:%H:%M}" if soon else f"{local:%a %H:%M}"
