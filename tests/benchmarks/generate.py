"""A history as a year of cycles leaves it: rows of the real size, in a SQLite file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.history.store import History
from easee_load_balancer.history.tables import Cycle

SITE = "home"
Counters = tuple[float, ...]
"""Of import, export, charge and discharge, in kWh."""
_NOISE = np.random.default_rng(20260101)
_REASON = "9 A x 3: surplus 6.4 kW = car 6.2 + export 0.1 + battery 0.1"


def generate_history(path: Path, start: datetime, days: int, interval_s: int) -> int:
    """Fill a new history at `path` and return its number of cycles."""
    History(f"sqlite:///{path}").close()
    names = Cycle.__table__.columns.keys()
    insert = f"INSERT INTO cycles ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    memory = ControllerState(setpoint_a=9, pushed_at=start, inverter_read_at=start, pv_w=7000.0)
    count = 0
    counted: Counters = (4000.0, 7000.0, 3000.0, 2900.0)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA synchronous=OFF")
        for day in range(days):
            midnight = start + timedelta(days=day)
            rows, counted = _day(midnight, day, interval_s, counted)
            fixed = {"site": SITE, "mode": "solar", "reason": _REASON}
            fixed |= {"memory": json.dumps(memory.model_dump(mode="json"))}
            cursor = database.executemany(
                insert, ([(row | fixed)[name] for name in names] for row in rows)
            )
            count += cursor.rowcount
            database.commit()
    return count


def _day(
    midnight: datetime, number: int, interval_s: int, counted: Counters
) -> tuple[Iterator[dict[str, Any]], Counters]:
    """A day's rows and the counters at its end: PV by season, clouds, a car at noon."""
    seconds = np.arange(0, 86_400, interval_s)
    season = 0.6 - 0.4 * np.cos(2 * np.pi * number / 365)
    height = np.clip(np.sin(np.pi * (seconds - 21_600) / 43_200), 0, None)
    pv = (9_000 * season * height**1.3 * _NOISE.uniform(0.5, 1.0, len(seconds))).round()
    house = (300 + 200 * _NOISE.random(len(seconds))).round()
    car = np.where(pv - house > 4_140, pv - house - 200, 0.0)
    battery = np.clip(pv - house - car, -2_000, 2_000).round()
    export = pv - house - car - battery
    hours = interval_s / 3_600_000
    flows = (-export, export, battery, -battery)
    ins, outs, charged, discharged = (
        before + (np.clip(flow, 0, None) * hours).cumsum()
        for before, flow in zip(counted, flows, strict=True)
    )
    session = (car * hours).cumsum()

    def rows() -> Iterator[dict[str, Any]]:
        for at, *values in zip(
            *(array.tolist() for array in (seconds, pv, battery, export, car)),
            *(array.round(2).tolist() for array in (outs, ins, charged, discharged)),
            session.round(3).tolist(),
            strict=True,
        ):
            due = midnight + timedelta(seconds=at)
            read = due + timedelta(milliseconds=137 + at % 211)
            pv_w, charge, out, into_car, *kwh = values
            exported_kwh, imported_kwh, charged_kwh, discharged_kwh, session_kwh = kwh
            yield {
                "scheduled_at": f"{due:%Y-%m-%d %H:%M:%S.%f}",
                "at": f"{read:%Y-%m-%d %H:%M:%S.%f}",
                "run_id": f"0699c2f1-aaaa-7bbb-8ccc-{at + 100_000 * number:012d}",
                "outcome": "held",
                "pv_w": pv_w,
                "inverter_ac_w": pv_w - charge,
                "grid_export_w": out,
                "battery_charge_w": charge,
                "battery_soc_pct": 50.0,
                "car_w": into_car,
                "car_age_s": 4.0,
                "car_phases": 3 if into_car else 0,
                "charger_mode": 3 if into_car else 2,
                "surplus_w": into_car + out + charge,
                "setpoint_a": 9,
                "setpoint_phases": 3,
                "exported_kwh": exported_kwh,
                "imported_kwh": imported_kwh,
                "charged_kwh": charged_kwh,
                "discharged_kwh": discharged_kwh,
                "session_kwh": session_kwh,
            }

    last = tuple(float(counter[-1]) for counter in (ins, outs, charged, discharged))
    return rows(), last


def new_year() -> datetime:
    """When the generated history begins."""
    return datetime(2026, 1, 1, tzinfo=UTC)
