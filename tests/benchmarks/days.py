"""The days that the benchmarks play."""

from __future__ import annotations

from pathlib import Path

from easee_load_balancer.simulation.plant.day import BUILT_IN_DAYS, Day, load_day
from tests.support.paths import SHARED_DATA


def find_days(folder: Path | None) -> list[Day]:
    """The days of a folder, or those that are there without one."""
    files = sorted((folder or SHARED_DATA / "days").glob("*.csv"))
    return [load_day(str(source)) for source in files or BUILT_IN_DAYS]
