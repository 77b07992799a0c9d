"""Makes a charging plan: the cheapest hours for what the sun does not bring, by linear programming.

The sun is always taken; the plan decides about energy from the grid beside it. Powers are in kW
inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from easee_load_balancer.control.linear_model import Columns, LinearModel, Term, Values
from easee_load_balancer.control.plan import Plan, PlanInputs
from easee_load_balancer.control.plan_text import Planned, plan_of
from easee_load_balancer.control.plan_times import PlanTimes, plan_times
from easee_load_balancer.errors import PlanError

START_COSTS_KWH = 0.3
"""A start is worth as much as this energy at the mean price: no plan flickers for less."""
SUN_FIRST = 1.0
FLOOR_FIRST = 100.0
READY_FIRST = 1000.0
"""What sun in the car, the floor and a departure's energy count for, in highest prices: they come
before money."""
SOONER = 1e-4
"""Of equal prices the sooner one wins: what an hour's delay costs, in mean prices."""
LATER = ((12.0, 1.0), (12.0, 0.8), (12.0, 0.6), (1e6, 0.4))
"""What energy that is left at the horizon is worth, step by step in kWh, as a share of the later
price: the more there is, the later it is needed, and the more sun comes before."""
SUN_PAYS_FROM = 0.9
"""A surplus of this share of the minimum charging power is taken by itself."""
PEAK_SHARE = 0.95
"""The share of the month's peak that is planned for: whole amperes and the house take the rest."""
CHEAP = 0.2
"""The share of hours that are as cheap as the price later is taken to be."""
MONTH = timedelta(days=30)
"""The second of the months whose peaks are planned is taken to be this long."""
MOST_S = 1.5
"""A plan takes less than 2 s of CPU; then the best one found so far counts."""
GAP = 0.001
"""A plan that costs at most this share more than the best is good enough."""


@dataclass(frozen=True, slots=True)
class _Variables:
    """The columns of the model, one for each step of the plan."""

    grid: Columns
    """Power into the car beside the surplus."""
    sun: Columns
    """Surplus into the car."""
    energy: Columns
    """In the car at the start of each step, and at the end of the last one."""
    missing: Columns
    """What a departure lacks."""


def make_plan(inputs: PlanInputs) -> Plan:
    """The cheapest plan. Raises PlanError where none is found."""
    if not inputs.slots:
        raise PlanError("No charging plan: neither prices nor forecasts of the hours ahead.")
    times = plan_times(inputs)
    model = LinearModel()
    car = _add_car(model, inputs, times)
    _add_worth_later(model, inputs, times, car.energy[-1:])
    imports = [(car.grid, 1.0), (car.sun, 1.0)]
    if inputs.battery is not None:
        imports += _add_battery(model, inputs, times, car)
    peak = _add_peak(model, inputs, times, imports)
    found = model.solve(most_s=MOST_S, gap=GAP)
    planned = Planned(
        grid_kw=found[car.grid],
        sun_kw=found[car.sun],
        energy_kwh=found[car.energy],
        missing_kwh=found[car.missing],
        peak_kw=None if peak is None else float(found[peak[0]]),
    )
    return plan_of(inputs, times, planned)


def _add_car(model: LinearModel, inputs: PlanInputs, times: PlanTimes) -> _Variables:
    """What the car takes and holds; a start is priced."""
    car, hours, most_kw, count = inputs.car, times.hours, times.most_kw, len(times.hours)
    highest, mean = _scale(times)
    price = times.import_price + mean * SOONER * times.ahead_h
    if inputs.charge_below_price is not None:
        cheap = times.import_price <= inputs.charge_below_price
        price = np.where(cheap, price - highest * SUN_FIRST, price)
    grid = model.variables(count, high=most_kw, cost=price * hours)
    usual = ~np.isnan(times.usual_sun_kw)
    sun_kw = np.minimum(np.where(usual, times.usual_sun_kw, times.surplus_kw), most_kw)
    enough = usual | (sun_kw >= SUN_PAYS_FROM * car.min_w / 1000)
    forecast = 1.0 - usual  # a mean of days may be less than what a car charges with
    sun_price = np.where(enough, times.export_price - highest * SUN_FIRST, times.export_price)
    sun = model.variables(count, high=sun_kw, cost=sun_price * hours)
    on = model.variables(count, high=(most_kw > 0) * 1.0, whole=times.whole)
    started = model.variables(count, cost=START_COSTS_KWH * mean)
    least_kw = car.min_w / 1000
    model.rows((grid, 1.0), (sun, forecast), (on, -most_kw), high=0.0)
    model.rows((grid, 1.0), (sun, 1.0), (on, -least_kw), low=0.0)
    model.rows((sun, forecast), (on, -sun_kw * forecast), high=0.0)
    model.rows((grid, 1.0), (on, -np.maximum(0.0, least_kw - sun_kw)), low=0.0)
    model.row((started[:1], 1.0), (on[:1], -1.0), low=-float(car.charging))
    model.rows((started[1:], 1.0), (on[1:], -1.0), (on[:-1], 1.0), low=0.0)
    energy = model.variables(count + 1, high=car.capacity_kwh)
    start_kwh = min(car.energy_kwh, car.capacity_kwh)
    model.row((energy[:1], 1.0), low=start_kwh, high=start_kwh)
    leaves = times.needed_kwh + times.used_kwh > 0
    most_missing = np.where(leaves, np.inf, 0.0)
    missing = model.variables(count + 1, high=most_missing, cost=READY_FIRST * highest)
    model.rows((energy, 1.0), (missing, 1.0), low=np.minimum(times.needed_kwh, car.capacity_kwh))
    change: list[Term] = [(energy[1:], 1.0), (energy[:-1], -1.0), (missing[:-1], -1.0)]
    used_kwh = times.used_kwh[:-1]
    model.rows(*change, (grid, -hours), (sun, -hours), low=-used_kwh, high=-used_kwh)
    if car.floor_kwh:
        below = model.variables(count, cost=FLOOR_FIRST * highest * hours * (most_kw > 0))
        model.rows((energy[1:], 1.0), (below, 1.0), low=min(car.floor_kwh, car.capacity_kwh))
    return _Variables(grid, sun, energy, missing)


