"""What the push stream saves and how fast it is, and a day on which it fails in every way.

`make benchmark-stream [HOURS=24]`. Real cycles without Prefect, every 10 s, at a simulated house
whose clock moves the clock of this process. Waits of stream and hub are shortened to match.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import time_machine

from easee_load_balancer.devices.connections import CONNECTIONS
from easee_load_balancer.devices.easee import stream
from easee_load_balancer.measurements import ChargerMode, ChargerState
from easee_load_balancer.orchestration import blocks
from easee_load_balancer.orchestration.worker.offline import offline
from easee_load_balancer.simulation.easee import push_hub
from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.huawei.units import InverterSpec
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.plant import HouseSpec
from easee_load_balancer.simulation.server import RunSpec, SimulatedHouse, running_house
from easee_load_balancer.system.settings import Settings
from tests.benchmarks.tables import as_row
from tests.support.paths import PROJECT
from tests.support.site import SITE, site_of

INTERVAL_S = 10
START = datetime(2026, 6, 21, tzinfo=UTC)
OBSERVATIONS = "GET /state/{charger}/observations"
FAST = 200
"""Simulated seconds per real second, roughly, for what waits in real time."""
TRIALS = 12
LOAD_W = (20 * 230.0, 0.0, 0.0)
FAULTS: tuple[dict[str, Any], ...] = (
    *({"stream": kind} for kind in ("silent", "mute", "disorder", "garbage")),
    *({"stream_status": status} for status in (401, 403, 404, 429, 503)),
    {"disconnect": False},
    {"disconnect": True},
)


@dataclass
class World:
    """A house, its clock, and the cycles so far."""

    house: SimulatedHouse
    clock: time_machine.Traveller
    balance: Any
    mode: str
    step_s: int = 1
    passed_s: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    """What failed cycles said."""

    async def pass_time(self) -> None:
        """Let a step of time pass, and what was sent arrive."""
        self.house.advance(self.step_s)
        self.clock.shift(self.step_s)
        for _ in range(15):
            await asyncio.sleep(0)
        self.passed_s += self.step_s
        if self.passed_s % INTERVAL_S == 0:
            await self._cycle()

    async def run(self, seconds: int, until: Callable[[], bool] = lambda: False) -> int:
        """Let time pass; returns after how many seconds the condition held."""
        for passed in range(0, seconds, self.step_s):
            if until():
                return passed
            await self.pass_time()
        return seconds

    async def known(self) -> ChargerState:
        """What the last cycle knew of the charger."""
        site = blocks._LOADED[SITE]
        client = await CONNECTIONS.easee(site.credentials, Settings().folder)
        return client._last[site.charger.charger_id]

    async def _cycle(self) -> None:
        changes = {"mode": self.mode, "settle_time_s": 0, "timeout_s": 1}
        blocks._LOADED[SITE] = site_of(self.house, **changes)
        with offline(datetime.now(UTC)):
            state = await self.balance.fn(SITE)
        self.outcomes[state.name] += 1
        if state.is_failed():
            self.failures[state.message] += 1


@asynccontextmanager
async def a_world(pushed: bool, start_h: float, mode: str = "solar") -> AsyncIterator[World]:
    """A world with or without the stream."""
    from balance import balance

    cloud = CloudSpec(cloud_delay_s=2, rate_limits=False)
    house = HouseSpec(car=CarSpec(energy_needed_kwh=1000))
    inverter = InverterSpec(settle_s=0, latency_s=0)
    spec = RunSpec("clear", int(start_h * 3600), 0, house=house, cloud=cloud, inverter=inverter)
    with (
        tempfile.TemporaryDirectory() as folder,
        time_machine.travel(START + timedelta(hours=start_h), tick=False) as clock,
    ):
        os.environ["EASEE_BALANCER_DATA_FOLDER"] = folder
        held = CONNECTIONS.streaming if pushed else CONNECTIONS.held
        async with running_house(spec) as running, held():
            world = World(running, clock, balance, mode)
            await world.run(1200)
            yield world


async def calls(pushed: bool, start_h: float, *, car: bool) -> int:
    """Calls for the charger's values in an hour."""
    async with a_world(pushed, start_h) as world:
        if not car:
            world.house.plant.car.unplug()
            await world.run(600)
        before = world.house.cloud.calls[OBSERVATIONS]
        await world.run(3600)
        return world.house.cloud.calls[OBSERVATIONS] - before


async def plug_in(pushed: bool, start_h: float) -> list[int]:
    """Seconds from a plug-in until a cycle knows of the car."""
    delays = []
    async with a_world(pushed, start_h) as world:
        for trial in range(TRIALS):
            world.house.plant.car.unplug()
            await world.run(130 + 7 * trial)
            world.house.plant.charger.plug_in()
            passed = 0
            while (await world.known()).mode is ChargerMode.DISCONNECTED:
                await world.pass_time()
                passed += world.step_s
            delays.append(passed)
    return delays


