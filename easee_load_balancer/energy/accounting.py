"""From irregular power samples to energy by source: where every kilowatt-hour came from.

A sample stands for the time until the next one, unless that is more than three intervals away:
nothing is assumed for such a gap. Grid and battery agree with the devices' own counters where there
are any. At every moment

    PV + import + discharge + unseen = house + car + export + charge

by construction: the house is the remainder, conversion losses included. Where it would be less than
nothing for minutes, there is a source that is not read: unseen. Imported energy goes to
the car first, then energy from the battery; the rest is solar. This never overstates the solar
share.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from easee_load_balancer.energy import counters
from easee_load_balancer.energy.car_costs import price_arrays
from easee_load_balancer.energy.power_flows import (
    CHARGING_W,
    COUNTERS,
    MAX_STEP_INTERVALS,
    gaps,
    power_flows,
)
from easee_load_balancer.energy.price_table import PriceTable
from easee_load_balancer.energy.resampling import Bools, Floats, overlap_s, seconds
from easee_load_balancer.energy.totals import Energy

_FLOWS = {
    f"{name}_kwh": f"{name}_w"
    for name in (
        *("pv", "import", "discharge", "house", "car", "export", "charge", "losses", "unseen"),
        *("car_from_solar", "car_from_battery", "car_from_grid"),
    )
}
"""Energies, and the power flows that they sum up."""
_SAMPLED = {f"{name}_sampled_kwh": f"{name}_sampled_w" for name in COUNTERS}
_COUNTERS = {
    "meter_import": ("imported_kwh", "import_w"),
    "meter_export": ("exported_kwh", "export_w"),
    "battery_charged": ("charged_kwh", "charge_w"),
    "battery_discharged": ("discharged_kwh", "discharge_w"),
    "charger_session": ("session_kwh", "car_w"),
}
"""Each counter, its column, and the power flow it measures."""


def per_interval(flows: pd.DataFrame, start: datetime, end: datetime) -> pd.DataFrame:
    """Power flows as energies in kWh, with the `seconds` that each of them holds."""
    at_s, until_s = seconds(flows["at"], start), seconds(flows["until"], start)
    held_s = overlap_s(at_s, until_s, 0.0, (end - start).total_seconds())
    kwh = flows[list(_FLOWS.values())].mul(held_s / 3.6e6, axis=0).set_axis(list(_FLOWS), axis=1)
    return pd.concat([flows[["at"]], pd.Series(held_s, name="seconds"), kwh], axis=1)[held_s > 0]


def account(
    cycles: pd.DataFrame,
    start: datetime,
    end: datetime,
    interval: timedelta,
    prices: PriceTable | None = None,
) -> Energy:
    """The totals from `start` to `end`; cycles around it show how it began and ended."""
    rows = power_flows(cycles, interval)
    window = _Window(start, (end - start).total_seconds(), interval.total_seconds())
    at_s, until_s = seconds(rows["at"], start), seconds(rows["until"], start)
    held_s = window.held_s(at_s, until_s)
    kwh = rows[list(_FLOWS.values())].to_numpy() * (held_s / 3.6e6)[:, np.newaxis]
    energy: dict[str, Any] = dict(zip(_FLOWS, kwh.sum(axis=0).tolist(), strict=True))
    if prices is not None:
        energy |= _money(rows["at"], kwh, prices)
    for name in _SAMPLED:
        energy[name] = _sampled(rows[_SAMPLED[name]].to_numpy(), held_s)
    for name, (column, power) in _COUNTERS.items():
        whole_kwh = rows[power].to_numpy() * (until_s - at_s) / 3.6e6
        energy |= _counted(name, rows[column].to_numpy("float64"), whole_kwh, at_s, window)
    return Energy(
        **energy,
        **_behaviour(cycles, window),
        period_s=window.length_s,
        measured_s=float(held_s.sum()),
        grid_unknown_s=float(held_s[~rows["grid_known"]].sum()),
        car_unknown_s=float(held_s[~rows["car_known"]].sum()),
        charging_s=float(held_s @ rows["charging"]),
        longest_gap_s=max(
            ((until - since).total_seconds() for since, until in gaps(rows, start, end)),
            default=0.0,
        ),
    )


@dataclass(frozen=True, slots=True)
class _Window:
    """A period; moments are seconds since its start."""

    start: datetime
    length_s: float
    interval_s: float

    def held_s(self, since: Floats, until: Floats) -> Floats:
        """How many seconds of the period lie between two moments."""
        return overlap_s(since, until, 0.0, self.length_s)

    def contains(self, at: Floats) -> Bools:
        """Which moments are in the period."""
        return (at >= 0) & (at < self.length_s)


def _money(at: pd.Series, kwh: Floats, prices: PriceTable) -> dict[str, float]:
    column = dict(zip(_FLOWS, kwh.T, strict=True))
    cost, income = price_arrays(at, prices)
    return {
        "import_cost": float(column["import_kwh"] @ cost),
        "export_income": float(column["export_kwh"] @ income),
        "car_grid_cost": float(column["car_from_grid_kwh"] @ cost),
        "saved": float(column["car_from_solar_kwh"] @ (cost - income)),
    }


def _sampled(power_w: Floats, held_s: Floats) -> float | None:
    """The energy where the power is known; None if it never is."""
    known = ~np.isnan(power_w) & (held_s > 0)
    return float(power_w[known] @ held_s[known] / 3.6e6) if known.any() else None


def _counted(
    name: str, counter: Floats, sampled: Floats, at_s: Floats, window: _Window
) -> dict[str, float | None]:
    """What a device's own counter shows for the measured time and for the gaps."""
    if name != "charger_session":
        counter = counters.without_misreadings(counter)
    known = np.flatnonzero(~np.isnan(counter))
    step_s = np.diff(at_s[known])
    held_s = window.held_s(at_s[known][:-1], at_s[known][1:])
    if not held_s.any():
        return {f"{name}_kwh": None, f"{name}_gaps_kwh": None}
    here = np.diff(np.append(0.0, np.cumsum(sampled))[known])
    gap = step_s > MAX_STEP_INTERVALS * window.interval_s
    if name == "charger_session":
        grown = counters.session_growth(counter[known], here)
    else:
        # while the inverter sleeps, the car's energy is known without the counter
        grown = counters.growth(counter[known], step_s) - np.where(gap, here, 0.0)
    share = np.divide(held_s, step_s, out=np.zeros_like(held_s), where=step_s > 0)
    grown = np.maximum(grown, 0.0) * share
    return {
        f"{name}_kwh": float(grown[~gap].sum()),
        f"{name}_gaps_kwh": float(grown[gap].sum()),
    }


