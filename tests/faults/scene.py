"""A home in simulated time, with the real flow, clients, servers and history."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import time_machine
from balance import balance
from prefect import Flow, get_client
from prefect.client.schemas.objects import State
from prefect.flow_engine import run_flow_async
from prefect.states import Scheduled

from easee_load_balancer.devices.connections import CONNECTIONS
from easee_load_balancer.history.store import open_history
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.orchestration.worker.offline import offline
from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.charger import ChargerSpec
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.system.settings import Settings
from tests.support import disk
from tests.support.home import Home, a_home
from tests.support.site import SITE

INTERVAL_S = 30
VOLTS = 230
CALM_A, BUSY_A = 11.65, 13.65
"""Loads on L1 that leave 14.9 and 12.9 A to the car, so that a raise keeps its margin."""
OFFLINE_A = 10.0
FAINT = Day("faint", pv_w=(3000.0,) * 1440, load_w=(500.0,) * 1440)
DARK = Day("dark", pv_w=(0.0,) * 1440, load_w=(500.0,) * 1440)
_NO_TROUBLE = re.compile(r"unknown|resending|Asleep")


@dataclass(slots=True)
class Scene:
    """A home, its clock, and observations."""

    home: Home
    clock: time_machine.Traveller
    data_folder: Path
    with_prefect: bool = True
    """Otherwise cycles run as without a Prefect server, which is faster."""
    cycles_due: list[datetime] = field(default_factory=list)
    highest_a: float = 0.0
    rows: int = 0
    """Faults tried so far."""
    locking: sqlite3.Connection | None = None

    @property
    def faults(self) -> Faults:
        return self.home.house.faults

    @property
    def held_a(self) -> float:
        """The circuit current on L1."""
        return self.home.house.plant.charger.dynamic_circuit_current_a[0]

    @property
    def over_fuse_s(self) -> int:
        return self.home.house.plant.counters.over_fuse_s

    def load(self, l1_a: float) -> None:
        """Switch a load on L1."""
        self.home.house.plant.extra_load_w = (l1_a * VOLTS, 0.0, 0.0)

    def pass_time(self, seconds: int) -> None:
        """Advance the house and the clock together."""
        step_s = 1 if seconds % 10 or seconds <= INTERVAL_S else 10
        for _ in range(seconds // step_s):
            self.clock.shift(step_s)
            self.home.house.advance(step_s)
            self.highest_a = max(self.highest_a, self.held_a)

    def step_clock(self, seconds: int) -> None:
        """Set this machine's clock; the cloud's stays right."""
        self.clock.shift(seconds)
        self.faults.api_clock_ahead_s -= seconds

    def clear_faults(self) -> None:
        """End all faults; clocks stay."""
        self.faults.replace_with(Faults(api_clock_ahead_s=self.faults.api_clock_ahead_s))

    async def settle(self) -> None:
        """The simulated inverter checks its faults every 50 ms."""
        await asyncio.sleep(0.12)

    async def cycle(self) -> State[Any]:
        """One scheduled run of `balance`, due now."""
        due = datetime.now(UTC)
        self.cycles_due.append(due)
        if not self.with_prefect:
            with offline(due):
                return await balance.fn(SITE)
        parameters = {"site": SITE}
        async with get_client() as client:
            run = await client.create_flow_run(
                balance, parameters=parameters, state=Scheduled(scheduled_time=due)
            )
        state: Any = await run_flow_async(
            cast(Flow[..., Any], balance), flow_run=run, parameters=parameters, return_type="state"
        )
        return cast(State[Any], state)

    async def next_cycle(self, after_s: int = INTERVAL_S) -> State[Any]:
        """A cycle after some time."""
        self.pass_time(after_s)
        return await self.cycle()

    def lost(self) -> int:
        """Cycles since the last call that are missing in the history."""
        history = open_history(Settings().database_url)
        due, self.cycles_due = self.cycles_due, []
        first, last = min(due), max(due)
        hours = timedelta(hours=3)
        kept = set(
            history.cycles(SITE, first - hours, last + hours, ["scheduled_at"])["scheduled_at"]
        )
        return sum(at not in kept for at in due)


def is_good(state: State[Any]) -> bool:
    """Whether the run completed with all values known."""
    return state.is_completed() and not _NO_TROUBLE.search(f"{state.name} {state.message}")


@asynccontextmanager
async def a_scene(
    data_folder: Path, *, with_prefect: bool = True, **changes: Any
) -> AsyncIterator[Scene]:
    """A home whose car charges, limited by the main fuse unless `changes` say otherwise."""
    # in the past: the Prefect server starts no run before it is due
    start = datetime.now(UTC) - timedelta(days=2)
    with time_machine.travel(start) as clock:
        async with a_home(
            changes.pop("day", FAINT),
            car=CarSpec(energy_needed_kwh=10_000.0),
            charger=ChargerSpec(offline_max_current_a=(OFFLINE_A,) * 3),
            timeout_s=2.0,
            **changes,
        ) as home:
            scene = Scene(home, clock, data_folder, with_prefect)
            scene.load(CALM_A)
            await Site.load(SITE)
            async with CONNECTIONS.held():
                for _ in range(4):
                    await scene.next_cycle()
                yield scene
                scene.clear_faults()


def set_read_only(folder: Path, read_only: bool) -> None:
    """Remount the folder's disk; nothing on it may be open for writing."""
    open_history(Settings().database_url).close()
    disk.set_read_only(folder, read_only)
