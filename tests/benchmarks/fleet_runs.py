"""What became of the cycles of a fleet, as the databases of Prefect and of the history tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

import psycopg
from sqlalchemy import DateTime, create_engine, text
from sqlalchemy.engine import Row

_RUNS = """
SELECT run.expected_start_time, run.start_time, run.end_time, run.state_name
FROM flow_run run JOIN deployment ON deployment.id = run.deployment_id
WHERE deployment.name LIKE 'Balance %' AND run.expected_start_time >= :start
AND run.expected_start_time < :end
"""
_CYCLES = """
SELECT outcome, run_id FROM cycles WHERE scheduled_at >= :start AND scheduled_at < :end
AND site LIKE 'house-%'
"""
_HISTORY = """
SELECT site, scheduled_at, outcome FROM cycles WHERE scheduled_at >= %s AND scheduled_at < %s
ORDER BY site, scheduled_at
"""
_GOOD = ("Completed", "Attention", "Asleep")


@dataclass(slots=True)
class Cycles:
    """How many were done, and when."""

    done: int = 0
    """Recorded in the history as good, each once."""
    without_prefect: int = 0
    """Those of them that the worker ran by itself."""
    failed: int = 0
    superseded: int = 0
    late_s: list[float] = field(default_factory=list)
    """When the good runs of Prefect began, after they were due."""
    wall_s: list[float] = field(default_factory=list)

    def late(self, part: float) -> float:
        """That quantile of the delays, in s."""
        return _quantile(self.late_s, part)

    def wall(self, part: float) -> float:
        """That quantile of the durations, in s."""
        return _quantile(self.wall_s, part)


def cycles_between(prefect_url: str, history_url: str, start: datetime, end: datetime) -> Cycles:
    """The cycles that were due between those moments."""
    found = Cycles()
    for outcome, run_id in _rows(history_url, _CYCLES, start, end):
        found.done += outcome != "failed"
        found.failed += outcome == "failed"
        found.without_prefect += run_id == "without Prefect"
    for due, began, ended, state in _rows(prefect_url, _RUNS, start, end):
        found.superseded += state == "Superseded"
        if state in _GOOD and began is not None and ended is not None:
            found.late_s.append((began - due).total_seconds())
            found.wall_s.append((ended - began).total_seconds())
    return found


def history_between(url: str, start: datetime, end: datetime) -> list[tuple[str, datetime, str]]:
    """Site, due time and outcome of the cycles in the history that were due between."""
    with psycopg.connect(url) as connection:
        return connection.execute(_HISTORY, [start, end]).fetchall()


def longest_gap_s(
    cycles: Iterable[tuple[str, datetime, str]], start: datetime, end: datetime
) -> float:
    """The longest time that a site was without a cycle."""
    by_site: dict[str, list[datetime]] = {}
    for site, scheduled_at, _ in cycles:
        by_site.setdefault(site, []).append(scheduled_at)
    return max(
        (
            (later - earlier).total_seconds()
            for times in by_site.values()
            for earlier, later in pairwise([start, *times, end])
        ),
        default=0.0,
    )


def _rows(url: str, query: str, start: datetime, end: datetime) -> Sequence[Row[Any]]:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    times = {name: DateTime() for name in ("expected_start_time", "start_time", "end_time")}
    sqlite = engine.dialect.name == "sqlite"
    limits = {
        "start": start.replace(tzinfo=None) if sqlite else start,
        "end": end.replace(tzinfo=None) if sqlite else end,
    }
    statement = text(query).columns(**times) if query is _RUNS else text(query)
    with engine.connect() as connection:
        rows = connection.execute(statement, limits).all()
    engine.dispose()
    return rows


def _quantile(values: list[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[round(part * (len(ordered) - 1))] if ordered else float("nan")
