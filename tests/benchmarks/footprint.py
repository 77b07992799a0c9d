"""What a home server has to spare for the balancer, each minute: CPU, memory, writing, requests.

Each row is a whole `easee-balancer up` with a simulated house without battery, an interval and a
database of its own: `make benchmark-footprint [MINUTES=1]`. They start one after the other and are
measured together, as CPU times and counts hardly depend on what else the machine does. With
MINUTES=60, the writing includes what SQLite copies from its log to the database now and then, and
growth of memory shows. RSS counts what processes share in each of them, PSS divides it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from easee_load_balancer.commands.demo import DEMO_DAY, demo_site
from easee_load_balancer.orchestration.stack_environment import api_url
from easee_load_balancer.system.processes import HOST, Child, free_port
from tests.benchmarks.cycle import reschedule
from tests.benchmarks.tables import as_head, as_row
from tests.benchmarks.usage import cpu_s, sqlite_bytes
from tests.support.local_server import NotInstalled
from tests.support.paths import PROJECT
from tests.support.postgres import for_prefect, running_postgres

_WARM_UP_S = 60.0
_START_S = 240.0
HEAD = [
    *("interval", "database", "minutes", "CPU s/min: server / worker / up", "RSS MB", "PSS MB"),
    *("growth MB", "written MB/min", "database kB/min", "inverter requests/min"),
    "cloud calls/min",
]


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


@dataclass(frozen=True, slots=True)
class Process:
    """What one process has used up to a moment, and its memory at that moment."""

    cpu_s: float
    rss_mb: float
    pss_mb: float
    written_mb: float

    @classmethod
    def now(cls, process: psutil.Process) -> Process:
        """As `/proc` says; pages that Linux wrote once count once."""
        memory = process.memory_full_info()
        return cls(
            cpu_s(process),
            memory.rss / 2**20,
            memory.pss / 2**20,
            int(process.io_counters().write_bytes) / 1e6,
        )


@dataclass(frozen=True, slots=True)
class Used:
    """What the product has used up to a moment."""

    at_s: float
    processes: tuple[Process, ...]
    """Server, worker and `up`."""
    database_kb: float
    inverter_requests: float
    cloud_calls: float


@dataclass(frozen=True, slots=True)
class Running:
    """A product at work."""

    name: str
    up: psutil.Process
    house_url: str
    database_bytes: Callable[[], int]

    def used(self) -> Used:
        """What has been used until now."""
        named = {one.name(): one for one in self.up.children()}
        house = httpx.get(f"{self.house_url}/admin/house", timeout=10).raise_for_status().json()
        return Used(
            time.monotonic(),
            tuple(map(Process.now, (named["server"], named["worker"], self.up))),
            self.database_bytes() / 1024,
            house["inverter"]["requests"],
            sum(house["api"]["calls"].values()),
        )

    def cells(self, before: Used, after: Used) -> list[str]:
        """A row of the table."""
        kind, minutes = KINDS[self.name], (after.at_s - before.at_s) / 60
        both = list(zip(before.processes, after.processes, strict=True))
        return [
            f"{kind.interval_s} s",
            "PostgreSQL" if kind.postgres else "SQLite",
            f"{minutes:.1f}",
            " / ".join(f"{(new.cpu_s - old.cpu_s) / minutes:.2f}" for old, new in both),
            " / ".join(f"{new.rss_mb:.0f}" for _, new in both),
            " / ".join(f"{new.pss_mb:.0f}" for _, new in both),
            " / ".join(f"{new.pss_mb - old.pss_mb:+.1f}" for old, new in both),
            " / ".join(f"{(new.written_mb - old.written_mb) / minutes:.2f}" for old, new in both),
            f"{(after.database_kb - before.database_kb) / minutes:.0f}",
            f"{(after.inverter_requests - before.inverter_requests) / minutes:.0f}",
            f"{(after.cloud_calls - before.cloud_calls) / minutes:.0f}",
        ]


@contextmanager
def running(name: str) -> Iterator[Running]:
    """A product with that interval and database, which has a house."""
    kind, port = KINDS[name], free_port()
    with ExitStack() as exit_stack:
        folder = Path(exit_stack.enter_context(tempfile.TemporaryDirectory()))
        env = os.environ | {"EASEE_BALANCER_DATA_FOLDER": str(folder)}
        file = folder / "prefect" / "prefect.db"
        database_bytes: Callable[[], int] = lambda: sqlite_bytes(file)[1]  # noqa: E731
        if kind.postgres:
            postgres = exit_stack.enter_context(running_postgres())
            database_bytes = postgres.database_bytes
            env["PREFECT_API_DATABASE_CONNECTION_URL"] = for_prefect(postgres.url)
        up = exit_stack.enter_context(_up(folder, port, env))
        settings = temporary_settings({PREFECT_API_URL: api_url(port)})
        exit_stack.enter_context(settings)
        _wait_until_deployed()
        modbus_port, api_port = free_port(), free_port()
        ports = ("--modbus-port", str(modbus_port), "--api-port", str(api_port))
        simulate = ("easee_load_balancer.cli", "simulate", *ports, "--no-battery", *DEMO_DAY)
        house = Child("house", simulate, env, PROJECT, folder / "house.log")
        exit_stack.callback(house.end)
        house_url = f"http://{HOST}:{api_port}"
        asyncio.run(demo_site(house_url, modbus_port).save())
        asyncio.run(reschedule(kind.interval_s))
        yield Running(name, up, house_url, database_bytes)


@contextmanager
def _up(folder: Path, port: int, env: dict[str, str]) -> Iterator[psutil.Process]:
    """`easee-balancer up`, with its output in `up.log`."""
    command = [sys.executable, "-m", "easee_load_balancer.cli", "up", "--port", str(port)]
    with (folder / "up.log").open("ab") as log:
        started = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield psutil.Process(started.pid)
    finally:
        started.terminate()
        started.wait()


def _wait_until_deployed() -> None:
    deadline = time.monotonic() + _START_S
    with get_client(sync_client=True) as client:
        while True:
            try:
                if any("cycle" in one.tags for one in client.read_deployments()):
                    return
            except httpx.HTTPError:
                pass
            if time.monotonic() > deadline:
                raise TimeoutError("`up` has deployed nothing.")
            time.sleep(1)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    given: Any = parser.parse_args()
    os.chdir(PROJECT)
    print(as_head(HEAD), flush=True)
    with ExitStack() as exit_stack:
        rows: list[Running] = []
        for name in given.kinds:
            try:
                rows.append(exit_stack.enter_context(running(name)))
            except NotInstalled as reason:
                print(f"{name} is left out: {reason}", flush=True)
        time.sleep(_WARM_UP_S)
        before = [one.used() for one in rows]
        time.sleep(given.minutes * 60)
        for one, then in zip(rows, before, strict=True):
            print(as_row(one.cells(then, one.used())), flush=True)


if __name__ == "__main__":
    main()
