"""Outages of server and worker in real time, with a real Prefect server, worker and house."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
from prefect import get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.settings import PREFECT_API_URL, temporary_settings

from easee_load_balancer.history.store import open_history
from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from easee_load_balancer.orchestration.worker.run_states import in_states
from easee_load_balancer.simulation.fault_triggers import Trigger
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.charger import ChargerSpec
from easee_load_balancer.simulation.plant.plant import HouseSpec
from easee_load_balancer.simulation.server import RunSpec, SimulatedHouse, running_house
from easee_load_balancer.system.processes import Child
from tests.faults.scene import BUSY_A, CALM_A, FAINT, OFFLINE_A, VOLTS
from tests.faults.table import Row
from tests.support.paths import PROJECT
from tests.support.prefect_servers import prepared
from tests.support.site import SITE, site_of
from tests.support.worker import deployed

INTERVAL_S = 10
TTL_S = 1800
_DOWN_S = 3
"""Until a killed worker is restarted."""


@dataclass(slots=True)
class Plant:
    """A house in real time, with the server and worker that run its cycles."""

    house: SimulatedHouse
    stack: PrefectStack
    highest_a: float = 0.0

    @property
    def held_a(self) -> float:
        return self.house.plant.charger.dynamic_circuit_current_a[0]

    @property
    def over_fuse_s(self) -> int:
        return self.house.plant.counters.over_fuse_s

    @property
    def worker(self) -> Child:
        assert self.stack.worker is not None
        return self.stack.worker

    def load(self, l1_a: float) -> None:
        self.house.plant.extra_load_w = (l1_a * VOLTS, 0.0, 0.0)

    def cycles(self, since: datetime) -> pd.DataFrame:
        """The cycles due since then."""
        history = open_history(f"sqlite:///{self.stack.data_folder / 'history.db'}")
        columns = ["scheduled_at", "at", "outcome", "reason", "run_id"]
        return history.cycles(SITE, since, datetime.now(UTC), columns)

    async def good_cycle(self, since: datetime, within_s: float = 90) -> pd.Series:
        """The first good cycle since then."""
        async with asyncio.timeout(within_s):
            while True:
                seen = self.cycles(since)
                good = seen[seen["outcome"].isin(["pushed", "held"])]
                if len(good):
                    return good.iloc[0]
                await asyncio.sleep(1)

    async def holds(self, amps: float, within_s: float = 60) -> bool:
        """Whether the charger reaches this current in time."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    if self.held_a == amps:
                        return True
                    await asyncio.sleep(0.2)
        except TimeoutError:
            return False

    async def watch(self) -> None:
        """Record the highest current until cancelled."""
        while True:
            self.highest_a = max(self.highest_a, self.held_a)
            await asyncio.sleep(0.2)

    async def calm(self) -> None:
        """Wait until the charger holds 14 A."""
        self.load(CALM_A)
        if not await self.holds(14, within_s=180):
            raise RuntimeError(f"the charger holds {self.held_a} A; see {self.stack.folder}")
        await asyncio.sleep(INTERVAL_S)
        self.highest_a = self.held_a


@asynccontextmanager
async def a_plant(folder: Path) -> AsyncIterator[Plant]:
    """A house whose main fuse limits the car, with a running worker."""
    os.environ["PREFECT_WORKER_QUERY_SECONDS"] = "2"
    spec = RunSpec(
        day=FAINT,
        house=HouseSpec(
            battery=None,
            car=CarSpec(energy_needed_kwh=1000.0),
            charger=ChargerSpec(offline_max_current_a=(OFFLINE_A,) * 3),
        ),
    )
    stack = await asyncio.to_thread(PrefectStack(prepared(folder), PROJECT).__enter__)
    try:
        async with running_house(spec) as house:
            plant = Plant(house, stack)
            plant.load(CALM_A)
            with temporary_settings({PREFECT_API_URL: stack.api_url}):
                await site_of(house, mode="fast", phases="3", start_interval_s=0).save()
                flow = PROJECT / "flows" / "balance.py"
                async with get_client() as client:
                    await deployed(client, "home", "balance", interval_s=INTERVAL_S, file=flow)
                await asyncio.to_thread(stack.start_worker)
                watching = asyncio.create_task(plant.watch())
                yield plant
                watching.cancel()
    finally:
        await asyncio.to_thread(stack.__exit__, None, None, None)


async def server_gone(plant: Plant, seconds: int) -> Row:
    """The server is killed and restarted later; the load changes meanwhile."""
    await plant.calm()
    row = Row(f"Prefect server gone for {seconds} s", "between", before_a=plant.held_a)
    over_fuse_s, began = plant.over_fuse_s, datetime.now(UTC)
    assert plant.stack.server is not None
    os.kill(plant.stack.server.pid, signal.SIGKILL)
    plant.load(BUSY_A)
    first = await plant.good_cycle(began)
    row.recovered_s = (first["at"] - began).total_seconds()
    row.check(await plant.holds(12), "no response to the load")
    await asyncio.sleep(max(0.0, seconds - (datetime.now(UTC) - began).total_seconds()))
    await asyncio.to_thread(plant.stack.start_server)
    back = datetime.now(UTC)
    async with asyncio.timeout(400):
        while True:
            if (plant.cycles(back)["run_id"] != "without Prefect").any():
                break
            await asyncio.sleep(0.5)
    seen = plant.cycles(began)
    alone = seen[seen["run_id"] == "without Prefect"]
    under_it_s = (datetime.now(UTC) - back).total_seconds()
    row.state = f"{len(alone)} cycles without Prefect, under it again after {under_it_s:.0f} s"
    row.message = str(alone["reason"].iloc[-1]) if len(alone) else ""
    gaps_s = seen["scheduled_at"].diff().dt.total_seconds()
    missed = int((gaps_s / INTERVAL_S - 1).clip(lower=0).sum().round())
    row.lost = f"{missed} of {len(seen) + missed} cycles" if missed else "nothing"
    row.after_a, row.highest_a = plant.held_a, plant.highest_a
    row.check(missed <= 1, "cycles are missing")
    row.check(row.highest_a <= 14 and row.after_a == 12, "another current")
    row.check(plant.over_fuse_s == over_fuse_s, "above the main fuse")
    return row


