"""How many homes one server, one database and one or more workers can serve.

`make benchmark-fleet [SITES=200] [INTERVAL=30] [WORKERS=1] [MINUTES=5] [DATABASE=postgresql]`
measures one row: a Prefect server and workers as in operation, on a database of their own, and N
simulated houses in one further process, each with a Modbus port and a cloud account.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from easee_load_balancer.commands.demo import demo_site
from easee_load_balancer.orchestration.blocks import BLOCKS
from easee_load_balancer.orchestration.groups import join_group
from easee_load_balancer.orchestration.prefect_stack import POOL, PrefectStack
from easee_load_balancer.orchestration.sites import (
    HOUSEKEEPING,
    all_deployments,
    deploy_sites,
    pause_home,
)
from easee_load_balancer.system.processes import Child
from tests.benchmarks.cycle import reschedule
from tests.benchmarks.fleet_houses import account, house_name
from tests.benchmarks.fleet_runs import Cycles, cycles_between
from tests.benchmarks.tables import as_head, as_row
from tests.benchmarks.usage import cpu_s_of_all, memory_kb_of_all, postmaster, sqlite_bytes
from tests.support.paths import PROJECT
from tests.support.postgres import for_prefect, running_postgres

_SAVED_AT_ONCE = 8
HEAD = [
    *(
        "sites",
        "in a run",
        "workers",
        "database",
        "interval",
        "minutes",
        "due",
        "done",
        "without Prefect",
    ),
    *("superseded", "failed", "start late s: median / 95 % / worst", "wall s: median / 95 %"),
    *("CPU s/cycle: workers / server / database", "CPU, % of a core: w / s / d / houses"),
    *("RSS MB: worker / server", "kB/cycle: Prefect / history"),
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a row measures."""

    sites: int
    interval_s: int
    workers: int
    minutes: float
    warm_up_s: float
    sqlite: bool
    group: int
    """How many sites share a run; 1: each has its own."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The two databases."""

    prefect_url: str
    history_url: str
    bytes: Callable[[], tuple[int, int]]
    process: psutil.Process | None
    """PostgreSQL's."""


@dataclass(frozen=True, slots=True)
class Used:
    """What has been used up to a moment: CPU time in s, and bytes in the databases."""

    at: datetime
    workers_s: float
    server_s: float
    database_s: float
    houses_s: float
    stored: tuple[int, int]


@contextmanager
def stores(wanted: Wanted, folder: Path) -> Iterator[Stores]:
    """Databases for Prefect and the history."""
    if wanted.sqlite:
        files = folder / "prefect" / "prefect.db", folder / "data-1" / "history.db"
        prefect_url, history_url = (f"sqlite:///{file}" for file in files)
        sizes = lambda: (sqlite_bytes(files[0])[1], sqlite_bytes(files[1])[1])  # noqa: E731
        yield Stores(prefect_url, history_url, sizes, None)
        return
    with running_postgres() as postgres:
        history = postgres.another("history")
        yield Stores(
            postgres.url,
            history.url,
            lambda: (postgres.database_bytes(), history.database_bytes()),
            postmaster(postgres.url),
        )


class Fleet:
    """Houses, server and workers at work."""

    def __init__(self, wanted: Wanted, folder: Path, stores: Stores, stack: PrefectStack) -> None:
        self._wanted, self._folder, self._stores, self._stack = wanted, folder, stores, stack
        self._houses: Child | None = None
        self.workers: list[Child] = []

    def begin(self) -> None:
        """Start the houses, save their blocks, deploy them and start the workers."""
        ports = self._folder / "ports.json"
        houses = ("tests.benchmarks.fleet_houses", str(self._wanted.sites), str(ports))
        self._houses = self._stack.start("houses", *houses)
        found = houses_of(self._houses, ports)
        deploy_houses(found, self._stack.deploy, self._wanted.interval_s, only_cycles=True)
        names = list(found)
        if (size := self._wanted.group) > 1:
            with get_client(sync_client=True) as client:
                for start in range(0, len(names), size):
                    join_group(client, names[start : start + size], f"g{start // size}")
        for number in range(1, self._wanted.workers + 1):
            self._start_worker(number)

    def _start_worker(self, number: int) -> None:
        folder = self._folder / f"data-{number}"
        folder.mkdir(mode=0o700, exist_ok=True)
        env = self._stack.env | {"EASEE_BALANCER_DATA_FOLDER": str(folder)}
        if not self._wanted.sqlite:
            env["EASEE_BALANCER_HISTORY_URL"] = self._stores.history_url
            env["EASEE_BALANCER_SHARED_POOL"] = str(self._wanted.workers > 1).lower()
        start = ("prefect", "worker", "start", "--pool", POOL, "--type", "in-process")
        log = self._folder / f"worker-{number}.log"
        self.workers.append(Child(f"worker {number}", start, env, PROJECT, log))

    def used(self) -> Used:
        """What has been used until now."""
        server, houses = self._stack.server, self._houses
        assert server is not None
        assert houses is not None
        return Used(
            datetime.now(UTC),
            sum(cpu_s_of_all(psutil.Process(one.pid)) for one in self.workers),
            cpu_s_of_all(psutil.Process(server.pid)),
            cpu_s_of_all(self._stores.process) if self._stores.process else 0.0,
            cpu_s_of_all(psutil.Process(houses.pid)),
            self._stores.bytes(),
        )

    def memory_mb(self) -> str:
        """Of the largest worker and of the server."""
        assert self._stack.server is not None
        largest = max(map(_memory_mb, self.workers))
        return f"{largest:.0f} / {_memory_mb(self._stack.server):.0f}"

    def measure(self) -> list[str]:
        """A row of the table, after a warm-up."""
        wanted = self._wanted
        time.sleep(wanted.warm_up_s)
        before = self.used()
        time.sleep(60 * wanted.minutes)
        after = self.used()
        memory = self.memory_mb()
        time.sleep(wanted.interval_s + 35)  # task runs are written every 20 s, cycles may be slow
        cycles = cycles_between(
            self._stores.prefect_url, self._stores.history_url, before.at, after.at
        )
        return _cells(wanted, before, after, memory, cycles)

    def end(self) -> None:
        """End the workers; the rest ends with the stack."""
        for one in self.workers:
            one.end()