def _add_worth_later(
    model: LinearModel, inputs: PlanInputs, times: PlanTimes, at_end: Columns
) -> None:
    """What is in the car at the horizon spares buying it later."""
    price = inputs.later_price
    if price is None:
        price = float(np.quantile(times.import_price, CHEAP))
    steps = np.array(LATER)
    parts = model.variables(len(steps), high=steps[:, 0], cost=-price * steps[:, 1])
    model.row((parts, 1.0), (at_end, -1.0), high=0.0)


def _add_battery(
    model: LinearModel, inputs: PlanInputs, times: PlanTimes, car: _Variables
) -> list[tuple[Columns, float]]:
    """The house's battery: it takes what surplus the car leaves, and supplies the house."""
    battery, hours, count = inputs.battery, times.hours, len(times.hours)
    assert battery is not None
    most_kw, least_kw = battery.max_charge_w / 1000, battery.max_discharge_w / 1000
    charge_cost = times.export_price * hours
    charge = model.variables(count, high=np.minimum(times.surplus_kw, most_kw), cost=charge_cost)
    supply_kw = np.minimum(np.maximum(0.0, times.deficit_kw - times.others_kw), least_kw)
    supply = model.variables(count, high=supply_kw, cost=-times.import_price * hours)
    energy = model.variables(count + 1, high=max(battery.capacity_kwh, battery.energy_kwh))
    model.row((energy[:1], 1.0), low=battery.energy_kwh, high=battery.energy_kwh)
    stored = -battery.efficiency * hours
    change: list[Term] = [(energy[1:], 1.0), (energy[:-1], -1.0), (charge, stored)]
    model.rows(*change, (supply, hours), low=0.0, high=0.0)
    model.rows((car.sun, 1.0), (charge, 1.0), high=times.surplus_kw)
    worth = float(times.import_price.mean())
    left = model.variables(1, high=battery.capacity_kwh, cost=-worth)
    model.row((left, 1.0), (energy[-1:], -1.0), high=0.0)
    return [(charge, 1.0), (supply, -1.0)]


def _add_peak(
    model: LinearModel, inputs: PlanInputs, times: PlanTimes, imports: list[tuple[Columns, float]]
) -> Columns | None:
    """The capacity tariff: what the month's highest intervals import is paid for.

    Each step stays below it, as the law spreads what is left of an interval evenly.
    A horizon pays as large a part of the month's price as it is of the rest of the month.
    """
    tariff = inputs.peak
    if tariff is None:
        return None
    horizon = times.ends[-1]
    month_ends = tariff.month_ends or horizon
    months = [(inputs.now, min(horizon, month_ends), month_ends, tariff.paid_w)]
    if month_ends < horizon:
        months.append((month_ends, horizon, month_ends + MONTH, tariff.free_w))
    peaks, spans = [], list(zip(times.starts, times.ends, strict=True))
    for since, until, ends, paid_w in months:
        share = min(1.0, (until - since) / max(ends - since, timedelta(hours=1)))
        cost = tariff.price_per_kw * share
        peak = model.variables(1, low=paid_w / 1000, cost=cost)
        steps = np.flatnonzero([since < end and start < until for start, end in spans])
        house_kw = (times.deficit_kw - times.surplus_kw)[steps]
        terms: list[Term] = [(columns[steps], sign) for columns, sign in imports]
        peaks_kw = np.full(len(steps), peak[0])
        model.rows(*terms, (peaks_kw, -PEAK_SHARE), high=-house_kw)
        peaks.append(peak)
    return peaks[0]


def _scale(times: PlanTimes) -> tuple[float, float]:
    """The highest and the mean price, as far as they are a measure."""
    prices: Values = np.abs(times.import_price)
    return max(0.01, float(prices.max())), max(0.01, float(prices.mean()))
