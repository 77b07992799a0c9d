"""What stays in Prefect's database after 20,000 cycles and 400 daily summaries.

`make benchmark-retention`: some real cycles and a real summary leave their rows in the database of
a real server. A day is then made by moving everything a day back and by copying those rows until
the day is full; then the product's own housekeeping runs. Nothing is deleted by the benchmark.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import matplotlib.pyplot as plt
from prefect import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments.flow_runs import arun_deployment
from prefect.settings import PREFECT_API_URL, temporary_settings

from easee_load_balancer.commands.demo import start_house
from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from easee_load_balancer.orchestration.worker.run_states import CYCLE_TAG
from tests.benchmarks.cycle import at_work, ended_cycles, reschedule
from tests.benchmarks.tables import as_head, as_row
from tests.benchmarks.usage import sqlite_bytes
from tests.support.paths import PROJECT

_TEMPLATES = 30
_CYCLES_A_DAY = 2880
_SUMMARIES = 400
_DAY = timedelta(days=1)
_TIME = "%Y-%m-%d %H:%M:%S.%f"
# Which rows belong to a flow run, and by which columns they name each other.
_OF_A_RUN = {
    "flow_run": "id IN (SELECT id FROM picked)",
    "flow_run_state": "flow_run_id IN (SELECT id FROM picked)",
    "task_run": "flow_run_id IN (SELECT id FROM picked)",
    "task_run_state": (
        "task_run_id IN (SELECT id FROM task_run WHERE flow_run_id IN (SELECT id FROM picked))"
    ),
    "log": "flow_run_id IN (SELECT id FROM picked)",
    "artifact": "flow_run_id IN (SELECT id FROM picked)",
}


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table."""

    table: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Size:
    """Of a database, in bytes."""

    file: int
    used: int


