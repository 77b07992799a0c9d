"""Recorded days made ready for a replay: sun, household, cars and battery, from the cycles."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from easee_load_balancer.backtest.replay import STEP_S, House, PastDay, Samples, Stay
from easee_load_balancer.control.power_estimate import CAR_UNDERDRAW_A, DRAWING_W, NOMINAL_VOLTAGE_V
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.energy import accounting as energy
from easee_load_balancer.energy import power_flows as ledger
from easee_load_balancer.energy.accounting import Energy
from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.measurements import ChargerMode
from easee_load_balancer.periods import bounds
from easee_load_balancer.simulation.plant.charger import CarSpec
from easee_load_balancer.simulation.plant.plant import BatterySpec

COLUMNS = (
    *ledger.COLUMNS,
    *("battery_soc_pct", "charger_mode", "setpoint_a", "setpoint_phases", "mode"),
)
"""What is needed of each cycle."""
AROUND = timedelta(minutes=10)
"""Cycles so long before and after a day say how it began and ended."""

_Floats = NDArray[np.float64]
_FULL_FOR_S = 600
"""A car that took nothing for so long at the end of its stay was full."""
_STEADY_CYCLES = 4
"""A current that stood for so many cycles is what the car draws."""
_IDLE_W = 50.0
_THREE_PHASES_W = 3000.0
"""More than this on top of one phase is enough for three."""
_SURE_CYCLES = 20
"""What was seen so often is no chance."""
_USUAL_C_RATE = 0.5
_CSV_STEP_S = 15 * 60
"""Rows of a CSV file that are further apart leave a gap."""


@dataclass(frozen=True)
class Recorded:
    """A day as it was."""

    day: PastDay
    energy: Energy | None
    """None for a day that was not recorded by this project."""
    other_modes_s: float = 0.0
    """For how long another mode than the policy's was in force, a boost for example."""


def recorded_day(
    cycles: pd.DataFrame,
    day: date,
    zone: ZoneInfo,
    state: ControllerState,
    mode: str,
    car_kwh: float,
) -> Recorded | None:
    """A local day from its cycles and some around it; None where nothing was measured.

    `car_kwh` is what a car wants that was not seen to get full.
    """
    start, end = bounds(day, zone)
    interval = ledger.usual_interval(cycles)
    rows = ledger.ledger(cycles, interval)
    if not rows["at"].between(start, end, inclusive="left").any():
        return None
    length_s = int((end - start).total_seconds())
    inside = cycles[cycles["at"].between(start, end, inclusive="left")]
    soc = inside["battery_soc_pct"].dropna()
    past = PastDay(
        start=start,
        length_s=length_s,
        samples=_samples(rows, day, start, length_s),
        stays=_stays(inside, rows, start, length_s, car_kwh),
        interval_s=max(1, round(interval.total_seconds())),
        soc_pct=float(soc.iloc[0]) if len(soc) else None,
        state=state,
    )
    others = (inside["mode"] != mode) & inside["charger_mode"].notna()
    return Recorded(
        past,
        energy.account(cycles, start, end, interval),
        float(others.sum() * interval.total_seconds()),
    )


def _samples(rows: pd.DataFrame, day: date, start: datetime, length_s: int) -> Samples:
    """Sun and household on a fine grid.

    Meter and cloud show a change of the car at different times: what seems to be the household's
    then is taken from before.
    """
    grid = np.arange(0, length_s, STEP_S, dtype=np.float64)
    at_s = _seconds(rows["at"], start)
    middle_s = (at_s + _seconds(rows["until"], start)) / 2
    pv_w = np.interp(grid, middle_s, np.maximum(rows["pv_w"].to_numpy(), 0.0))
    changes = np.abs(np.diff(rows["car_w"].to_numpy(), prepend=np.nan)) > DRAWING_W
    unsettled = changes | np.append(changes[1:], False)
    known = (rows["grid_known"] & rows["car_known"]).to_numpy() & ~unsettled
    load_w = np.zeros_like(grid)
    if known.any():
        last = np.searchsorted(at_s[known], grid, side="right") - 1
        load_w = np.maximum(rows["house_w"].to_numpy()[known], 0.0)[np.maximum(last, 0)]
    return Samples(str(day), tuple(pv_w.tolist()), tuple(load_w.tolist()))


