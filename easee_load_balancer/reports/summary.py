"""Energy totals of days, months and years, from the history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cached_property

import pandas as pd

from easee_load_balancer.energy.accounting import account
from easee_load_balancer.energy.car_costs import ARRIVAL, COST_COLUMNS, car_costs
from easee_load_balancer.energy.power_flows import (
    COLUMNS,
    MARGIN,
    gaps,
    power_flows,
    usual_interval,
)
from easee_load_balancer.energy.price_table import PriceTable
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.energy.totals import Energy
from easee_load_balancer.history.store import History
from easee_load_balancer.history.tables import DailyEnergy
from easee_load_balancer.periods import Period, bounds
from easee_load_balancer.reports.by_charger import ChargerEnergy


@dataclass(frozen=True)
class Summary:
    """The totals of a period, day by day; the time before the first cycle is left out."""

    site: str
    period: Period
    days: Mapping[date, Energy]
    currency: str | None
    """None without a tariff."""
    cloud_calls: Mapping[str, int] = field(default_factory=dict)
    """How often the Easee cloud was called, by endpoint."""
    chargers: Mapping[str, ChargerEnergy] = field(default_factory=dict)
    """By charger, where a home has several."""

    @cached_property
    def total(self) -> Energy:
        """The sum of all days."""
        return sum(self.days.values(), Energy())


@dataclass(frozen=True)
class DayDetail:
    """A day cycle by cycle."""

    start: datetime
    end: datetime
    flows: pd.DataFrame
    """As `power_flows` returns them."""
    cycles: pd.DataFrame
    """All cycles, with every column of the history."""
    gaps: list[tuple[datetime, datetime]]
    """Times without measurements."""


def sum_up(
    history: History, site: str, period: Period, prices: Prices | None, now: datetime
) -> Summary:
    """The totals of each day of the period up to `now`; complete days are stored as well.

    A day whose cycles have been deleted is taken from its stored totals. Raises HistoryError.
    """
    days: dict[date, Energy] = {}
    complete: list[date] = []
    currency, table = prices.currency if prices else None, None
    first, last = bounds(period.first, period.zone)[0], bounds(period.last, period.zone)[1]
    if prices is not None:
        table = history.spot_prices.table(site, prices, period.zone, first, last, now)
    began = history.began(site)
    for day in period.days:
        start, end = _since(began, *bounds(day, period.zone))
        if start >= now:
            break
        cycles = history.cycles(site, start - MARGIN, end + MARGIN, COLUMNS)
        if not cycles["at"].between(start, end, inclusive="left").any():
            stored = history.day(site, day, period.zone.key)
            if stored is not None:
                days[day] = stored.energy
            elif days or period.kind == "day":
                days[day] = _account(cycles, start, min(end, now), table)
            continue
        days[day] = _account(cycles, start, min(end, now), table)
        if table is not None and table.prices.varies and days[day].car_kwh:
            known = history.cycles(site, start - ARRIVAL, end + MARGIN, COST_COLUMNS)
            costs = car_costs(known, start, min(end, now), usual_interval(cycles), table)
            days[day] = replace(days[day], **costs)
        if end <= now:
            complete.append(day)
    history.record_days(
        DailyEnergy(
            site=site, day=day, time_zone=period.zone.key, currency=currency, energy=days[day]
        )
        for day in complete
    )
    return Summary(site, period, days, currency, history.cloud_calls(site, first, last))


def day_detail(history: History, site: str, period: Period, now: datetime) -> DayDetail:
    """The first day of the period cycle by cycle. Raises HistoryError."""
    start, end = _since(history.began(site), *bounds(period.first, period.zone))
    end = min(end, now)
    cycles = history.cycles(site, start - MARGIN, end + MARGIN)
    flows = power_flows(cycles, usual_interval(cycles))
    return DayDetail(start, end, flows, cycles, gaps(flows, start, end))


def _since(began: datetime | None, start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """The day; the very first day begins with its first cycle."""
    return (began if began is not None and start < began < end else start), end


def _account(
    cycles: pd.DataFrame, start: datetime, end: datetime, prices: PriceTable | None
) -> Energy:
    return account(cycles, start, end, usual_interval(cycles), prices)
