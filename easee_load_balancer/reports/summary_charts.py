"""Charts of a day and of longer periods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, DateFormatter, HourLocator, date2num
from matplotlib.figure import Figure

from easee_load_balancer.control.power_estimate import NOMINAL_VOLTAGE_V
from easee_load_balancer.energy.accounting import Energy
from easee_load_balancer.periods import Period
from easee_load_balancer.reports.chart_style import (
    BATTERY,
    CAR,
    EXPORT,
    GRID,
    HOUSE,
    INK,
    SETPOINT,
    SOLAR,
    STYLE,
    WIDTH_IN,
    head,
    png,
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
        shown = range(0, len(bars), max(1, len(bars) // 12 + (len(bars) > 12)))
        labels = list(bars)
        pv.set_xticks(list(shown), [labels[index] for index in shown])
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
    car_w = power["car_w"]
    panel.stackplot(
        power.index,
        power["house_w"].clip(lower=0) / 1000,
        car_w / 1000,
        step="post",
        colors=[HOUSE, CAR],
        labels=["house", "car"],
        linewidth=0,
    )
    panel.step(
        power.index, power["pv_w"] / 1000, where="post", color=SOLAR, linewidth=2.0, label="PV"
    )
    head(panel, "PV and consumption, kW", 3)
    panel.set_ylim(bottom=0)


def _draw_car(panel: Axes, power: pd.DataFrame, cycles: pd.DataFrame) -> None:
    panel.stackplot(
        power.index,
        power["car_from_solar_w"] / 1000,
        power["car_from_battery_w"] / 1000,
        power["car_from_grid_w"] / 1000,
        step="post",
        colors=[CAR, BATTERY, GRID],
        labels=["solar", "battery", "grid"],
        linewidth=0,
    )
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
    first, last = date2num([detail.start, detail.end])
    panel.set_xlim(first, last)
    if detail.end - detail.start > _SHORT:
        panel.xaxis.set_major_locator(HourLocator(byhour=range(0, 24, 3), tz=zone))
        panel.xaxis.set_major_formatter(DateFormatter("%H", tz=zone))
        panel.set_xlabel("hour of the day")
    else:
        panel.xaxis.set_major_locator(AutoDateLocator(tz=zone, maxticks=6))
        panel.xaxis.set_major_formatter(DateFormatter("%H:%M", tz=zone))
