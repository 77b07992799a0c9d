"""The ledger: a row for each measured cycle, with the power of every source and every use.

Samples are taken as they are: grid, battery and sun on a straight line to the next sample, the
car in steps at the moments that the charger tells. Grid and battery then follow the devices' own
counters, which also know what happens between two samples.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from easee_load_balancer.energy import counters
from easee_load_balancer.energy.resampling import (
    Floats,
    bridged,
    car_since,
    in_steps,
    seconds,
    straight,
)

DEFAULT_INTERVAL = timedelta(seconds=30)
LONGEST_STEP_INTERVALS = 3
CHARGING_W = 100.0
"""A car that takes more is charging."""

COLUMNS = (
    *("at", "outcome", "pv_w", "inverter_ac_w", "grid_export_w", "battery_charge_w", "car_w"),
    *("car_age_s", "car_phases", "exported_kwh", "imported_kwh", "charged_kwh", "discharged_kwh"),
    "session_kwh",
)
"""What is needed of each cycle."""

FOLLOWED = {
    "import": "imported_kwh",
    "export": "exported_kwh",
    "charge": "charged_kwh",
    "discharge": "discharged_kwh",
}
"""The counters that energies follow."""


def usual_interval(cycles: pd.DataFrame) -> timedelta:
    """The time from one cycle to the next, mostly."""
    steps_s = np.diff(seconds(cycles["at"]))
    return timedelta(seconds=float(np.median(steps_s))) if len(steps_s) else DEFAULT_INTERVAL


def ledger(cycles: pd.DataFrame, interval: timedelta) -> pd.DataFrame:
    """One row for each cycle that was measured, by time: powers by source and use, in W.

    `cycles` has the columns in `COLUMNS`. A row holds from `at` to `until`; before a gap the two
    are the same.
    """
    longest = LONGEST_STEP_INTERVALS * pd.Timedelta(interval)
    known = cycles["pv_w"].notna() & cycles["battery_charge_w"].notna()
    still = (cycles["pv_w"] == 0) & (cycles["battery_charge_w"] == 0)
    rows = cycles[known & (cycles["grid_export_w"].notna() | still)].reset_index(drop=True)
    at, until = rows["at"], rows["at"].shift(-1)
    until = until.where(until - at <= longest, at)
    pv_w, net_charge_w, net_export_w, ac_w, car_w = (
        rows[name].to_numpy(dtype="float64")
        for name in ("pv_w", "battery_charge_w", "grid_export_w", "inverter_ac_w", "car_w")
    )
    at_s, held_s = seconds(at), seconds(until) - seconds(at)
    car_w = bridged(car_w, at_s, longest.total_seconds())
    car_known, grid_known = ~np.isnan(car_w), ~np.isnan(net_export_w)
    car_w = np.where(car_known, np.maximum(car_w, 0.0), 0.0)
    car_since_s = car_since(at_s, rows["car_age_s"].to_numpy("float64"), car_w, car_known)
    charging = in_steps(at_s, held_s, car_since_s, car_w >= CHARGING_W) * car_known
    car_w = in_steps(at_s, held_s, car_since_s, car_w) * car_known
    flows = _followed(rows, held_s, net_export_w, net_charge_w)
    # no sun and no battery: what the car takes can only come from the grid
    flows["import_w"] = np.where(grid_known, flows["import_w"], car_w)
    flows["export_w"] = np.where(grid_known, flows["export_w"], 0.0)
    losses_w = straight(pv_w - net_charge_w - ac_w, held_s)
    pv_w = straight(pv_w, held_s)
    from_grid_w = np.minimum(flows["import_w"], car_w)
    from_battery_w = np.minimum(flows["discharge_w"], car_w - from_grid_w)
    came_w = pv_w + flows["import_w"] + flows["discharge_w"]
    return pd.DataFrame(
        {
            "at": at,
            "until": until,
            "pv_w": pv_w,
            "house_w": came_w - flows["export_w"] - flows["charge_w"] - car_w,
            "car_w": car_w,
            **flows,
            "losses_w": np.nan_to_num(losses_w),
            "car_from_sun_w": car_w - from_grid_w - from_battery_w,
            "car_from_battery_w": from_battery_w,
            "car_from_grid_w": from_grid_w,
            "grid_known": grid_known,
            "car_known": car_known,
            "charging": charging,
            **{column: rows[column] for column in (*FOLLOWED.values(), "session_kwh")},
        }
    )


def _followed(
    rows: pd.DataFrame, held_s: Floats, net_export_w: Floats, net_charge_w: Floats
) -> dict[str, Floats]:
    """Powers of grid and battery that agree with the counters, and as they were sampled."""
    sampled = {
        "import": np.maximum(-net_export_w, 0.0),
        "export": np.maximum(net_export_w, 0.0),
        "charge": np.maximum(net_charge_w, 0.0),
        "discharge": np.maximum(-net_charge_w, 0.0),
    }
    hours = held_s / 3.6e6
    flows: dict[str, Floats] = {}
    for name, column in FOLLOWED.items():
        power_w = straight(sampled[name], held_s)
        counter = rows[column].to_numpy(dtype="float64")
        steps = np.zeros(len(rows), dtype=bool)
        steps[:-1] = counters.believed(counter) & (held_s[:-1] > 0)
        flows[f"{name}_w"] = power_w
        flows[f"{name}_sampled_w"] = np.where(steps, power_w, np.nan)
        if counters.agrees(counter, power_w * hours, held_s, steps):
            kwh = counters.follow(counter, power_w * hours, steps)
            flows[f"{name}_w"] = np.divide(kwh, hours, out=power_w.copy(), where=steps)
    return flows


def gaps(rows: pd.DataFrame, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """The times without measurement between `start` and `end`, by time."""
    if rows.empty:
        return [(start, end)]
    next_at = rows["at"].shift(-1)
    breaks = next_at > rows["until"]
    found = [(start, rows["at"].iloc[0]), (rows["at"].iloc[-1], end)]
    found[1:1] = list(zip(rows["until"][breaks], next_at[breaks], strict=True))
    clipped = [(max(since, start), min(until, end)) for since, until in found]
    return [(since, until) for since, until in clipped if until > since]
