"""Recorded days, prepared for a replay: PV, house load, cars and battery, from the cycles."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from easee_load_balancer.backtest.replay import STEP_S, PlugInInterval, ReplayDay, Samples
from easee_load_balancer.control.power_estimate import DRAWING_W
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.energy import power_flows as flows
from easee_load_balancer.energy.accounting import Energy, account
from easee_load_balancer.energy.resampling import overlap_s, seconds
from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.measurements import ChargerMode
from easee_load_balancer.periods import bounds

COLUMNS = (
    *flows.COLUMNS,
    *("battery_soc_pct", "charger_mode", "setpoint_a", "setpoint_phases", "mode"),
)
"""The columns of a cycle that are needed."""

_FULL_FOR_S = 600
"""A car that drew nothing for this long before it left was full."""
_CSV_STEP_S = 15 * 60
"""Rows of a CSV file that are further apart leave a gap."""


@dataclass(frozen=True)
class RecordedDay:
    """A day as it was."""

    day: ReplayDay
    energy: Energy | None
    """None for a day that this project did not record."""
    other_modes_s: float = 0.0
    """How long a mode other than the policy's was in force, a boost for example."""


def recorded_day(
    cycles: pd.DataFrame,
    day: date,
    zone: ZoneInfo,
    state: ControllerState,
    mode: str,
    car_kwh: float,
) -> RecordedDay | None:
    """A local day from its cycles and some around it; None if nothing was measured.

    `car_kwh` is what fills a car that was not seen full.
    """
    start, end = bounds(day, zone)
    interval = flows.usual_interval(cycles)
    rows = flows.power_flows(cycles, interval)
    if not rows["at"].between(start, end, inclusive="left").any():
        return None
    length_s = int((end - start).total_seconds())
    inside = cycles[cycles["at"].between(start, end, inclusive="left")]
    soc = inside["battery_soc_pct"].dropna()
    replayed = ReplayDay(
        start=start,
        length_s=length_s,
        samples=_samples(rows, day, start, length_s),
        plug_ins=_plug_ins(inside, rows, start, length_s, car_kwh),
        interval_s=max(1, round(interval.total_seconds())),
        soc_pct=float(soc.iloc[0]) if len(soc) else None,
        state=state,
    )
    others = (inside["mode"] != mode) & inside["charger_mode"].notna()
    return RecordedDay(
        replayed,
        account(cycles, start, end, interval),
        float(others.sum() * interval.total_seconds()),
    )


def _samples(rows: pd.DataFrame, day: date, start: datetime, length_s: int) -> Samples:
    """PV power and house load on a fine grid.

    Meter and cloud show a change of the car's power at different times; the house load of that
    moment is taken from before the change.
    """
    grid = np.arange(0, length_s, STEP_S, dtype=np.float64)
    at_s = seconds(rows["at"], start)
    middle_s = (at_s + seconds(rows["until"], start)) / 2
    pv_w = np.interp(grid, middle_s, np.maximum(rows["pv_w"].to_numpy(), 0.0))
    changes = np.abs(np.diff(rows["car_w"].to_numpy(), prepend=np.nan)) > DRAWING_W
    unsettled = changes | np.append(changes[1:], False)
    known = (rows["grid_known"] & rows["car_known"]).to_numpy() & ~unsettled
    load_w = np.zeros_like(grid)
    if known.any():
        last = np.searchsorted(at_s[known], grid, side="right") - 1
        load_w = np.maximum(rows["house_w"].to_numpy()[known], 0.0)[np.maximum(last, 0)]
    return Samples(str(day), tuple(pv_w.tolist()), tuple(load_w.tolist()))