def _stays(
    cycles: pd.DataFrame, rows: pd.DataFrame, start: datetime, length_s: int, car_kwh: float
) -> tuple[Stay, ...]:
    """When a car was plugged in, and what it took if it was full in the end."""
    modes = cycles["charger_mode"].where(cycles["charger_mode"] != ChargerMode.OFFLINE)
    if not modes.notna().any():
        return ()
    here = (modes.ffill().bfill() != ChargerMode.DISCONNECTED).to_numpy()
    at_s = np.append(_seconds(cycles["at"], start), length_s)
    turns = [0, *(np.flatnonzero(here[1:] != here[:-1]) + 1).tolist(), len(here)]
    stays = []
    for first, after in pairwise(turns):
        if here[first]:
            since_s, until_s = float(at_s[first]) if first else 0.0, float(at_s[after])
            full = _full(cycles.iloc[first:after])
            wants_kwh = _car_kwh(rows, start, since_s, until_s) if full else car_kwh
            stays.append(Stay(int(since_s), int(until_s), wants_kwh))
    return tuple(stays)


def _full(stay: pd.DataFrame) -> bool:
    """Whether the car took nothing at the end although it was offered something."""
    tail = stay[stay["at"] >= stay["at"].iloc[-1] - timedelta(seconds=_FULL_FOR_S)]
    tail = tail[tail["charger_mode"].notna()]
    waiting = (tail["charger_mode"] == ChargerMode.READY_TO_CHARGE) & (tail["setpoint_a"] > 0)
    return bool(len(tail) and (waiting | (tail["charger_mode"] == ChargerMode.COMPLETED)).all())


def _car_kwh(rows: pd.DataFrame, start: datetime, since_s: float, until_s: float) -> float:
    at_s, end_s = (_seconds(rows[name], start) for name in ("at", "until"))
    held_s = np.maximum(np.minimum(end_s, until_s) - np.maximum(at_s, since_s), 0.0)
    return float(rows["car_w"].to_numpy() @ held_s) / 3.6e6


def _seconds(at: pd.Series, start: datetime) -> _Floats:
    return np.asarray((at - pd.Timestamp(start)).dt.total_seconds(), dtype=np.float64)


