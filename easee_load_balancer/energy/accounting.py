"""From irregular power samples to energy by source: where every kilowatt-hour came from.

Each measured sample stands for the time until the next one, unless that is more than three
intervals away: then nothing is assumed for the time between them. Grid and battery follow the
devices' own counters, where there are any. At every moment

    PV + import + discharge = house + car + export + charge

holds by construction: the house is what is left over, conversion losses included. The car takes
what is imported, then what the battery gives, and the rest is sun: the sun is never flattered.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from easee_load_balancer.energy import counters
from easee_load_balancer.energy.power_flows import (
    CHARGING_W,
    FOLLOWED,
    LONGEST_STEP_INTERVALS,
    gaps,
    ledger,
)
from easee_load_balancer.energy.resampling import seconds
from easee_load_balancer.energy.tariff import Prices

_Floats = NDArray[np.float64]
_Bools = NDArray[np.bool_]

_FLOWS = {
    "pv_kwh": "pv_w",
    "import_kwh": "import_w",
    "discharge_kwh": "discharge_w",
    "house_kwh": "house_w",
    "car_kwh": "car_w",
    "export_kwh": "export_w",
    "charge_kwh": "charge_w",
    "losses_kwh": "losses_w",
    "car_from_sun_kwh": "car_from_sun_w",
    "car_from_battery_kwh": "car_from_battery_w",
    "car_from_grid_kwh": "car_from_grid_w",
}
_SAMPLED = {f"{name}_sampled_kwh": f"{name}_sampled_w" for name in FOLLOWED}
_COUNTERS = {
    "meter_import": ("imported_kwh", "import_w"),
    "meter_export": ("exported_kwh", "export_w"),
    "battery_charged": ("charged_kwh", "charge_w"),
    "battery_discharged": ("discharged_kwh", "discharge_w"),
    "charger_session": ("session_kwh", "car_w"),
}
"""All counters, and the power that is the same."""


@dataclass(frozen=True, slots=True)
class Energy:
    """The accounts of a period: energies in kWh, times in s, money in the tariff's currency.

    Two of them add up to the accounts of both periods together. None is unknown.
    """

    pv_kwh: float = 0.0
    import_kwh: float = 0.0
    discharge_kwh: float = 0.0
    house_kwh: float = 0.0
    """Conversion losses included."""
    car_kwh: float = 0.0
    export_kwh: float = 0.0
    charge_kwh: float = 0.0
    losses_kwh: float = 0.0
    """Part of the house: what the inverter took in and did not give out again."""
    car_from_sun_kwh: float = 0.0
    car_from_battery_kwh: float = 0.0
    car_from_grid_kwh: float = 0.0

    period_s: float = 0.0
    measured_s: float = 0.0
    grid_unknown_s: float = 0.0
    """Part of what is measured: the inverter sleeps, so that only the car is known."""
    car_unknown_s: float = 0.0
    """Part of what is measured: the charger is unknown; the car counts as part of the house."""
    charging_s: float = 0.0
    longest_gap_s: float = 0.0
    starts: int = 0
    """Charges begun as the samples show them; what began and ended between two is not seen."""
    phase_changes: int = 0
    cycles: int = 0
    cycles_failed: int = 0
    cycles_missed: int = 0

    meter_import_kwh: float | None = None
    """What the device's own counter counted in the measured time."""
    meter_import_gaps_kwh: float | None = None
    """What it counted in the gaps between measurements."""
    meter_export_kwh: float | None = None
    meter_export_gaps_kwh: float | None = None
    battery_charged_kwh: float | None = None
    battery_charged_gaps_kwh: float | None = None
    battery_discharged_kwh: float | None = None
    battery_discharged_gaps_kwh: float | None = None
    charger_session_kwh: float | None = None
    charger_session_gaps_kwh: float | None = None
    import_sampled_kwh: float | None = None
    """What the samples alone would say for the time in which the counter was followed."""
    export_sampled_kwh: float | None = None
    charge_sampled_kwh: float | None = None
    discharge_sampled_kwh: float | None = None

    import_cost: float | None = None
    export_income: float | None = None
    car_grid_cost: float | None = None
    saved: float | None = None
    """The sun in the car at the price of the grid, less what it would have earned there."""

    def __add__(self, other: Energy) -> Energy:
        total: dict[str, Any] = {
            field.name: _sum(getattr(self, field.name), getattr(other, field.name))
            for field in fields(self)
        }
        total["longest_gap_s"] = max(self.longest_gap_s, other.longest_gap_s)
        return Energy(**total)

    @property
    def self_consumption_pct(self) -> float | None:
        """How much of the sun was used at home."""
        return _share_pct(self.pv_kwh - self.export_kwh, self.pv_kwh)

    @property
    def autarky_pct(self) -> float | None:
        """How much of what was used came from home."""
        used_kwh = self.house_kwh + self.car_kwh
        return _share_pct(used_kwh - self.import_kwh, used_kwh)

    @property
    def unmeasured_s(self) -> float:
        """Time for which nothing is known."""
        return self.period_s - self.measured_s


