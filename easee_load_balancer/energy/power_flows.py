"""Power flows: for each measured cycle, the power of every source and every use.

Grid, battery and PV are interpolated linearly to the next sample; the car's power changes in steps
at the moments that the charger reports. Grid and battery are then reconciled with the devices' own
counters, which also see what happens between two samples.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from easee_load_balancer.energy import counters
from easee_load_balancer.energy.resampling import (
    Floats,
    car_since,
    fill_gaps,
    linear_mean,
    seconds,
    step_mean,
)

DEFAULT_INTERVAL = timedelta(seconds=30)
MAX_STEP_INTERVALS = 3
"""A sample holds until the next one for at most this many intervals; the rest is a gap."""
MARGIN = timedelta(minutes=10)
"""Cycles this long before and after a period show how it began and ended."""
_STEADY = timedelta(minutes=15)
_MOST_ERROR_W = 100.0
"""A house that seems to supply more than this has a source that is not read."""
CHARGING_W = 100.0
"""A car that draws more is charging."""

COLUMNS = (
    *("at", "outcome", "pv_w", "inverter_ac_w", "grid_export_w", "battery_charge_w", "car_w"),
    *("car_age_s", "car_phases", "exported_kwh", "imported_kwh", "charged_kwh", "discharged_kwh"),
    "session_kwh",
)
"""The columns of a cycle that are needed."""

COUNTERS = {
    "import": "imported_kwh",
    "export": "exported_kwh",
    "charge": "charged_kwh",
    "discharge": "discharged_kwh",
}
"""The flows that are reconciled, and their counters."""


def usual_interval(cycles: pd.DataFrame) -> timedelta:
    """The median time from one cycle to the next."""
    steps_s = np.diff(seconds(cycles["at"]))
    return timedelta(seconds=float(np.median(steps_s))) if len(steps_s) else DEFAULT_INTERVAL


def power_flows(cycles: pd.DataFrame, interval: timedelta) -> pd.DataFrame:
    """One row for each measured cycle, by time: powers by source and use, in W.

    `cycles` has the columns in `COLUMNS`. A row holds from `at` to `until`; before a gap the two
    are the same.
    """
    longest = MAX_STEP_INTERVALS * pd.Timedelta(interval)
    known = cycles["pv_w"].notna() & cycles["battery_charge_w"].notna()
    asleep = (cycles["pv_w"] == 0) & (cycles["battery_charge_w"] == 0)
    rows = cycles[known & (cycles["grid_export_w"].notna() | asleep)].reset_index(drop=True)
    at, until = rows["at"], rows["at"].shift(-1)
    until = until.where(until - at <= longest, at)
    pv_w, net_charge_w, net_export_w, ac_w, car_w = (
        rows[name].to_numpy(dtype="float64")
        for name in ("pv_w", "battery_charge_w", "grid_export_w", "inverter_ac_w", "car_w")
    )
    at_s, held_s = seconds(at), seconds(until) - seconds(at)
    car_w = fill_gaps(car_w, at_s, longest.total_seconds())
    car_known, grid_known = ~np.isnan(car_w), ~np.isnan(net_export_w)
    car_w = np.where(car_known, np.maximum(car_w, 0.0), 0.0)
    car_since_s = car_since(at_s, rows["car_age_s"].to_numpy("float64"), car_w, car_known)
    charging = step_mean(at_s, held_s, car_since_s, car_w >= CHARGING_W) * car_known
    car_w = step_mean(at_s, held_s, car_since_s, car_w) * car_known
    flows = _reconciled(rows, held_s, net_export_w, net_charge_w)
    # the inverter sleeps: without PV and battery, the car can only draw from the grid
    flows["import_w"] = np.where(grid_known, flows["import_w"], car_w)
    flows["export_w"] = np.where(grid_known, flows["export_w"], 0.0)
    losses_w = linear_mean(pv_w - net_charge_w - ac_w, held_s)
    pv_w = linear_mean(pv_w, held_s)
    from_grid_w = np.minimum(flows["import_w"], car_w)
    from_battery_w = np.minimum(flows["discharge_w"], car_w - from_grid_w)
    supply_w = pv_w + flows["import_w"] + flows["discharge_w"]
    house_w = supply_w - flows["export_w"] - flows["charge_w"] - car_w
    unseen_w = _unseen(at, house_w)
    return pd.DataFrame(
        {
            "at": at,
            "until": until,
            "pv_w": pv_w,
            "house_w": house_w + unseen_w,
            "unseen_w": unseen_w,
            "car_w": car_w,
            **flows,
            "losses_w": np.nan_to_num(losses_w),
            "car_from_solar_w": car_w - from_grid_w - from_battery_w,
            "car_from_battery_w": from_battery_w,
            "car_from_grid_w": from_grid_w,
            "grid_known": grid_known,
            "car_known": car_known,
            "charging": charging,
            **{column: rows[column] for column in (*COUNTERS.values(), "session_kwh")},
        }
    )


def _unseen(at: pd.Series, house_w: Floats) -> Floats:
    """What a source that is not read must supply where the house seems to supply power.

    For moments it only seems so: meter and cloud show the car's changes at different times.
    """
    usual_w = pd.Series(house_w, index=at).rolling(_STEADY, center=True).median()
    return np.where(usual_w < -_MOST_ERROR_W, np.maximum(-house_w, 0.0), 0.0)


def _reconciled(
    rows: pd.DataFrame, held_s: Floats, net_export_w: Floats, net_charge_w: Floats
) -> dict[str, Floats]:
    """Powers of grid and battery: reconciled with the counters, and as sampled."""
    sampled = {
        "import": np.maximum(-net_export_w, 0.0),
        "export": np.maximum(net_export_w, 0.0),
        "charge": np.maximum(net_charge_w, 0.0),
        "discharge": np.maximum(-net_charge_w, 0.0),
    }
    hours = held_s / 3.6e6
    flows: dict[str, Floats] = {}
    for name, column in COUNTERS.items():
        power_w = linear_mean(sampled[name], held_s)
        counter = rows[column].to_numpy(dtype="float64")
        usable = np.zeros(len(rows), dtype=bool)
        usable[:-1] = counters.plausible(counter) & (held_s[:-1] > 0)
        flows[f"{name}_w"] = power_w
        flows[f"{name}_sampled_w"] = np.where(usable, power_w, np.nan)
        if counters.agrees(counter, power_w * hours, held_s, usable):
            kwh = counters.reconcile(counter, power_w * hours, usable)
            flows[f"{name}_w"] = np.divide(kwh, hours, out=power_w.copy(), where=usable)
    return flows


def gaps(rows: pd.DataFrame, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """The times without measurements between `start` and `end`, in order."""
    if rows.empty:
        return [(start, end)]
    next_at = rows["at"].shift(-1)
    breaks = next_at > rows["until"]
    found = [(start, rows["at"].iloc[0]), (rows["at"].iloc[-1], end)]
    found[1:1] = list(zip(rows["until"][breaks], next_at[breaks], strict=True))
    clipped = [(max(since, start), min(until, end)) for since, until in found]
    return [(since, until) for since, until in clipped if until > since]
