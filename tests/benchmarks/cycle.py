"""What a cycle costs: in a process pool, in the in-process pool, and without Prefect.

The same flow against the same house, one after the other, at the same interval:
`make benchmark-cycle [CYCLES=100] [INTERVAL=10]`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
from prefect import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.settings import PREFECT_API_URL, temporary_settings

from easee_load_balancer.commands.demo import start_house
from easee_load_balancer.devices.connections import CONNECTIONS
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.orchestration.prefect_stack import PoolType, PrefectStack
from easee_load_balancer.orchestration.worker.offline import offline
from easee_load_balancer.orchestration.worker.run_states import in_states
from easee_load_balancer.system.processes import Child
from tests.benchmarks.tables import as_head, as_row
from tests.benchmarks.usage import cpu_s, memory_kb, memory_kb_of_all, sqlite_bytes
from tests.support.paths import PROJECT
from tests.support.postgres import for_prefect, running_postgres

_WARM_UP = 3
_PACE_S = 1.1
"""The cloud takes 60 calls a minute."""


@dataclass(frozen=True, slots=True)
class Used:
    """What processes and the house have used up to a moment."""

    worker_cpu_s: float
    server_cpu_s: float
    worker_rss_kb: int
    database: int
    connections: int
    logins: int


@dataclass(frozen=True, slots=True)
class Result:
    """One row of the table."""

    name: str
    cycles: int
    before: Used
    after: Used
    wall_s: list[float]
    late_s: list[float]
    peak_kb: int

    def cells(self) -> list[str]:
        """The row, as text."""
        before, after, n = self.before, self.after, self.cycles
        if not n:
            return [self.name, "0", *["-"] * (len(HEAD) - 2)]
        late = sorted(self.late_s) or [float("nan")]
        return [
            self.name,
            str(n),
            f"{(after.worker_cpu_s - before.worker_cpu_s) / n:.3f}",
            f"{(after.server_cpu_s - before.server_cpu_s) / n:.3f}",
            f"{statistics.median(self.wall_s):.2f}",
            f"{statistics.median(late):.2f} / {late[int(0.95 * (len(late) - 1))]:.2f}",
            f"{self.peak_kb / 1024:.0f}",
            f"{(after.worker_rss_kb - before.worker_rss_kb) / 1024:+.1f}",
            f"{(after.database - before.database) / n / 1024:.0f}",
            f"{(after.connections - before.connections) * 100 / n:.0f}",
            f"{(after.logins - before.logins) * 100 / n:.0f}",
        ]


HEAD = [
    *("steps run by", "cycles", "worker CPU s", "server CPU s", "wall s", "late s (median / 95 %)"),
    *("peak MB", "growth MB", "database kB", "connections / 100", "logins / 100"),
]


@dataclass(slots=True)
class Bench:
    """The house, and where things are."""

    house_url: str
    interval_s: int
    database_bytes: Callable[[], int]

    def used(self, worker: int, server: int | None = None) -> Used:
        """What has been used until now."""
        process = psutil.Process(worker)
        truth = httpx.get(f"{self.house_url}/admin/house", timeout=10).json()
        return Used(
            worker_cpu_s=cpu_s(process),
            server_cpu_s=cpu_s(psutil.Process(server)) if server else 0.0,
            worker_rss_kb=memory_kb(process),
            database=self.database_bytes(),
            connections=truth["inverter"]["connections"],
            logins=truth["api"]["logins"],
        )


async def without_prefect(bench: Bench, cycles: int) -> Result:
    """The flow's function with its steps, called in this process."""
    from balance import balance

    site = await Site.load(Site.DEFAULT)  # offline cycles use the blocks loaded last
    walls: list[float] = []
    pid = os.getpid()
    async with CONNECTIONS.held():
        for number in range(_WARM_UP + cycles):
            if number == _WARM_UP:
                before = await asyncio.to_thread(bench.used, pid)
            began_s = time.monotonic()
            with offline(datetime.now(UTC)):
                await balance.fn(site.name)
            walls.append(time.monotonic() - began_s)
            await asyncio.sleep(max(0.0, _PACE_S - walls[-1]))
        after = await asyncio.to_thread(bench.used, pid)
    walls = walls[_WARM_UP:]
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Result("nobody", cycles, before, after, walls, [], peak_kb)


