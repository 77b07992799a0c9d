"""Everything is killed at random moments, and the files are looked at as they are: what is lost?

`make power-cuts [KILLS=50]`: server and worker run a cycle every 5 s against a simulated house,
while a variable and a block are saved again and again. After each kill, copies of the databases are
checked and compared with what had been saved; then everything starts again on the originals.

A kill keeps what SQLite has given to Linux. A power cut also takes what Linux has not yet written,
which is up to half a minute of runs; `orchestration/server/durable.py` keeps the rest from that.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import signal
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.variables import Variable

from easee_load_balancer.commands.demo import DEMO_DAY, start_house
from easee_load_balancer.orchestration.blocks import ChargingPolicy, Site, load_block
from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from tests.benchmarks.cycle import reschedule
from tests.benchmarks.tables import as_head, as_row
from tests.support.paths import PROJECT

_SHORTEST_S, _LONGEST_S = 2.0, 10.0
_INTERVAL_S = 5
_VARIABLE = "power_cuts"
_RUNS = "SELECT id FROM flow_run WHERE state_type = 'COMPLETED'"
_CYCLES = "SELECT scheduled_at FROM cycles"
_VALUE = f"SELECT value FROM variable WHERE name = '{_VARIABLE}'"
HEAD = [
    "kill",
    "after s",
    "damage",
    "variable",
    "block",
    "runs",
    "lost",
    "cycles",
    "lost",
    "start s",
]


class Databases:
    """Those of a stack, or copies of them."""

    def __init__(self, folder: Path) -> None:
        self.prefect, self.history = (
            folder / "prefect" / "prefect.db",
            folder / "data" / "history.db",
        )

    def copied(self, to: Path) -> Databases:
        """Copies of the databases and of their logs, as they are."""
        copies = Databases(to)
        for path, copy in ((self.prefect, copies.prefect), (self.history, copies.history)):
            copy.parent.mkdir(parents=True)
            for file in path.parent.glob(f"{path.name}*"):
                shutil.copy(file, copy.parent)
        return copies

    def damage(self) -> str:
        """What SQLite says of both of them: `ok`."""
        return " ".join({_all(one, "PRAGMA integrity_check").pop() for one in self._both()})

    def runs(self) -> set[Any]:
        """Completed runs."""
        return _all(self.prefect, _RUNS)

    def cycles(self) -> set[Any]:
        """Cycles in the history."""
        return _all(self.history, _CYCLES)

    def number(self) -> int:
        """The variable's value."""
        return int(str(_all(self.prefect, _VALUE).pop()).strip('"'))

    def _both(self) -> tuple[Path, Path]:
        return self.prefect, self.history


def _all(path: Path, question: str) -> set[Any]:
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        return {one for (one,) in connection.execute(question)}


async def save_until(end_s: float, number: int) -> int:
    """Save a variable and a block with the next number until then; the last that was saved."""
    while time.monotonic() < end_s:
        await Variable.aset(_VARIABLE, str(number + 1), overwrite=True)
        await ChargingPolicy(start_threshold_s=60 + (number + 1) % 100).asave(
            Site.DEFAULT, overwrite=True
        )
        number += 1
        await asyncio.sleep(0.2)
    return number


def kill(stack: PrefectStack) -> None:
    """Kill server and worker at once."""
    for child in (stack.server, stack.worker):
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)
    while any(child is not None and child.running for child in (stack.server, stack.worker)):
        time.sleep(0.05)


def cut(stack: PrefectStack, nth: int, number: int) -> tuple[list[str], int]:
    """One kill, once cycles run: the row of the table, and the number that was saved last."""
    own = Databases(stack.folder)
    before = own.runs()
    while not own.runs() - before:
        time.sleep(0.5)
    after_s = random.uniform(_SHORTEST_S, _LONGEST_S)
    number = asyncio.run(save_until(time.monotonic() + after_s, number))
    runs, cycles = own.runs(), own.cycles()
    kill(stack)
    with tempfile.TemporaryDirectory() as folder:
        left = own.copied(Path(folder))
        cells = [str(nth), f"{after_s:.1f}", left.damage()]
        cells.append("kept" if left.number() >= number else "LOST")
        counts = [len(left.runs()), len(runs - left.runs())]
        counts += [len(left.cycles()), len(cycles - left.cycles())]
    start_s = time.monotonic()
    stack.start_server()
    start_s = time.monotonic() - start_s
    stack.start_worker()
    policy: ChargingPolicy = asyncio.run(load_block(ChargingPolicy, Site.DEFAULT))
    cells.append("kept" if policy.start_threshold_s == 60 + number % 100 else "LOST")
    return [*cells, *map(str, counts), f"{start_s:.1f}"], number


def main() -> None:
    """Kill, look, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    given: Any = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        PrefectStack(Path(name), PROJECT) as stack,
        temporary_settings({PREFECT_API_URL: stack.api_url}),
    ):
        start_house(stack, "--no-battery", *DEMO_DAY)
        stack.deploy()
        asyncio.run(reschedule(_INTERVAL_S))
        stack.start_worker()
        print(as_head(HEAD), flush=True)
        number = 0
        for nth in range(1, given.kills + 1):
            cells, number = cut(stack, nth, number)
            print(as_row(cells), flush=True)


if __name__ == "__main__":
    main()