@dataclass
class Clues:
    """What the cycles of days tell about the battery and the car."""

    soc: list[tuple[_Floats, _Floats]] = field(default_factory=list)
    """Per day: state of charge in % and stored energy in Wh, both around their means."""
    charge_w: float = 0.0
    """The most that went in or out."""
    floor_pct: float = BatterySpec().lowest_soc_pct
    """Where the battery gave nothing any more."""
    current_a: list[_Floats] = field(default_factory=list)
    """Offered and drawn per phase of the charger, where they stood for a while."""
    phases: list[_Floats] = field(default_factory=list)
    """How many phases' worth the car drew of three."""
    stuck_cycles: int = 0
    """With three phases' worth of export and as much as it can on one."""
    three_phase_cycles: int = 0

    def add(self, cycles: pd.DataFrame) -> None:
        """Look at a day."""
        known = cycles.dropna(subset=["battery_soc_pct", "battery_charge_w"])
        if len(known) > 1:
            charge_w = known["battery_charge_w"].to_numpy()
            hours = np.diff(_seconds(known["at"], known["at"].iloc[0]), append=np.nan) / 3600
            hours = np.where(hours < 0.05, hours, 0.0)  # nothing is known of a gap
            stored_wh = np.concatenate(([0.0], np.cumsum(charge_w * hours)[:-1]))
            soc = known["battery_soc_pct"].to_numpy()
            self.soc.append((soc - soc.mean(), stored_wh - stored_wh.mean()))
            self.charge_w = max(self.charge_w, float(np.quantile(np.abs(charge_w), 0.999)))
            idle = (known["grid_export_w"] < -DRAWING_W) & (charge_w > -_IDLE_W)
            empty = idle & (soc <= soc.min() + 1)
            if empty.sum() >= _SURE_CYCLES or soc.min() < self.floor_pct:
                self.floor_pct = float(soc.min())
        self._look_at_car(cycles)

    def _look_at_car(self, cycles: pd.DataFrame) -> None:
        offer = cycles[["setpoint_a", "setpoint_phases", "car_phases"]]
        stood = (offer == offer.shift()).all(axis=1).rolling(_STEADY_CYCLES).min() == 1
        steady = cycles[stood & (cycles["car_w"] > DRAWING_W) & (cycles["setpoint_a"] > 0)]
        if steady.empty:
            return
        most = (steady["car_phases"] == 1) & (steady["setpoint_a"] == cycles["setpoint_a"].max())
        self.stuck_cycles += int((most & (steady["grid_export_w"] > _THREE_PHASES_W)).sum())
        three = steady[steady["car_phases"] == 3]
        self.three_phase_cycles += len(three)
        offered_a = three["setpoint_a"].to_numpy()
        drawn_a = three["car_w"].to_numpy() / NOMINAL_VOLTAGE_V
        self.phases.append(drawn_a / (offered_a - CAR_UNDERDRAW_A))
        self.current_a.append(np.array([offered_a, drawn_a]))

    def house(self, battery_kwh: float | None) -> House:
        """The house that these clues point to."""
        one_phase = self.stuck_cycles >= _SURE_CYCLES and not self.three_phase_cycles
        return House(self._battery(battery_kwh), self._car(), one_phase=one_phase)

    def _battery(self, capacity_kwh: float | None) -> BatterySpec | None:
        if capacity_kwh is None:
            spread = sum(float(soc @ soc) for soc, _ in self.soc)
            if not spread:
                return None
            together = sum(float(soc @ stored) for soc, stored in self.soc)
            capacity_kwh = max(0.1 * together / spread, 1.0)
        capacity_wh = 1000 * capacity_kwh
        return BatterySpec(
            capacity_wh=capacity_wh,
            max_power_w=max(self.charge_w, _USUAL_C_RATE * capacity_wh),
            lowest_soc_pct=self.floor_pct,
        )

    def _car(self) -> CarSpec:
        """Its phases, and its own highest current where it draws clearly less than offered."""
        shares = np.concatenate([np.empty(0), *self.phases])
        if not len(shares):
            return House().car
        phases = min(max(round(float(np.quantile(shares, 0.9))), 1), 3)
        offered_a, drawn_a = np.concatenate(self.current_a, axis=1)
        at_most = offered_a >= offered_a.max() - 0.5
        drawn_most_a = float(np.median(drawn_a[at_most])) / phases
        limited = drawn_most_a < offered_a.max() - 1.5
        return CarSpec(phases=phases, max_current_a=drawn_most_a if limited else 32.0)


def csv_days(source: str, first: date, zone: ZoneInfo, car_kwh: float) -> dict[date, Recorded]:
    """Days from a CSV text, or a file of that name: `time,pv_w,load_w`, a car all day.

    `time` is local, with the date or without it: then it is the first day. Raises
    ConfigurationError for what is no such table.
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
            f"minutes, as in '2026-06-21 10:00,4200,350': {error}."
        ) from None
    table[["pv_w", "load_w"]] = watts
    table = table.dropna().sort_values("at")
    days = sorted(set(table["at"].dt.tz_convert(zone).dt.date))
    return {day: _csv_day(table, day, zone, car_kwh) for day in days}


def _csv_day(table: pd.DataFrame, day: date, zone: ZoneInfo, car_kwh: float) -> Recorded:
    start, end = bounds(day, zone)
    rows = table[table["at"].between(start, end, inclusive="left")]
    at_s, length_s = _seconds(rows["at"], start), int((end - start).total_seconds())
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
    return Recorded(PastDay(start, length_s, samples, (Stay(0, length_s, car_kwh),)), None)
