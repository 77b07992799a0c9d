"""The accounts of days, months and years, from the history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path

import pandas as pd

from easee_load_balancer.energy import accounting as energy
from easee_load_balancer.energy.accounting import Energy
from easee_load_balancer.energy.power_flows import COLUMNS, gaps, ledger, usual_interval
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.history.store import DailyEnergy, History
from easee_load_balancer.periods import Period, bounds

_AROUND = timedelta(minutes=10)
"""Cycles so long before and after a day say how it began and ended."""


@dataclass(frozen=True)
class Summary:
    """The accounts of a period, day by day; the time before the first cycle is left out."""

    site: str
    period: Period
    days: Mapping[date, Energy]
    currency: str | None
    """None without a tariff."""
    cloud_calls: Mapping[str, int] = field(default_factory=dict)
    """How often the Easee cloud was called, by endpoint."""

    @cached_property
    def total(self) -> Energy:
        """The accounts of all days together."""
        return sum(self.days.values(), Energy())


@dataclass(frozen=True)
class DayDetail:
    """A day cycle by cycle."""

    start: datetime
    end: datetime
    rows: pd.DataFrame
    """The ledger of `ledger.ledger`."""
    cycles: pd.DataFrame
    """All cycles, with every column of the history."""
    gaps: list[tuple[datetime, datetime]]
    """Times without measurement."""


def sum_up(
    history: History, site: str, period: Period, prices: Prices | None, now: datetime
) -> Summary:
    """The accounts of each day of the period up to `now`; complete days are stored as well.

    A day whose cycles are gone is taken from its stored accounts. Raises HistoryError.
    """
    days: dict[date, Energy] = {}
    complete: list[date] = []
    currency = prices.currency if prices else None
    began = history.began(site)
    for day in period.days:
        start, end = _since(began, *bounds(day, period.zone))
        if start >= now:
            break
        cycles = history.cycles(site, start - _AROUND, end + _AROUND, COLUMNS)
        if not cycles["at"].between(start, end, inclusive="left").any():
            stored = history.day(site, day, period.zone.key)
            if stored is not None:
                days[day] = stored.energy
            elif days or period.kind == "day":
                days[day] = _account(cycles, start, min(end, now), prices, period)
            continue
        days[day] = _account(cycles, start, min(end, now), prices, period)
        if end <= now:
            complete.append(day)
    history.record_days(
        DailyEnergy(
            site=site,
            day=day,
            time_zone=period.zone.key,
            currency=currency,
            **asdict(days[day]),
        )
        for day in complete
    )
    start, end = bounds(period.first, period.zone)[0], bounds(period.last, period.zone)[1]
    return Summary(site, period, days, currency, history.cloud_calls(site, start, end))


def look_into(history: History, site: str, period: Period, now: datetime) -> DayDetail:
    """The first day of the period cycle by cycle. Raises HistoryError."""
    start, end = _since(history.began(site), *bounds(period.first, period.zone))
    end = min(end, now)
    cycles = history.cycles(site, start - _AROUND, end + _AROUND)
    rows = ledger(cycles, usual_interval(cycles))
    return DayDetail(start, end, rows, cycles, gaps(rows, start, end))


def write_day_csv(detail: DayDetail, period: Period, path: Path) -> None:
    """A row for each measured interval: energies by source and use, local times."""
    table = energy.per_interval(detail.rows, detail.start, detail.end)
    extra = detail.cycles.set_index("at")[["battery_soc_pct", "setpoint_a", "setpoint_phases"]]
    table = table.join(extra[~extra.index.duplicated(keep="last")], on="at")
    local = table["at"].dt.tz_convert(period.zone)
    table["at"] = [at.isoformat("T", "seconds") for at in local]
    _write(table.round(6), path)


def write_days_csv(summary: Summary, path: Path) -> None:
    """A row for each day with all its accounts."""
    rows = [{"day": day.isoformat(), **asdict(one)} for day, one in summary.days.items()]
    _write(pd.DataFrame(rows).round(6), path)


def _write(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    table.to_csv(path, index=False)


def _since(began: datetime | None, start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """The day, or on the first day of all what is left of it: before, there was nothing to miss."""
    return (began if began is not None and start < began < end else start), end


def _account(
    cycles: pd.DataFrame, start: datetime, end: datetime, prices: Prices | None, period: Period
) -> Energy:
    interval = usual_interval(cycles)
    return energy.account(cycles, start, end, interval, prices, period.zone)