async def load_step(pushed: bool) -> list[int]:
    """Seconds from 20 A more on L1 until the charger has a lower current."""
    delays = []
    async with a_world(pushed, 1, "fast") as world:
        plant = world.house.plant
        for trial in range(TRIALS):
            before_a = plant.charger.dynamic_circuit_current_a[0]
            plant.extra_load_w = LOAD_W

            def lower(before_a: float = before_a) -> bool:
                return plant.charger.dynamic_circuit_current_a[0] < before_a

            delays.append(await world.run(120, lower))
            plant.extra_load_w = (0.0, 0.0, 0.0)
            await world.run(303 + 7 * trial)
    return delays


async def faults(hours: float, seed: int) -> list[tuple[str, str]]:
    """A day on which the stream fails every few minutes."""
    chance, tried = random.Random(seed), Counter[str]()
    warned = _Warnings()
    async with a_world(True, 0, "solar") as world:
        hub, house, world.step_s = world.house.cloud.hub, world.house, 5
        world.outcomes.clear()
        world.failures.clear()
        polled, due, blind_s, over_s = house.cloud.calls[OBSERVATIONS], 0, 0, 0
        while due < hours * 360:
            due += 1
            await world.run(INTERVAL_S)
            if due % 30 == 0:
                house.faults.replace_with(Faults(api_retry_after_s=60))
                if chance.random() < 0.6:
                    tried[await _break(house, chance.choice(FAULTS))] += 1
            if chance.random() < 0.003:
                (
                    house.plant.car.unplug
                    if house.plant.car.plugged_in
                    else house.plant.charger.plug_in
                )()
            knows = (await world.known()).mode is not ChargerMode.DISCONNECTED
            blind_s = blind_s + INTERVAL_S if knows is not house.plant.car.plugged_in else 0
            over_s = max(over_s, blind_s)
        ends = ", ".join(f"{name} {n}" for name, n in sorted(world.outcomes.items()))
        return [
            ("faults", ", ".join(f"{name} {n}" for name, n in sorted(tried.items()))),
            ("cycles due, and their ends", f"{due}: {ends}"),
            ("failures", "; ".join(f"{n} x {said}" for said, n in world.failures.items())),
            (
                "calls for values an hour",
                f"{(house.cloud.calls[OBSERVATIONS] - polled) / hours:.0f}",
            ),
            ("negotiations an hour", f"{hub.negotiations / hours:.1f}"),
            ("connections", str(hub.connections)),
            ("car or no car unknown to the cycles, longest", f"{over_s} s"),
            ("seconds above the main fuse", str(house.plant.counters.over_fuse_s)),
            ("warnings", "; ".join(f"{n} x {text}" for text, n in warned.said.items())),
        ]


async def _break(house: SimulatedHouse, fault: dict[str, Any]) -> str:
    if "disconnect" in fault:
        await house.cloud.hub.disconnect(said=fault["disconnect"])
        return "closed" if fault["disconnect"] else "lost"
    for name, value in fault.items():
        setattr(house.faults, name, value)
    if "stream_status" in fault:
        await house.cloud.hub.disconnect()
    return str(next(iter(fault.values())))


class _Warnings(logging.Handler):
    """Counts what the stream says."""

    def __init__(self) -> None:
        super().__init__()
        self.said = Counter[str]()
        stream.logger.addHandler(self)
        stream.logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        """Count it."""
        self.said[record.getMessage()] += 1


def shorten_waits() -> None:
    """Make what waits in real time as fast as the simulated clock."""
    stream.monotonic = time.time  # type: ignore[attr-defined]  # the simulated clock
    for name in ("FIRST_WAIT_S", "MORE_WAIT_S", "LONGEST_WAIT_S", "_SILENT_S"):
        setattr(stream, name, getattr(stream, name) / FAST)
    push_hub.PING_S = 5 / FAST


def _delays(delays: list[int]) -> str:
    return f"{statistics.median(delays):.0f} / {max(delays)}"


def rows(part: str, hours: float) -> Iterator[tuple[str, ...]]:
    """The rows of the tables: polled, pushed."""
    if part in ("all", "calls"):
        for name, at_h, car in (("charging on solar", 11, True), ("night, no car", 1, False)):
            both = [asyncio.run(calls(pushed, at_h, car=car)) for pushed in (False, True)]
            yield f"calls an hour, {name}", *map(str, both)
    if part in ("all", "delays"):
        for name, at_h in (("by day", 12), ("at night", 1)):
            yield (
                f"plug-in {name} until a cycle knows, s (median / worst)",
                *(_delays(asyncio.run(plug_in(pushed, at_h))) for pushed in (False, True)),
            )
        yield (
            "20 A more on L1 until the current is lower, s (median / worst)",
            *(_delays(asyncio.run(load_step(pushed))) for pushed in (False, True)),
        )
    if part in ("all", "faults"):
        for name, value in asyncio.run(faults(hours, 1)):
            yield f"a day of faults: {name}", "", value


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", default="all")
    parser.add_argument("--hours", type=float, default=24, help="of faults")
    given = parser.parse_args()
    sys.path[:0] = [str(PROJECT), str(PROJECT / "flows")]
    for name in ("prefect", "httpx"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    shorten_waits()
    print("| every 10 s | polled | pushed |\n|---|---:|---:|")
    for cells in rows(given.part, given.hours):
        print(as_row(cells), flush=True)


if __name__ == "__main__":
    main()