class Database:
    """Prefect's SQLite file, in which time can be made to pass."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def connect(self) -> sqlite3.Connection:
        """A connection that waits while the server writes."""
        connection = sqlite3.connect(self.path, timeout=120)
        connection.create_function("shifted", 2, _shifted, deterministic=True)
        return connection

    def of_runs(self, runs: Iterable[UUID]) -> list[Rows]:
        """Everything the database holds of these flow runs."""
        with closing(self.connect()) as connection:
            connection.execute("CREATE TEMP TABLE picked (id TEXT PRIMARY KEY)")
            connection.executemany("INSERT INTO picked VALUES (?)", [(str(run),) for run in runs])
            found = []
            for table, condition in _OF_A_RUN.items():
                cursor = connection.execute(f"SELECT * FROM {table} WHERE {condition}")
                columns = tuple(one[0] for one in cursor.description)
                found.append(Rows(table, columns, cursor.fetchall()))
            return found

    def pass_a_day(self) -> None:
        """Move every time of every run, log, artifact and event a day back."""
        with closing(self.connect()) as connection, connection:
            for table in _OF_A_RUN:
                changes = ", ".join(
                    f"{name} = shifted({name}, {-_DAY.total_seconds()})"
                    for name in self._times(connection, table)
                )
                connection.execute(f"UPDATE {table} SET {changes}")

    def add_copies(self, template: list[Rows], offsets: Iterable[timedelta]) -> None:
        """Copy the rows once for each offset, under ids of their own, moved by it."""
        with closing(self.connect()) as connection, connection:
            times = {rows.table: set(self._times(connection, rows.table)) for rows in template}
            for offset in offsets:
                ids = _NewIds()
                for rows in template:
                    marks = ", ".join("?" * len(rows.columns))
                    connection.executemany(
                        f"INSERT INTO {rows.table} VALUES ({marks})",
                        _copies(rows, ids, times[rows.table], offset.total_seconds()),
                    )

    def size(self) -> Size:
        """Of the file, and of what is in use in it."""
        return Size(*sqlite_bytes(self.path))

    def count(self, question: str) -> int:
        """The number that a SELECT gives."""
        with closing(self.connect()) as connection:
            return int(connection.execute(question).fetchone()[0])

    @staticmethod
    def _times(connection: sqlite3.Connection, table: str) -> list[str]:
        columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
        return [one[1] for one in columns if one[2] == "DATETIME" and one[1] != "total_run_time"]


class _NewIds(dict[str, str]):
    """A new id for each old one, the same in all tables."""

    def __missing__(self, old: str) -> str:
        new = self[old] = str(uuid4())
        return new


def _shifted(at: str | None, seconds: float) -> str | None:
    if at is None:
        return None
    return (datetime.fromisoformat(at) + timedelta(seconds=seconds)).strftime(_TIME)


_NAMES_OF_ITS_OWN = {"id", "event_id", "flow_run_id", "task_run_id", "state_id", "run_id"}


def _copies(
    rows: Rows, ids: Mapping[str, str], times: set[str], seconds: float
) -> Iterator[tuple[Any, ...]]:
    def value(column: str, old: Any) -> Any:
        if old is None:
            return None
        if column in _NAMES_OF_ITS_OWN:
            return ids[old]
        if column in times:
            return _shifted(old, seconds)
        if column == "idempotency_key":
            return str(uuid4())
        return old

    for one in rows.rows:
        yield tuple(value(column, old) for column, old in zip(rows.columns, one, strict=True))


async def unschedule() -> None:
    """Take every deployment off its schedule: in this benchmark time passes otherwise."""
    async with get_client() as client:
        for deployment in await client.read_deployments():
            for schedule in deployment.schedules:
                await client.update_deployment_schedule(
                    deployment.id, schedule.id, active=False, schedule=schedule.schedule
                )


async def record_templates() -> tuple[list[UUID], UUID]:
    """Let real cycles run, and a real summary of them; their flow runs."""
    start = datetime.now(UTC)
    await reschedule(5)
    cycles: list[FlowRun] = []
    while len(cycles) < _TEMPLATES:
        await asyncio.sleep(2)
        cycles = [run for run in await ended_cycles(start) if CYCLE_TAG in run.tags]
    await unschedule()
    summary = await run_to_end("daily_summary/Daily summary", site="home", day=str(start.date()))
    return [run.id for run in cycles[:_TEMPLATES]], summary.id


async def run_to_end(deployment: str, **parameters: str) -> FlowRun:
    """An ad-hoc run of a deployment, which must complete."""
    run = await arun_deployment(deployment, parameters=parameters, timeout=900)
    if run.state is None or not run.state.is_completed():
        raise RuntimeError(f"{deployment} ended as {run.state}")
    return run


def fill_days(database: Database, days: int) -> list[Size]:
    """The database's size at the end of each day, with everything at work."""
    cycles, summary = asyncio.run(record_templates())
    templates = [database.of_runs([cycle]) for cycle in cycles]
    database.add_copies(database.of_runs([summary]), (-_DAY * n for n in range(1, _SUMMARIES)))
    began = datetime.now(UTC)
    print(as_head(HEAD), flush=True)
    sizes: list[Size] = []
    for day in range(1, days + 1):
        database.pass_a_day()
        each = _DAY / _CYCLES_A_DAY
        late = datetime.now(UTC) - began
        for number, template in enumerate(templates):
            moments = range(number, _CYCLES_A_DAY, len(templates))
            database.add_copies(template, (late - each * moment for moment in moments))
        full = database.size()
        start_s = time.monotonic()
        asyncio.run(run_to_end("housekeeping/server"))
        sizes.append(database.size())
        cells = (
            str(day),
            str(day * _CYCLES_A_DAY),
            str(database.count("SELECT count(*) FROM flow_run WHERE tags LIKE '%cycle%'")),
            str(database.count("SELECT count(*) FROM artifact")),
            *(f"{size / 1e6:.0f}" for size in (full.used, sizes[-1].used, sizes[-1].file)),
            f"{time.monotonic() - start_s:.0f}",
        )
        print(as_row(cells), flush=True)
    return sizes


HEAD = [
    *("day", "cycles so far", "cycles kept", "summaries kept"),
    *("MB before", "MB in use", "MB of the file", "housekeeping s"),
]


def draw(sizes: list[Size], picture: Path) -> None:
    """Plot the sizes."""
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    cycles = [_CYCLES_A_DAY * day for day in range(1, len(sizes) + 1)]
    axes.plot(cycles, [size.file / 1e6 for size in sizes], "o-", label="file")
    axes.plot(cycles, [size.used / 1e6 for size in sizes], "o-", label="in use")
    axes.set(xlabel="cycles so far", ylabel="MB", ylim=(0, None))
    axes.legend()
    picture.parent.mkdir(exist_ok=True)
    figure.savefig(picture)


def main() -> None:
    """Measure, print the table and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--picture", type=Path, default=PROJECT / "build" / "retention.png")
    given: Any = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        PrefectStack(Path(name), PROJECT) as stack,
        temporary_settings({PREFECT_API_URL: stack.api_url}),
    ):
        start_house(stack)
        with at_work(stack, "in-process"):
            database = Database(stack.folder / "prefect" / "prefect.db")
            draw(fill_days(database, given.days), given.picture)


if __name__ == "__main__":
    main()