def _cells(wanted: Wanted, before: Used, after: Used, memory: str, cycles: Cycles) -> list[str]:
    span_s = (after.at - before.at) / timedelta(seconds=1)
    due = wanted.sites * span_s / wanted.interval_s
    used_s = [
        getattr(after, name) - getattr(before, name)
        for name in ("workers_s", "server_s", "database_s", "houses_s")
    ]
    done = max(1, cycles.done)
    stored = [
        (new - old) / done / 1024 for old, new in zip(before.stored, after.stored, strict=True)
    ]
    late, wall = cycles.late, cycles.wall
    return [
        *(
            str(wanted.sites),
            str(wanted.group),
            str(wanted.workers),
            "SQLite" if wanted.sqlite else "PostgreSQL",
        ),
        *(f"{wanted.interval_s} s", f"{span_s / 60:.1f}", f"{due:.0f}"),
        f"{cycles.done} ({100 * cycles.done / due:.1f} %)",
        *(str(cycles.without_prefect), str(cycles.superseded), str(cycles.failed)),
        f"{late(0.5):.2f} / {late(0.95):.2f} / {late(1):.2f}",
        f"{wall(0.5):.2f} / {wall(0.95):.2f}",
        " / ".join(f"{one / done:.3f}" for one in used_s[:3]),
        " / ".join(f"{100 * one / span_s:.0f}" for one in used_s),
        memory,
        " / ".join(f"{one:.0f}" for one in stored),
    ]


def _memory_mb(child: Child) -> float:
    return memory_kb_of_all(psutil.Process(child.pid)) / 1024


def houses_of(process: Child, ports: Path) -> dict[str, list[Any]]:
    """Ports and addresses by name of the houses of a process, which writes them into that file."""
    while not ports.exists():
        process.check()
        time.sleep(0.2)
    found: dict[str, list[Any]] = json.loads(ports.read_text())
    return found


def deploy_houses(
    found: dict[str, list[Any]],
    deploy: Callable[[], None],
    interval_s: int,
    *,
    only_cycles: bool = False,
) -> None:
    """Save the blocks of these houses and deploy them; `deploy` does so for `home`."""
    asyncio.run(save_blocks(found))
    deploy()
    asyncio.run(reschedule(interval_s))
    with get_client(sync_client=True) as client:
        if only_cycles:  # the others wait for requests, or for the night
            for one in all_deployments(client):
                if one.name not in ("Balance", HOUSEKEEPING):
                    client.delete_deployment(one.id)
        deploy_sites(client, found)
        pause_home(client, paused=True)


async def save_blocks(found: dict[str, list[Any]]) -> None:
    """Those of houses with these ports and addresses."""
    for kind in BLOCKS:
        await kind.aregister_type_and_schema()
    at_once = asyncio.Semaphore(_SAVED_AT_ONCE)

    async def save(name: str, blocks: tuple[Block, ...]) -> None:
        async with at_once:
            for block in blocks:
                await block.asave(name, overwrite=True)

    async with get_client():
        sites = []
        for number, (modbus_port, api_url) in enumerate(found.values()):
            one = demo_site(api_url, modbus_port, account(number))
            blocks = (one.inverter, one.charger, one.credentials, one.policy, one.tariff)
            sites.append(save(house_name(number), blocks))
        await sites[0]  # alone: with the first secret, the server creates its key
        await asyncio.gather(*sites[1:])


def measured(wanted: Wanted) -> list[str]:
    """One row."""
    with ExitStack() as exit_stack:
        folder = Path(exit_stack.enter_context(tempfile.TemporaryDirectory(prefix="fleet-")))
        databases = exit_stack.enter_context(stores(wanted, folder))
        stack = PrefectStack(folder, PROJECT)
        if not wanted.sqlite:
            stack.env["PREFECT_API_DATABASE_CONNECTION_URL"] = for_prefect(databases.prefect_url)
        exit_stack.enter_context(stack)
        exit_stack.enter_context(temporary_settings({PREFECT_API_URL: stack.api_url}))
        fleet = Fleet(wanted, folder, databases, stack)
        exit_stack.callback(fleet.end)
        fleet.begin()
        return fleet.measure()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=int, nargs="+", default=[200])
    parser.add_argument("--interval", type=int, default=30)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--group", type=int, default=1, help="sites in a run")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--warm-up", type=float, default=90.0, help="in s")
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    given: Any = parser.parse_args()
    os.chdir(PROJECT)
    print(as_head(HEAD), flush=True)
    for sites in given.sites:
        wanted = Wanted(
            *(sites, given.interval, given.workers, given.minutes, given.warm_up),
            sqlite=given.database == "sqlite",
            group=given.group,
        )
        print(as_row(measured(wanted)), flush=True)


if __name__ == "__main__":
    main()
