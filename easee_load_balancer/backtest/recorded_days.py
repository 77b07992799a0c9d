"""Recorded days, prepared for a replay: PV, house load, cars and battery, from the cycles."""

from __future__ import annotations

import io
import math
import stat
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
from easee_load_balancer.energy.accounting import account
from easee_load_balancer.energy.resampling import overlap_s, seconds
from easee_load_balancer.energy.totals import Energy
from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.measurements import ChargerMode
from easee_load_balancer.periods import bounds

COLUMNS = (
    *flows.COLUMNS,
    *("battery_soc_pct", "charger_mode", "setpoint_a", "setpoint_phases", "mode"),
)
"""The columns of a cycle that are needed."""

MIN_DAYLIGHT_MEASURED = 0.9
"""Days measured for less than this are not replayed."""
_BEYOND = 2
"""What is measured counts for this many intervals before and after; beyond, nothing is assumed."""
_MOST_CSV_BYTES = 50_000_000
"""More than two years of minutes."""
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
    daylight_measured: float = 1.0
    """Share of the daylight that was measured, 0 to 1."""
    other_modes_s: float = 0.0
    """How long a mode other than the policy's was in force, a boost for example."""

    @property
    def has_enough_daylight(self) -> bool:
        """Whether the measurements say what the day was like."""
        return self.daylight_measured >= MIN_DAYLIGHT_MEASURED


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
        samples=_samples(rows, day, start, length_s, interval),
        plug_ins=_plug_ins(inside, rows, start, length_s, car_kwh, interval),
        interval_s=max(1, round(interval.total_seconds())),
        soc_pct=float(soc.iloc[0]) if len(soc) else None,
        state=state,
    )
    others = (inside["mode"] != mode) & inside["charger_mode"].notna()
    return RecordedDay(
        replayed,
        account(cycles, start, end, interval),
        _daylight_measured(rows, day, start, length_s),
        float(others.sum() * interval.total_seconds()),
    )


def _daylight_measured(rows: pd.DataFrame, day: date, start: datetime, length_s: int) -> float:
    """The measured share of the daylight at 50 degrees north, which is around local noon.

    The place of the house is not known; 50 degrees is right for central Europe.
    """
    declination = math.radians(-23.44) * math.cos(
        2 * math.pi * (day.timetuple().tm_yday + 10) / 365
    )
    half_s = math.acos(-math.tan(math.radians(50)) * math.tan(declination)) / math.pi * 43_200
    since_s, until_s = (seconds(rows[name], start) for name in ("at", "until"))
    held_s = overlap_s(since_s, until_s, length_s / 2 - half_s, length_s / 2 + half_s)
    return float(held_s.sum()) / (2 * half_s)


def _samples(
    rows: pd.DataFrame, day: date, start: datetime, length_s: int, interval: timedelta
) -> Samples:
    """PV power and house load on a fine grid; 0 from two intervals beyond the measurements.

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
    beyond_s = _BEYOND * interval.total_seconds()
    unknown = (grid < at_s[0] - beyond_s) | (grid > at_s[-1] + beyond_s)
    pv_w[unknown] = load_w[unknown] = 0.0
    return Samples(str(day), tuple(pv_w.tolist()), tuple(load_w.tolist()))


def _plug_ins(
    cycles: pd.DataFrame,
    rows: pd.DataFrame,
    start: datetime,
    length_s: int,
    car_kwh: float,
    interval: timedelta,
) -> tuple[PlugInInterval, ...]:
    """When a car was plugged in, and what it drew if it was full in the end."""
    modes = cycles["charger_mode"].where(cycles["charger_mode"] != ChargerMode.OFFLINE)
    if not modes.notna().any():
        return ()
    here = (modes.ffill().bfill() != ChargerMode.DISCONNECTED).to_numpy()
    at_s, beyond_s = seconds(cycles["at"], start), _BEYOND * interval.total_seconds()
    at_s = np.append(at_s, min(float(length_s), at_s[-1] + beyond_s))
    at_s[0] = max(0.0, at_s[0] - beyond_s)
    turns = [0, *(np.flatnonzero(here[1:] != here[:-1]) + 1).tolist(), len(here)]
    intervals = []
    for first, after in pairwise(turns):
        if here[first]:
            since_s, until_s = float(at_s[first]), float(at_s[after])
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
        text = source if "\n" in source else _text_of(Path(source))
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


def _text_of(path: Path) -> str:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_CSV_BYTES:
        raise ConfigurationError(
            f"{path} is not a file of at most {_MOST_CSV_BYTES // 10**6} MB. "
            "Give the path of a CSV."
        )
    return path.read_text()


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
