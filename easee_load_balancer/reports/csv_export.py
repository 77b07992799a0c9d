"""Summaries as CSV files. Energies in kWh, times in s, money in the tariff's currency."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

import pandas as pd

from easee_load_balancer.energy.accounting import per_interval
from easee_load_balancer.energy.totals import Energy
from easee_load_balancer.periods import Period
from easee_load_balancer.reports.summary import DayDetail, Summary


def write_day_csv(detail: DayDetail, period: Period, path: Path) -> None:
    """A row for each measured interval: energy by source and use, in local time."""
    table = per_interval(detail.flows, detail.start, detail.end)
    extra = detail.cycles.set_index("at")[["battery_soc_pct", "setpoint_a", "setpoint_phases"]]
    table = table.join(extra[~extra.index.duplicated(keep="last")], on="at")
    local = table["at"].dt.tz_convert(period.zone)
    table["at"] = [at.isoformat("T", "seconds") for at in local]
    _write(table, path)


def write_days_csv(summary: Summary, path: Path) -> None:
    """A row for each day with all its totals."""
    rows = [{"day": day.isoformat(), **asdict(one)} for day, one in summary.days.items()]
    _write(pd.DataFrame(rows, columns=["day", *(one.name for one in fields(Energy))]), path)


def _write(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    table.round(6).to_csv(path, index=False)