async def worker_killed(plant: Plant, moment: Trigger | None, name: str) -> Row:
    """The worker is killed during the cycle that lowers the current, then restarted."""
    await plant.calm()
    row = Row("worker killed", name, before_a=plant.held_a)
    over_fuse_s, killed = plant.over_fuse_s, asyncio.Event()

    def kill() -> None:
        os.kill(plant.worker.pid, signal.SIGKILL)
        killed.set()

    plant.load(BUSY_A)
    began = datetime.now(UTC)
    if moment is None:
        await plant.good_cycle(began)
        kill()
    else:
        plant.house.triggers.on(moment, kill)
    async with asyncio.timeout(60):
        await killed.wait()
    at = datetime.now(UTC)
    await asyncio.sleep(_DOWN_S)
    await asyncio.to_thread(plant.stack.start_worker)
    first = await plant.good_cycle(at + timedelta(seconds=1))
    row.recovered_s = (first["at"] - at).total_seconds()
    row.check(await plant.holds(12), "no response to the load")
    await asyncio.sleep(2 * INTERVAL_S)
    row.after_a, row.highest_a = plant.held_a, plant.highest_a
    row.message = str(plant.cycles(at)["reason"].iloc[-1])
    row.state = await _final_state(at)
    row.lost = "the run at that time" if row.state.startswith("Crashed") else "nothing"
    row.check(row.highest_a <= 14 and row.after_a == 12, "another current")
    row.check(
        "another controller" not in row.message, "our own command is taken for another controller's"
    )
    row.check(row.recovered_s < 60, "recovery takes too long")
    row.check(plant.over_fuse_s == over_fuse_s, "above the main fuse")
    return row


async def _final_state(at: datetime) -> str:
    """Final state of the run at that time."""
    async with get_client() as client:
        runs = await client.read_flow_runs(flow_run_filter=in_states(StateType.CRASHED))
    crashed = [run for run in runs if _started(run) > at - timedelta(seconds=INTERVAL_S)]
    return f"Crashed: {crashed[0].state.message}" if crashed and crashed[0].state else "Completed"


def _started(run: FlowRun) -> datetime:
    began = run.start_time or run.expected_start_time
    return datetime.now(UTC) if began is None else datetime.fromtimestamp(began.timestamp(), UTC)


async def time_to_live_ends(plant: Plant) -> Row:
    """The worker stays down; half an hour passes in the house."""
    await plant.calm()
    row = Row("worker killed", "and not restarted", before_a=plant.held_a)
    os.kill(plant.worker.pid, signal.SIGKILL)
    await asyncio.sleep(1)
    plant.house.advance(TTL_S - 300)
    row.check(plant.held_a == 14, "the time to live ended too early")
    plant.house.advance(300)
    row.check(plant.held_a == OFFLINE_A, "no fallback current")
    row.state, row.message = "none", f"{plant.held_a:.0f} A after 30 min: offlineMaxCircuitCurrent"
    began = datetime.now(UTC)
    await asyncio.to_thread(plant.stack.start_worker)
    first = await plant.good_cycle(began)
    row.recovered_s = (first["at"] - began).total_seconds()
    row.check(await plant.holds(14, within_s=150), "it does not resume by itself")
    row.after_a, row.highest_a = plant.held_a, plant.highest_a
    return row


async def overload(plant: Plant) -> Row:
    """20 A more on one phase while the car draws 16 A, with every delay of the plant."""
    plant.load(0)
    await plant.holds(16, within_s=120)
    await asyncio.sleep(2 * INTERVAL_S)
    row = Row("main fuse: 20 A more on L1", f"every {INTERVAL_S} s", before_a=plant.held_a)
    row.check(row.before_a == 16, "not at 16 A")
    before_s, began = plant.over_fuse_s, datetime.now(UTC)
    plant.highest_a = plant.held_a
    plant.load(20)
    await asyncio.sleep(50)
    row.recovered_s = plant.over_fuse_s - before_s
    reasons = plant.cycles(began)["reason"]
    named = reasons[reasons.str.contains("main fuse")]
    row.state, row.message = "Completed", str(named.iloc[0]) if len(named) else ""
    row.after_a, row.highest_a = plant.held_a, plant.highest_a
    row.check(0 < row.recovered_s < 25, f"above the fuse for {row.recovered_s} s")
    row.check(bool(len(named)), "the fuse is not named")
    return row


KILLS: tuple[tuple[Trigger | None, str], ...] = (
    ("asked", "before the read"),
    ("read", "read to push"),
    ("taken", "in the push"),
    ("pushed", "after the push"),
    (None, "between"),
)
GONE_S = (1, 60, 600)
