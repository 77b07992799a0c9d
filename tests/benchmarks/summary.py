"""How long a day and a year of 10 s cycles take to sum up, against a plain read and resample.

    python -m tests.benchmarks.summary [--days 365] [--folder DIR]

Each measurement runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
from sqlalchemy import create_engine

from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.history.store import History
from easee_load_balancer.periods import Period
from easee_load_balancer.reports.summary import sum_up
from tests.benchmarks.generate import SITE, generate_history, new_year

INTERVAL_S = 10
ZONE = ZoneInfo("Europe/Stockholm")
PRICES = Prices(import_price=0.3, export_price=0.08)
NOW = datetime(2030, 1, 1, tzinfo=UTC)
BOUNDS = {"one day": (0.5, 200), "a year": (20.0, 1000)}
"""Seconds and MB."""


def one_day(path: Path, days: int) -> float:
    """A day in the middle."""
    return _sum_up(path, Period.around((new_year() + timedelta(days // 2)).date(), "day", ZONE))


def a_year(path: Path, days: int) -> float:
    """All days from their cycles."""
    last = (new_year() + timedelta(days - 1)).date()
    return _sum_up(path, Period.between(new_year().date(), last, ZONE))


def plain(path: Path, days: int) -> float:
    """Everything into memory, then resampled; no source, gap or price is looked at."""
    query = (
        "SELECT at, pv_w, inverter_ac_w, grid_export_w, battery_charge_w, car_w, car_age_s, "
        "car_phases, exported_kwh, imported_kwh, charged_kwh, discharged_kwh, session_kwh "
        "FROM cycles"
    )
    cycles = pd.read_sql(query, create_engine(f"sqlite:///{path}"), parse_dates=["at"])
    daily = cycles.set_index("at").resample("1D").mean() * 24 / 1000
    return float(daily["pv_w"].sum())


def _sum_up(path: Path, period: Period) -> float:
    history = History(f"sqlite:///{path}")
    return sum_up(history, SITE, period, PRICES, NOW).total.pv_kwh


WAYS: dict[str, Callable[[Path, int], float]] = {
    "one day": one_day,
    "a year": a_year,
    "read_sql + resample": plain,
}


def _measure(way: str, path: Path, days: int) -> None:
    """Run one way in this process and print its figures."""
    began, worked = time.perf_counter(), time.process_time()
    pv_kwh = WAYS[way](path, days)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - worked
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    got = {"seconds": seconds, "cpu_s": cpu_s, "peak_mb": peak_mb, "pv_kwh": pv_kwh}
    print(json.dumps(got))


def _compare(path: Path, days: int) -> bool:
    """Measure all ways; whether all are within their bounds."""
    good = True
    print("| | s | bound | CPU s | peak MB | bound | PV kWh |\n|---|---:|---:|---:|---:|---:|---:|")
    for way in WAYS:
        command = [sys.executable, "-m", "tests.benchmarks.summary", "--way", way]
        command += ["--days", str(days), "--folder", str(path.parent)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        got = json.loads(done.stdout)
        most_s, most_mb = BOUNDS.get(way, (None, None))
        if most_s is not None and most_mb is not None:
            good &= got["seconds"] <= most_s and got["peak_mb"] <= most_mb
        print(
            f"| {way} | {got['seconds']:.2f} | {most_s or ''} | {got['cpu_s']:.2f} "
            f"| {got['peak_mb']:.0f} | {most_mb or ''} | {got['pv_kwh']:.1f} |"
        )
    return good


def main() -> None:
    """Generate what is not there yet, measure and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--folder", type=Path, help="Keep the generated history here.")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        path = (wanted.folder or Path(temporary)) / f"history-{wanted.days}.db"
        if wanted.way:
            _measure(wanted.way, path, wanted.days)
            return
        if not path.exists():
            count = generate_history(path, new_year(), wanted.days, INTERVAL_S)
            print(f"{count:,} cycles, {path.stat().st_size / 1e6:,.0f} MB\n")
        good = _compare(path, wanted.days)
    sys.exit(not good)


if __name__ == "__main__":
    main()
