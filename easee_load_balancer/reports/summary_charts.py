"""Charts of a day and of longer periods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, DateFormatter, date2num
from matplotlib.figure import Figure

from easee_load_balancer.control.power_estimate import NOMINAL_VOLTAGE_V
from easee_load_balancer.energy.totals import Energy
from easee_load_balancer.periods import Period
from easee_load_balancer.reports.chart_style import (
    STYLE,
    WIDTH_IN,
    bars_axis,
    head,
    hours_axis,
    png,
)
from easee_load_balancer.reports.colours import (
    BATTERY,
    CAR,
    EXPORT,
    GRID,
    HOUSE,
    INK,
    SETPOINT,
    SOLAR,
)
from easee_load_balancer.reports.summary import DayDetail, Summary

_BIN, _SHORT_BIN = timedelta(minutes=5), timedelta(minutes=1)
_SHORT = timedelta(hours=6)
"""The first day can be this short."""


def day_picture(detail: DayDetail, zone: ZoneInfo) -> bytes:
    """The day as a PNG: PV and consumption, the car by source, grid, and battery."""
    power = _binned(detail)
    soc = detail.cycles.dropna(subset="battery_soc_pct")
    heights = [2.8, 2.2, 2.2] + [1.2] * bool(len(soc))
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 1.2 + sum(heights)), layout="constrained")
        panels: Sequence[Axes] = figure.subplots(
            len(heights), 1, sharex=True, height_ratios=heights
        )
        _draw_pv(panels[0], power)
        _draw_car(panels[1], power, detail.cycles)
        _draw_grid(panels[2], power, has_battery=bool(len(soc)))
        if len(soc):
            _draw_state_of_charge(panels[3], soc, _bin(detail))
        for panel in panels:
            for since, until in detail.gaps:
                if until - since > _bin(detail):
                    x = date2num([since, until])
                    panel.axvspan(x[0], x[1], facecolor="none", hatch="///", linewidth=0)
        _clock(panels[-1], detail, zone)
        return png(figure)


def bars_picture(summary: Summary) -> bytes:
    """A longer period as a PNG: a bar for each day, or for each month of more than two."""
    bars = by_bar(summary.period, summary.days)
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 6.4), layout="constrained")
        car, pv = figure.subplots(2, 1, sharex=True)
        _stack(
            car,
            bars,
            {"solar": CAR, "battery": BATTERY, "grid": GRID},
            [
                [one.car_from_solar_kwh for one in bars.values()],
                [one.car_from_battery_kwh for one in bars.values()],
                [one.car_from_grid_kwh for one in bars.values()],
            ],
        )
        head(car, "Car, kWh", 3)
        own = [max(one.pv_kwh - one.export_kwh, 0.0) for one in bars.values()]
        sold = [one.export_kwh for one in bars.values()]
        _stack(pv, bars, {"used at home": SOLAR, "export": EXPORT}, [own, sold])
        bought = [-one.import_kwh for one in bars.values()]
        pv.bar(list(range(len(bars))), bought, color=GRID, label="import", width=0.8)
        pv.axhline(0, color=INK, linewidth=0.8)
        head(pv, "PV, kWh", 3)
        bars_axis(pv, list(bars))
        return png(figure)


def by_bar(period: Period, days: Mapping[date, Energy]) -> dict[str, Energy]:
    """The totals by day, or by month for periods of more than two months, with short names."""
    monthly = period.kind == "year" or len(period.days) > 62
    several_months = (period.first.year, period.first.month) != (
        period.last.year,
        period.last.month,
    )
    several_years = period.first.year != period.last.year
    bars: dict[str, Energy] = {}
    for day, one in days.items():
        if monthly:
            name = f"{day:%b %Y}" if several_years else f"{day:%b}"
        else:
            name = f"{day.day} {day:%b}" if several_months else str(day.day)
        bars[name] = bars.get(name, Energy()) + one
    return bars


def _draw_pv(panel: Axes, power: pd.DataFrame) -> None:
    used_w = {"house": power["house_w"].clip(lower=0), "car": power["car_w"]}
    _areas(panel, used_w, [HOUSE, CAR])
    panel.step(
        power.index, power["pv_w"] / 1000, where="post", color=SOLAR, linewidth=2.0, label="PV"
    )
    head(panel, "PV and consumption, kW", 3)
    panel.set_ylim(bottom=0)


def _draw_car(panel: Axes, power: pd.DataFrame, cycles: pd.DataFrame) -> None:
    sources_w = {name: power[f"car_from_{name}_w"] for name in ("solar", "battery", "grid")}
    _areas(panel, sources_w, [CAR, BATTERY, GRID])
    setpoint_kw = cycles["setpoint_a"] * cycles["setpoint_phases"] * NOMINAL_VOLTAGE_V / 1000
    panel.step(
        date2num(cycles["at"]),
        setpoint_kw,
        where="post",
        color=SETPOINT,
        linewidth=0.9,
        alpha=0.85,
        label="setpoint",
    )
    head(panel, "Car, kW", 4)
    panel.set_ylim(bottom=0)


def _areas(panel: Axes, power_w: Mapping[str, pd.Series], colors: Sequence[str]) -> None:
    """Powers stacked on each other."""
    panel.stackplot(
        next(iter(power_w.values())).index,
        *(watts / 1000 for watts in power_w.values()),
        step="post",
        colors=colors,
        labels=list(power_w),
        linewidth=0,
    )


def _draw_grid(panel: Axes, power: pd.DataFrame, *, has_battery: bool) -> None:
    sold, bought = power["export_w"] / 1000, -power["import_w"] / 1000
    panel.fill_between(power.index, sold, step="post", color=EXPORT, linewidth=0, label="export")
    panel.fill_between(power.index, bought, step="post", color=GRID, linewidth=0, label="import")
    if has_battery:
        charge = (power["charge_w"] - power["discharge_w"]) / 1000
        panel.step(
            power.index, charge, where="post", color=BATTERY, linewidth=1.8, label="into battery"
        )
    panel.axhline(0, color=INK, linewidth=0.8)
    head(panel, "Grid, kW", 3)


def _draw_state_of_charge(panel: Axes, soc: pd.DataFrame, length: timedelta) -> None:
    binned = soc.set_index("at")["battery_soc_pct"].resample(length).mean()
    panel.plot(date2num(binned.index), binned, color=BATTERY, linewidth=2.2)
    panel.set_ylim(0, 100)
    head(panel, "Battery, %", 0)
    panel.set_yticks([0, 50, 100])


def _binned(detail: DayDetail) -> pd.DataFrame:
    """Mean powers of a few minutes each; unknown in gaps."""
    rows = detail.flows.set_index("at").drop(columns=["until", "grid_known", "car_known"])
    binned = rows.resample(_bin(detail)).mean()
    return binned.set_axis(date2num(binned.index), axis=0)


def _bin(detail: DayDetail) -> timedelta:
    return _BIN if detail.end - detail.start > _SHORT else _SHORT_BIN


def _stack(
    panel: Axes, bars: Mapping[str, Energy], parts: Mapping[str, str], heights: list[list[float]]
) -> None:
    bottom = np.zeros(len(bars))
    for (label, color), height in zip(parts.items(), heights, strict=True):
        panel.bar(
            list(range(len(bars))), height, bottom=bottom, color=color, label=label, width=0.8
        )
        bottom += np.array(height)


def _clock(panel: Axes, detail: DayDetail, zone: ZoneInfo) -> None:
    if detail.end - detail.start > _SHORT:
        hours_axis(panel, detail.start, detail.end, zone)
        return
    panel.set_xlim(*date2num([detail.start, detail.end]))
    panel.xaxis.set_major_locator(AutoDateLocator(tz=zone, maxticks=6))
    panel.xaxis.set_major_formatter(DateFormatter("%H:%M", tz=zone))