def _behaviour(cycles: pd.DataFrame, window: _Window) -> dict[str, int]:
    """Charging starts, phase changes, and cycles that failed or never ran."""
    at_s = seconds(cycles["at"], window.start)
    car_w, phases = cycles["car_w"].to_numpy("float64"), cycles["car_phases"].to_numpy("float64")
    known, active = ~np.isnan(car_w), phases > 0
    charging = car_w[known] >= CHARGING_W
    started = charging[1:] & ~charging[:-1]
    changed = phases[active][1:] != phases[active][:-1]
    here = window.contains(at_s)
    return {
        "starts": int((started & here[known][1:]).sum()),
        "phase_changes": int((changed & here[active][1:]).sum()),
        "cycles": int(here.sum()),
        "cycles_failed": int((here & (cycles["outcome"] == "failed").to_numpy()).sum()),
        "cycles_attention": int((here & (cycles["outcome"] == "attention").to_numpy()).sum()),
        "cycles_missed": _missed(at_s, window),
    }


def _missed(at_s: Floats, window: _Window) -> int:
    """How many cycles were due in the period and did not run."""
    step_s, length_s = window.interval_s, window.length_s
    if not len(at_s):
        return round(length_s / step_s)
    due = [np.arange(at_s[0] - step_s, -step_s, -step_s)]
    steps = np.round(np.diff(at_s) / step_s).astype(int)
    for index in np.flatnonzero(steps > 1):
        due.append(at_s[index] + step_s * np.arange(1, steps[index]))
    due.append(np.arange(at_s[-1] + step_s, length_s, step_s))
    return int(window.contains(np.concatenate(due)).sum())