def _plug_ins(
    cycles: pd.DataFrame, rows: pd.DataFrame, start: datetime, length_s: int, car_kwh: float
) -> tuple[PlugInInterval, ...]:
    """When a car was plugged in, and what it drew if it was full in the end."""
    modes = cycles["charger_mode"].where(cycles["charger_mode"] != ChargerMode.OFFLINE)
    if not modes.notna().any():
        return ()
    here = (modes.ffill().bfill() != ChargerMode.DISCONNECTED).to_numpy()
    at_s = np.append(seconds(cycles["at"], start), length_s)
    turns = [0, *(np.flatnonzero(here[1:] != here[:-1]) + 1).tolist(), len(here)]
    intervals = []
    for first, after in pairwise(turns):
        if here[first]:
            since_s, until_s = float(at_s[first]) if first else 0.0, float(at_s[after])
            full = _full(cycles.iloc[first:after])
            needed_kwh = _car_kwh(rows, start, since_s, until_s) if full else car_kwh
            intervals.append(PlugInInterval(int(since_s), int(until_s), needed_kwh))
    return tuple(intervals)


def _full(cycles: pd.DataFrame) -> bool:
    """Whether the car drew nothing at the end although it was offered current."""
    tail = cycles[cycles["at"] >= cycles["at"].iloc[-1] - timedelta(seconds=_FULL_FOR_S)]
    tail = tail[tail["charger_mode"].notna()]
    waiting = (tail["charger_mode"] == ChargerMode.READY_TO_CHARGE) & (tail["setpoint_a"] > 0)
    return bool(len(tail) and (waiting | (tail["charger_mode"] == ChargerMode.COMPLETED)).all())


def _car_kwh(rows: pd.DataFrame, start: datetime, since_s: float, until_s: float) -> float:
    at_s, end_s = (seconds(rows[name], start) for name in ("at", "until"))
    held_s = overlap_s(at_s, end_s, since_s, until_s)
    return float(rows["car_w"].to_numpy() @ held_s) / 3.6e6


def csv_days(source: str, first: date, zone: ZoneInfo, car_kwh: float) -> dict[date, RecordedDay]:
    """Days from a CSV text, or from the file of that name: `time,pv_w,load_w`, a car all day.

    `time` is local; without a date it is on the first day. Raises ConfigurationError if this is
    not such a table.
    """
    try:
        text = source if "\n" in source else Path(source).read_text()
        table = pd.read_csv(io.StringIO(text), usecols=["time", "pv_w", "load_w"])
        clock = table["time"].astype(str).str.strip()
        clock = clock.where(clock.str.len() > len("00:00:00"), f"{first} " + clock)
        local = pd.to_datetime(clock, format="ISO8601")
        if local.dt.tz is None:
            local = local.dt.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
        table["at"] = local.dt.tz_convert(UTC)
        watts = table[["pv_w", "load_w"]].astype("float64").clip(lower=0)
    except OSError as error:
        raise ConfigurationError(
            f"The CSV file {source} cannot be read: {error.strerror}."
        ) from None
    except ValueError as error:
        raise ConfigurationError(
            "The CSV is not a table with the columns time,pv_w,load_w and a row at least every 15 "
            f"minutes, such as '2026-06-21 10:00,4200,350': {error}."
        ) from None
    table[["pv_w", "load_w"]] = watts
    table = table.dropna().sort_values("at")
    days = sorted(set(table["at"].dt.tz_convert(zone).dt.date))
    return {day: _csv_day(table, day, zone, car_kwh) for day in days}


def _csv_day(table: pd.DataFrame, day: date, zone: ZoneInfo, car_kwh: float) -> RecordedDay:
    start, end = bounds(day, zone)
    rows = table[table["at"].between(start, end, inclusive="left")]
    at_s, length_s = seconds(rows["at"], start), int((end - start).total_seconds())
    if np.diff(at_s, prepend=0.0, append=float(length_s)).max() > _CSV_STEP_S:
        raise ConfigurationError(
            f"The CSV has no row for more than {_CSV_STEP_S // 60} minutes of {day}."
        )
    grid = np.arange(0, length_s, STEP_S, dtype=np.float64)
    last = np.maximum(np.searchsorted(at_s, grid, side="right") - 1, 0)
    samples = Samples(
        str(day),
        tuple(np.interp(grid, at_s, rows["pv_w"].to_numpy()).tolist()),
        tuple(rows["load_w"].to_numpy()[last].tolist()),
    )
    plug_in = PlugInInterval(0, length_s, car_kwh)
    return RecordedDay(ReplayDay(start, length_s, samples, (plug_in,)), None)
