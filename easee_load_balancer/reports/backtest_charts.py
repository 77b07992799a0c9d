"""Charts of a backtest: one day over time, several days as bars."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.figure import Figure

from easee_load_balancer.backtest.result import Backtest, Replayed
from easee_load_balancer.energy.totals import Energy
from easee_load_balancer.reports.chart_style import (
    STYLE,
    WIDTH_IN,
    bars_axis,
    head,
    hours_axis,
    png,
)
from easee_load_balancer.reports.colours import BATTERY, CAR, EXPORT, GRID, INK, SOLAR
from easee_load_balancer.reports.summary_charts import by_bar
from easee_load_balancer.simulation.plant.closed_loop import Outcome

_BIN = 10
"""Samples of half a minute in five minutes."""


def backtest_picture(test: Backtest) -> bytes | None:
    """The PNG; None without days."""
    if not test.days:
        return None
    with rc_context(STYLE):
        if len(test.days) > 1:
            return _bars(test)
        (replayed,) = test.days.values()
        return _course(test, replayed)


def _course(test: Backtest, replayed: Replayed) -> bytes:
    sides = [("current policy", replayed.current)]
    sides += [("changed policy", replayed.changed)] if test.change else []
    figure = Figure(figsize=(WIDTH_IN, 1.2 + 2.8 * len(sides)), layout="constrained")
    panels = figure.subplots(len(sides), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for panel, (name, outcome) in zip(panels, sides, strict=True):
        _draw_course(panel, replayed, outcome, f"Car, {name}, kW")
    first = replayed.recorded.day.start
    last = first + timedelta(seconds=replayed.recorded.day.length_s)
    hours_axis(panels[-1], first, last, test.period.zone)
    return png(figure)


def _draw_course(panel: Axes, replayed: Replayed, outcome: Outcome, title: str) -> None:
    trace, start = outcome.trace, replayed.recorded.day.start
    at = date2num([start + timedelta(minutes=minute) for minute in trace.minute[::_BIN]])
    surplus, car, grid = (
        np.array([np.mean(watts[i : i + _BIN]) / 1000 for i in range(0, len(watts), _BIN)])
        for watts in (trace.surplus_w, trace.car_w, trace.import_w)
    )
    surplus = np.maximum(surplus, 0)
    panel.fill_between(at, surplus, step="post", color=SOLAR, alpha=0.85, lw=0, label="surplus")
    panel.step(at, car, where="post", color=CAR, linewidth=2.2, label="car")
    panel.fill_between(at, np.minimum(grid, car), step="post", color=GRID, lw=0, label="from grid")
    head(panel, title, 3)
    panel.set_ylim(bottom=0)


def _bars(test: Backtest) -> bytes:
    old = by_bar(test.period, test.current)
    new = by_bar(test.period, test.changed)
    was = by_bar(test.period, test.recorded)
    figure = Figure(figsize=(WIDTH_IN, 6.0 if test.change else 3.6), layout="constrained")
    panels = figure.subplots(2 if test.change else 1, 1, sharex=True, squeeze=False)[:, 0]
    places = np.arange(len(old))
    width = 0.4 if test.change else 0.8
    shift = 0.2 if test.change else 0.0
    _draw_solar(panels[0], places - shift, width, old, EXPORT, "current")
    if test.change:
        _draw_solar(panels[0], places + shift, width, new, CAR, "changed")
    if was:
        at = [index for index, name in enumerate(old) if name in was]
        solar = [was[name].car_from_solar_kwh for name in old if name in was]
        panels[0].plot(at, solar, "_", color=INK, markersize=18, label="recorded")
    head(panels[0], "Solar in the car, kWh", 3)
    if test.change:
        _draw_difference(panels[1], places, old, new)
    panels[-1].set_xlim(-0.6, len(old) - 0.4)
    bars_axis(panels[-1], list(old))
    return png(figure)


def _draw_solar(
    panel: Axes, at: np.ndarray, width: float, bars: dict[str, Energy], color: str, name: str
) -> None:
    panel.bar(at, [one.car_from_solar_kwh for one in bars.values()], width, color=color, label=name)


def _draw_difference(
    panel: Axes, places: np.ndarray, old: dict[str, Energy], new: dict[str, Energy]
) -> None:
    sources = {"solar": SOLAR, "battery": BATTERY, "grid": GRID}
    for shift, (source, color) in zip((-0.27, 0.0, 0.27), sources.items(), strict=True):
        field = f"car_from_{source}_kwh"
        difference = [getattr(new[name], field) - getattr(old[name], field) for name in old]
        panel.bar(places + shift, difference, 0.27, color=color, label=source)
    panel.axhline(0, color=INK, linewidth=0.8)
    head(panel, "Change, kWh", 3)
