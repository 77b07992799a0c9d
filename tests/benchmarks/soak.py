"""A day and a night under random faults: nothing is lost, nothing leaks, the fuse holds.

`make soak [HOURS=24] [INTERVAL=30] [SEED=1]`. This process uses the clock of the simulated
house: it runs at `SPEED` during a cycle and jumps to the next cycle afterwards. The cycle is the
real flow with real connections, run without Prefect. The inverter's timeouts are divided by
`SPEED`, so that a lost answer costs as much simulated time as in reality.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import random
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import time_machine

from easee_load_balancer.devices.connections import CONNECTIONS
from easee_load_balancer.devices.easee.token_store import CLOUD
from easee_load_balancer.orchestration import blocks
from easee_load_balancer.orchestration.worker.offline import offline
from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.huawei.units import InverterSpec
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.plant import HouseSpec
from easee_load_balancer.simulation.server import RunSpec, SimulatedHouse, running_house
from easee_load_balancer.system.settings import Settings
from tests.benchmarks.soak_fuse import TAKES_EFFECT_S, FuseWatch
from tests.benchmarks.soak_tally import BLIND, BLOCKED, CUT_OFF, MIDNIGHT, Tally, rows
from tests.support.easee_cloud import stored
from tests.support.paths import PROJECT
from tests.support.site import SITE, site_of

SPEED = 20
"""Simulated seconds per real second while a cycle runs."""
TIMEOUTS = {"settle_time_s": 0, "timeout_s": 5 / SPEED}
PAGE = os.sysconf("SC_PAGE_SIZE")

Change = dict[str, Any]
FAULTS: dict[str, Change] = {
    **{
        f"inverter {kind}": {"modbus": kind}
        for kind in (
            *("refuse", "silent", "drop", "busy", "reset", "short", "implausible", "garbage"),
            "function",
        )
    },
    "inverter slow": {"modbus": "delay", "modbus_delay_s": 3 / SPEED},
    **{
        f"meter {kind}": {"meter": kind}
        for kind in ("offline", "zeros", "dead_phase", "alternating", "frozen")
    },
    **{f"cloud {status}": {"api_status": status} for status in (401, 403, 429, 500, 503, 504)},
    "cloud slow": {"api_delay_s": 8 / SPEED},
    "cloud garbled": {"api_body": "truncated"},
    "cloud 403 on commands": {"api_command_status": 403},
    "cloud 400 on commands": {"api_command_status": 400},
    "charger a day ahead": {"charger_clock_ahead_s": 86_400},
    "charger silent": {"observations_stopped": True},
    "commands lost": {"commands_ignored": True},
}
CUTS_OFF = ("cloud 4", "cloud 5", "commands lost", "cloud garbled")
"""Faults during which no command can reach the charger."""
URGENT_S = 60
"""A command that lowers the current is tried again this long after a refusal."""


class Trouble:
    """Random faults and events."""

    def __init__(self, house: SimulatedHouse, tally: Tally, seed: int, interval_s: int) -> None:
        self._house, self.tally = house, tally
        self._next_cycle_s = interval_s + TAKES_EFFECT_S
        self._rng, self._fate, self._owner = (random.Random(seed) for _ in range(3))
        self._until: dict[str, int] = {}
        self._load_until = 0
        self._reachable_from: float = 0
        self._blocked_until = 0
        self._history = HistoryFile()

    @property
    def now_s(self) -> int:
        return self._house.plant.clock_s

    @property
    def faults(self) -> bool:
        """Whether any fault is active."""
        return bool(self._until)

    @property
    def blind(self) -> bool:
        """Whether the meter cannot be read."""
        return any(name.startswith(("inverter", "meter")) for name in self._until)

    def hindrance(self) -> str | None:
        """What keeps the controller from protecting the fuse.

        After a fault it may take as long as urgent commands wait, and a cycle; after a block a
        cycle.
        """
        if self._blocked():
            self._blocked_until = self.now_s + self._next_cycle_s
        if self.now_s < self._reachable_from:
            return CUT_OFF
        if self.now_s < self._blocked_until:
            return BLOCKED
        return BLIND if self.blind else None

    def _blocked(self) -> bool:
        """Whether the cloud's rules forbid a command now, as each one would prolong the block."""
        house, now = self._house, datetime.now(UTC)
        session = stored(house.api_url, Settings().folder, house.cloud.spec.password)
        return any(
            refusal.applies(now) and (key == CLOUD or refusal.status == 429)
            for key, refusal in session.refusals.items()
            if key in (CLOUD, "dynamicCurrent")
        )

    @property
    def names(self) -> str:
        """The active faults."""
        return ", ".join(self._until) or "no fault"

    def minute(self) -> None:
        """Start and end faults and events of this minute."""
        for name in [name for name, end in self._until.items() if end <= self.now_s]:
            del self._until[name]
            self._set(FAULTS[name], on=False)
            if name.startswith(CUTS_OFF):
                self._reachable_from = self.now_s + URGENT_S + self._next_cycle_s
        if self._rng.random() < 0.07:
            self._break(self._rng.choice(list(FAULTS)))
        if self.now_s >= self._load_until:
            self._house.plant.extra_load_w = (0.0, 0.0, 0.0)
            if self._rng.random() < 0.05:
                self._switch_on()
        self._happen()

    def _break(self, name: str) -> None:
        where = name.split()[0]
        if any(other.split()[0] == where for other in self._until):
            return
        self.tally.faults[name] += 1
        self._until[name] = self.now_s + self._rng.randint(30, 600)
        self._set(FAULTS[name], on=True)
        if name.startswith(CUTS_OFF):
            self._reachable_from = float("inf")

    def _set(self, change: Change, *, on: bool) -> None:
        for name, value in change.items():
            setattr(self._house.faults, name, value if on else Faults.model_fields[name].default)

    def _switch_on(self) -> None:
        """Switch on an oven or a heater on one phase."""
        self.tally.events["load switched on"] += 1
        load = [0.0, 0.0, 0.0]
        load[self._rng.randrange(3)] = self._rng.uniform(1000, 3000)
        self._house.plant.extra_load_w = (load[0], load[1], load[2])
        self._load_until = self.now_s + self._rng.randint(300, 2400)

    def _happen(self) -> None:
        plant = self._house.plant
        car = plant.car
        happenings: list[tuple[str, float, Callable[[], None]]] = [
            ("car leaves", 0.004 if car.plugged_in else 0, car.unplug),
            ("car arrives", 0 if car.plugged_in else 0.02, plant.charger.plug_in),
            ("charger reboots", 0.001, plant.charger.reboot),
        ]
        of_owner: list[tuple[str, float, Callable[[], None]]] = [
            ("history backed up", 0.005, self._history.back_up),
            ("history replaced by its backup", 0.004, self._history.restore),
            ("history deleted", 0.001, self._history.delete),
        ]
        for rng, some in ((self._rng, happenings), (self._owner, of_owner)):
            for name, chance, happen in some:
                if rng.random() < chance:
                    happen()
                    self.tally.events[name] += 1

    def dies(self) -> bool:
        """Whether the worker is killed before this cycle."""
        return self._fate.random() < 0.004