async def ended_cycles(since: datetime) -> list[FlowRun]:
    """Completed cycles that were due after then."""
    async with get_client() as client:
        runs: list[FlowRun] = []
        while True:
            page = await client.read_flow_runs(
                flow_run_filter=in_states(StateType.COMPLETED), limit=200, offset=len(runs)
            )
            runs += page
            if len(page) < 200:
                break
    return [run for run in runs if run.expected_start_time and run.expected_start_time > since]


async def reschedule(interval_s: int) -> None:
    """Give the cycle's deployment another interval."""
    tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=["cycle"]))
    async with get_client() as client:
        [deployment] = await client.read_deployments(deployment_filter=tagged)
        [schedule] = deployment.schedules
        interval = IntervalSchedule(
            interval=timedelta(seconds=interval_s), anchor_date=datetime(2026, 1, 1, tzinfo=UTC)
        )
        await client.update_deployment_schedule(deployment.id, schedule.id, schedule=interval)


async def in_pool(
    bench: Bench, stack: PrefectStack, worker: Child, name: str, cycles: int
) -> Result:
    """Scheduled cycles by a worker."""
    assert stack.server is not None
    await reschedule(bench.interval_s)
    start = datetime.now(UTC)
    while True:
        await asyncio.sleep(1)
        if len(await ended_cycles(start)) >= _WARM_UP:
            break
    start = datetime.now(UTC)
    before = await asyncio.to_thread(bench.used, worker.pid, stack.server.pid)
    deadline = time.monotonic() + cycles * bench.interval_s
    peak = 0
    while time.monotonic() < deadline:
        await asyncio.sleep(1)
        peak = max(peak, memory_kb_of_all(psutil.Process(worker.pid)))
    after = await asyncio.to_thread(bench.used, worker.pid, stack.server.pid)
    runs = await ended_cycles(start)
    return Result(
        name,
        len(runs),
        before,
        after,
        [run.total_run_time.total_seconds() for run in runs],
        [
            (run.start_time - run.expected_start_time).total_seconds()
            for run in runs
            if run.start_time and run.expected_start_time
        ],
        peak,
    )


@contextmanager
def at_work(stack: PrefectStack, pool_type: PoolType) -> Iterator[Child]:
    """A worker of that type, at work."""
    stack.deploy(pool_type=pool_type)
    worker = stack.start_worker(pool_type=pool_type)
    try:
        yield worker
    finally:
        worker.end()


@dataclass(frozen=True, slots=True)
class Kind:
    """What a row of the table measures."""

    pool: PoolType | None
    """None: the steps are called without Prefect."""
    share: int = 1
    """Measures one cycle in this many; one in a process of its own takes long."""
    postgres: bool = False


KINDS = {
    "process": Kind("process", share=5),
    "in-process": Kind("in-process"),
    "in-process, PostgreSQL": Kind("in-process", share=5, postgres=True),
    "nobody": Kind(None),
}


def measure(folder: Path, name: str, cycles: int, interval_s: int) -> Result:
    """One row."""
    kind = KINDS[name]
    stack = PrefectStack(folder, PROJECT)
    with ExitStack() as exit_stack:
        if kind.postgres:
            postgres = exit_stack.enter_context(running_postgres())
            stack.env["PREFECT_API_DATABASE_CONNECTION_URL"] = for_prefect(postgres.url)
            database_bytes = postgres.database_bytes
        else:
            file = folder / "prefect" / "prefect.db"
            database_bytes = lambda: sqlite_bytes(file)[1]  # noqa: E731
        exit_stack.enter_context(stack)
        os.environ["EASEE_BALANCER_DATA_FOLDER"] = str(stack.data_folder)
        exit_stack.enter_context(temporary_settings({PREFECT_API_URL: stack.api_url}))
        _, house_url = start_house(stack)
        bench = Bench(house_url, interval_s, database_bytes)
        if kind.pool is None:
            return asyncio.run(without_prefect(bench, cycles))
        worker = exit_stack.enter_context(at_work(stack, kind.pool))
        count = max(10, cycles // kind.share)
        return asyncio.run(in_pool(bench, stack, worker, name, count))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=100)
    parser.add_argument("--interval", type=int, default=10, help="in s")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    given: Any = parser.parse_args()
    sys.path[:0] = [str(PROJECT), str(PROJECT / "flows")]
    print(as_head(HEAD), flush=True)
    for name in given.kinds:
        with tempfile.TemporaryDirectory() as folder:
            result = measure(Path(folder), name, given.cycles, given.interval)
        print(as_row(result.cells()), flush=True)


if __name__ == "__main__":
    main()