def per_interval(rows: pd.DataFrame, start: datetime, end: datetime) -> pd.DataFrame:
    """The ledger's rows as energies in kWh, with the `seconds` for which each of them holds."""
    length_s = (end - start).total_seconds()
    window = _Window(start, length_s, length_s)
    held_s = window.held_s(seconds(rows["at"], start), seconds(rows["until"], start))
    kwh = rows[list(_FLOWS.values())].mul(held_s / 3.6e6, axis=0).set_axis(list(_FLOWS), axis=1)
    return pd.concat([rows[["at"]], pd.Series(held_s, name="seconds"), kwh], axis=1)[held_s > 0]


def account(
    cycles: pd.DataFrame,
    start: datetime,
    end: datetime,
    interval: timedelta,
    prices: Prices | None = None,
    zone: ZoneInfo | None = None,
) -> Energy:
    """The accounts of the time from `start` to `end`; cycles around it say how it began and ended.

    `zone` tells the hour of the day for the prices.
    """
    rows = ledger(cycles, interval)
    window = _Window(start, (end - start).total_seconds(), interval.total_seconds())
    at_s, until_s = seconds(rows["at"], start), seconds(rows["until"], start)
    held_s = window.held_s(at_s, until_s)
    kwh = rows[list(_FLOWS.values())].to_numpy() * (held_s / 3.6e6)[:, np.newaxis]
    energy: dict[str, Any] = dict(zip(_FLOWS, kwh.sum(axis=0).tolist(), strict=True))
    if prices is not None and zone is not None:
        energy |= _money(rows["at"].dt.tz_convert(zone).dt.hour.to_numpy(), kwh, prices)
    for name in _SAMPLED:
        energy[name] = _sampled(rows[_SAMPLED[name]].to_numpy(), held_s)
    for name, (column, power) in _COUNTERS.items():
        whole_kwh = rows[power].to_numpy() * (until_s - at_s) / 3.6e6
        energy |= _counted(name, rows[column].to_numpy("float64"), whole_kwh, at_s, window)
    without = gaps(rows, start, end)
    return Energy(
        **energy,
        **_behaviour(cycles, window),
        period_s=window.length_s,
        measured_s=float(held_s.sum()),
        grid_unknown_s=float(held_s[~rows["grid_known"]].sum()),
        car_unknown_s=float(held_s[~rows["car_known"]].sum()),
        charging_s=float(held_s @ rows["charging"]),
        longest_gap_s=max(
            ((until - since).total_seconds() for since, until in without), default=0.0
        ),
    )


@dataclass(frozen=True, slots=True)
class _Window:
    """The period that is accounted; moments are seconds since its start."""

    start: datetime
    length_s: float
    interval_s: float

    def held_s(self, since: _Floats, until: _Floats) -> _Floats:
        """How many seconds of the period lie between two moments."""
        inside = np.minimum(until, self.length_s) - np.maximum(since, 0.0)
        return np.asarray(np.maximum(inside, 0.0))

    def holds(self, at: _Floats) -> _Bools:
        """Whether these moments are in the period."""
        return (at >= 0) & (at < self.length_s)