class HistoryFile:
    """What an owner does with the history's file."""

    def __init__(self) -> None:
        self._path = Settings().folder / "history.db"
        self._backup = self._path.with_suffix(".backup")

    def back_up(self) -> None:
        """Copy it as the pages on backups say."""
        with (
            closing(sqlite3.connect(self._path)) as connection,
            closing(sqlite3.connect(self._backup)) as backup,
        ):
            connection.backup(backup)

    def restore(self) -> None:
        """Put the backup in its place, if there is one."""
        if self._backup.exists():
            self._backup.replace(self._path)

    def delete(self) -> None:
        """Delete it."""
        self._path.unlink(missing_ok=True)


class Clock:
    """Moves the house and the process's clock together, a second at a time."""

    def __init__(
        self, house: SimulatedHouse, travel: time_machine.Traveller, trouble: Trouble
    ) -> None:
        self._house, self._travel, self._trouble = house, travel, trouble
        self.fuse = FuseWatch(house.plant, trouble.tally)

    def second(self) -> None:
        """One second passes."""
        self._house.advance(1)
        self._travel.shift(1)
        self.fuse.second(self._trouble.hindrance, self._trouble.names)
        if self._house.plant.clock_s % 60 == 0:
            self._trouble.minute()

    async def jump_to(self, clock_s: int) -> None:
        """Advance to that simulated second."""
        while self._house.plant.clock_s < clock_s:
            self.second()
        await asyncio.sleep(0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let the clock run during the block."""

        async def tick() -> None:
            began_s, passed = time.monotonic(), 0
            while True:
                await asyncio.sleep(0.5 / SPEED)
                due = int((time.monotonic() - began_s) * SPEED)
                for _ in range(due - passed):
                    self.second()
                passed = due

        ticking = asyncio.create_task(tick())
        try:
            yield
        finally:
            ticking.cancel()
            with suppress(asyncio.CancelledError):
                await ticking


def footprint() -> tuple[float, int, int]:
    """Memory in MB, file handles and threads of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * PAGE / 2**20, len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208


async def soak(
    hours: float, interval_s: int, seed: int, travel: time_machine.Traveller
) -> tuple[Tally, SimulatedHouse]:
    """Run for that long, with a cycle every `interval_s`."""
    from balance import balance

    tally, cloud = Tally(), CloudSpec(cloud_delay_s=2, rate_limits=False)
    inverter = InverterSpec(settle_s=0, latency_s=0.002)
    big_car = HouseSpec(car=CarSpec(energy_needed_kwh=1000))
    spec = RunSpec("variable", 0, 0, house=big_car, cloud=cloud, inverter=inverter)
    async with running_house(spec) as house:
        trouble = Trouble(house, tally, seed, interval_s)
        clock = Clock(house, travel, trouble)
        end_s, due_s, failed = int(hours * 3600), interval_s, 0
        while due_s < end_s:
            async with CONNECTIONS.held():
                while due_s < end_s:
                    await clock.jump_to(due_s)
                    hour = due_s / 3600 % 24
                    mode = "solar" if 6 <= hour < 22 else "fast"
                    blocks._LOADED[SITE] = site_of(house, mode=mode, **TIMEOUTS)
                    due = MIDNIGHT + timedelta(seconds=due_s)
                    calls = house.cloud.calls["GET /state/{charger}/observations"]
                    if not trouble.blind:
                        clock.fuse.reads()
                    async with clock.running():
                        outcome = await one_cycle(balance, due, tally)
                    clock.fuse.cycle_ended()
                    asked = house.cloud.calls["GET /state/{charger}/observations"] - calls
                    tally.calls_a_minute[due_s // 60] += asked
                    quiet = not trouble.faults and outcome == "Failed"
                    failed = failed + 1 if quiet else 0
                    tally.longest_recovery = max(tally.longest_recovery, failed)
                    if due_s % 3600 == 0:
                        tally.hourly.append(footprint())
                        progress(due_s, tally)
                    due_s = house.plant.clock_s // interval_s * interval_s + interval_s
                    if trouble.dies():
                        tally.events["worker killed"] += 1
                        break
        tally.hourly.append(footprint())
    return tally, house


async def one_cycle(balance: Any, due: datetime, tally: Tally) -> str:
    """Run the cycle that is due and return its final state."""
    try:
        with offline(due):
            async with asyncio.timeout(balance.timeout_seconds):
                state = await balance.fn(SITE)
    except Exception as error:  # noqa: BLE001
        tally.crashes.append(f"{type(error).__name__}: {error}")
        state = None
    name = state.name if state else "crashed"
    tally.outcomes[name] += 1
    tally.due.append(due)
    return str(name)


def progress(due_s: int, tally: Tally) -> None:
    """Print a line of progress."""
    memory, handles, threads = tally.hourly[-1]
    print(
        f"{due_s // 3600:>3} h  {dict(tally.outcomes)}  {memory:.0f} MB, {handles} handles, "
        f"{threads} threads, {sum(one.seconds for one in tally.over)} s above the fuse",
        file=sys.stderr,
        flush=True,
    )


def main() -> None:
    """Run and print; exits with 1 after a lost row, a crash, or an overload that the law caused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--interval", type=int, default=30, help="seconds between cycles")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    sys.path[:0] = [str(PROJECT), str(PROJECT / "flows")]
    logging.disable(logging.CRITICAL)
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EASEE_BALANCER_DATA_FOLDER"] = folder
        with time_machine.travel(MIDNIGHT, tick=False) as travel:
            tally, house = asyncio.run(soak(given.hours, given.interval, given.seed, travel))
            took_s = time.monotonic() - began_s
            print(f"| every {given.interval} s, seed {given.seed} | |\n|---|---|")
            for name, value in rows(tally, house, given.hours, took_s):
                print(f"| {name} | {value} |")
    for one in sorted(tally.over, key=lambda one: -one.seconds)[:10]:
        began = f"{one.began_s // 3600:02d}:{one.began_s // 60 % 60:02d}"
        print(f"{began} {one.seconds} s above: {one.kind} ({one.faults})")
    for crash in tally.crashes[:10]:
        print(crash)
    sys.exit(bool(tally.crashes or tally.lost or tally.ours_s))


if __name__ == "__main__":
    main()
