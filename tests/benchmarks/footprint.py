"""What a home server has to spare for the balancer, each minute: CPU, memory, writing, requests.

Each row is a whole product (server, worker, simulated house without battery) with an interval and a
database of its own, one after the other: `make benchmark-footprint [MINUTES=1]`. CPU times and
counts hardly depend on what else the machine does. With MINUTES=60, the writing includes what
SQLite copies from its log to the database now and then, and growth of memory shows.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import httpx
import psutil
from prefect.settings import PREFECT_API_URL, temporary_settings

from easee_load_balancer.commands.demo import DEMO_DAY, start_house
from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from tests.benchmarks.cycle import cpu_s, memory_kb, reschedule, row, sqlite_bytes
from tests.support.paths import PROJECT
from tests.support.postgres import NotInstalled, Postgres, running_postgres

_WARM_UP_S = 60.0
HEAD = [
    *("interval", "database", "minutes", "CPU s/min server", "worker", "RSS MB server", "worker"),
    *("growth MB server", "worker", "written MB/min server", "worker"),
    *("database kB/min", "inverter requests/min", "cloud calls/min"),
]


@dataclass(frozen=True, slots=True)
class Used:
    """What has been used up to a moment, and the memory at that moment."""

    at_s: float
    server_cpu_s: float
    worker_cpu_s: float
    server_mb: float
    worker_mb: float
    server_written_mb: float
    worker_written_mb: float
    database_kb: float
    inverter_requests: float
    cloud_calls: float

    def __sub__(self, before: Used) -> Used:
        mine = {
            one.name: getattr(self, one.name) - getattr(before, one.name) for one in fields(self)
        }
        return Used(**mine)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a row measures."""

    interval_s: int
    postgres: bool = False


KINDS = {
    "30": Kind(30),
    "10": Kind(10),
    "30-postgres": Kind(30, postgres=True),
    "10-postgres": Kind(10, postgres=True),
}


def written_mb(process: psutil.Process) -> float:
    """What a process has given to the disks, in MB; pages that Linux merged count once."""
    return int(process.io_counters().write_bytes) / 1e6


def used(stack: PrefectStack, house_url: str, database_bytes: Callable[[], int]) -> Used:
    """What the product has used until now."""
    assert stack.server is not None
    assert stack.worker is not None
    server, worker = psutil.Process(stack.server.pid), psutil.Process(stack.worker.pid)
    house = httpx.get(f"{house_url}/admin/house", timeout=10).raise_for_status().json()
    return Used(
        at_s=time.monotonic(),
        server_cpu_s=cpu_s(server),
        worker_cpu_s=cpu_s(worker),
        server_mb=memory_kb(server) / 1024,
        worker_mb=memory_kb(worker) / 1024,
        server_written_mb=written_mb(server),
        worker_written_mb=written_mb(worker),
        database_kb=database_bytes() / 1024,
        inverter_requests=house["inverter"]["requests"],
        cloud_calls=sum(house["api"]["calls"].values()),
    )


def cells(name: str, before: Used, after: Used) -> list[str]:
    """A row of the table."""
    spent, kind = after - before, KINDS[name]
    minutes = spent.at_s / 60
    return [
        f"{kind.interval_s} s",
        "PostgreSQL" if kind.postgres else "SQLite",
        f"{minutes:.1f}",
        f"{spent.server_cpu_s / minutes:.2f}",
        f"{spent.worker_cpu_s / minutes:.2f}",
        f"{after.server_mb:.0f}",
        f"{after.worker_mb:.0f}",
        f"{spent.server_mb:+.1f}",
        f"{spent.worker_mb:+.1f}",
        f"{spent.server_written_mb / minutes:.2f}",
        f"{spent.worker_written_mb / minutes:.2f}",
        f"{spent.database_kb / minutes:.0f}",
        f"{spent.inverter_requests / minutes:.0f}",
        f"{spent.cloud_calls / minutes:.0f}",
    ]


def measure(folder: Path, name: str, minutes: float) -> list[str]:
    """One row: everything is started, at work for a minute, and then measured."""
    kind, stack = KINDS[name], PrefectStack(folder, PROJECT)
    with ExitStack() as exit_stack:
        file = folder / "prefect" / "prefect.db"
        database_bytes: Callable[[], int] = lambda: sqlite_bytes(file)[1]  # noqa: E731
        if kind.postgres:
            postgres: Postgres = exit_stack.enter_context(running_postgres())
            database_bytes = postgres.database_bytes
            stack.env["PREFECT_API_DATABASE_CONNECTION_URL"] = postgres.url.replace(
                "postgresql://", "postgresql+asyncpg://"
            )
        exit_stack.enter_context(stack)
        exit_stack.enter_context(temporary_settings({PREFECT_API_URL: stack.api_url}))
        _, house_url = start_house(stack, "--no-battery", *DEMO_DAY)
        stack.deploy()
        asyncio.run(reschedule(kind.interval_s))
        stack.start_worker()
        time.sleep(_WARM_UP_S)
        before = used(stack, house_url, database_bytes)
        time.sleep(minutes * 60)
        return cells(name, before, used(stack, house_url, database_bytes))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    given: Any = parser.parse_args()
    os.chdir(PROJECT)
    print(row(HEAD), row(["---"] * len(HEAD)), sep="\n", flush=True)
    for name in given.kinds:
        with tempfile.TemporaryDirectory() as folder:
            try:
                print(row(measure(Path(folder), name, given.minutes)), flush=True)
            except NotInstalled as reason:
                print(f"{name} is left out: {reason}", flush=True)


if __name__ == "__main__":
    main()