def _money(hours: NDArray[np.int32], kwh: _Floats, prices: Prices) -> dict[str, float]:
    column = dict(zip(_FLOWS, kwh.T, strict=True))
    cost, income = np.array(prices.import_prices)[hours], np.array(prices.export_prices)[hours]
    return {
        "import_cost": float(column["import_kwh"] @ cost),
        "export_income": float(column["export_kwh"] @ income),
        "car_grid_cost": float(column["car_from_grid_kwh"] @ cost),
        "saved": float(column["car_from_sun_kwh"] @ (cost - income)),
    }


def _sampled(power_w: _Floats, held_s: _Floats) -> float | None:
    """The energy where the power is known; None where it never is."""
    known = ~np.isnan(power_w) & (held_s > 0)
    return float(power_w[known] @ held_s[known] / 3.6e6) if known.any() else None


def _counted(
    name: str, counter: _Floats, accounted: _Floats, at_s: _Floats, window: _Window
) -> dict[str, float | None]:
    """What a device's own counter counted in the measured time and in the gaps."""
    known = np.flatnonzero(~np.isnan(counter))
    step_s = np.diff(at_s[known])
    held_s = window.held_s(at_s[known][:-1], at_s[known][1:])
    if not held_s.any():
        return {f"{name}_kwh": None, f"{name}_gaps_kwh": None}
    here = np.diff(np.append(0.0, np.cumsum(accounted))[known])
    gap = step_s > LONGEST_STEP_INTERVALS * window.interval_s
    if name == "charger_session":
        grown = counters.session_growth(counter[known], here)
    else:
        # the car's energy while the inverter sleeps is accounted without the counter
        grown = counters.growth(counter[known], gap) - np.where(gap, here, 0.0)
    share = np.divide(held_s, step_s, out=np.zeros_like(held_s), where=step_s > 0)
    grown = np.maximum(grown, 0.0) * share
    return {
        f"{name}_kwh": float(grown[~gap].sum()),
        f"{name}_gaps_kwh": float(grown[gap].sum()),
    }


def _behaviour(cycles: pd.DataFrame, window: _Window) -> dict[str, int]:
    """How the control did: charges begun, phases changed, cycles that failed or never ran."""
    at_s = seconds(cycles["at"], window.start)
    car_w, phases = cycles["car_w"].to_numpy("float64"), cycles["car_phases"].to_numpy("float64")
    known, giving = ~np.isnan(car_w), phases > 0
    charging = car_w[known] >= CHARGING_W
    started = charging[1:] & ~charging[:-1]
    changed = phases[giving][1:] != phases[giving][:-1]
    here = window.holds(at_s)
    return {
        "starts": int((started & here[known][1:]).sum()),
        "phase_changes": int((changed & here[giving][1:]).sum()),
        "cycles": int(here.sum()),
        "cycles_failed": int((here & (cycles["outcome"] == "failed").to_numpy()).sum()),
        "cycles_missed": _missed(at_s, window),
    }


def _missed(at_s: _Floats, window: _Window) -> int:
    """How many cycles were due in the period and are not there."""
    step_s, length_s = window.interval_s, window.length_s
    if not len(at_s):
        return round(length_s / step_s)
    due = [np.arange(at_s[0] - step_s, -step_s, -step_s)]
    steps = np.round(np.diff(at_s) / step_s).astype(int)
    for index in np.flatnonzero(steps > 1):
        due.append(at_s[index] + step_s * np.arange(1, steps[index]))
    due.append(np.arange(at_s[-1] + step_s, length_s, step_s))
    return int(window.holds(np.concatenate(due)).sum())


def _share_pct(part: float, whole: float) -> float | None:
    return min(max(100 * part / whole, 0.0), 100.0) if whole > 0 else None


def _sum(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other
