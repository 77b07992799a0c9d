"""The long form: `make faults`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from rich.console import Console

from easee_load_balancer.system.processes import StartError, interrupt_on_signals
from tests.faults.cases import FAULTS, try_out
from tests.faults.outages import (
    GONE_S,
    KILLS,
    Plant,
    a_plant,
    overload,
    server_gone,
    time_to_live_ends,
    worker_killed,
)
from tests.faults.scene import a_scene
from tests.faults.stories import STORIES, play
from tests.faults.table import Row, markdown
from tests.support.disk import small_disk
from tests.support.prefect_servers import UNUSED_SERVICES, a_server

_CONSOLE = Console(highlight=False, soft_wrap=True)


def _show(row: Row) -> Row:
    colour = "red" if row.wrong else "green"
    _CONSOLE.print(
        f"[{colour}]{row.fault}, {row.moment}[/]: {' | '.join(row.cells[2:])}", markup=True
    )
    return row


async def _matrix(folder: Path, only: str, with_prefect: bool) -> list[Row]:
    rows = []
    with ExitStack() as stack:
        disk = True
        try:
            stack.enter_context(small_disk(folder))
        except PermissionError as error:
            _CONSOLE.print(f"[red]Skipping full and read-only disk: {error}.[/]")
            disk = False
        async with a_scene(folder, with_prefect=with_prefect) as scene:
            for fault in FAULTS:
                if only not in fault.name or (fault.needs_small_disk and not disk):
                    continue
                for moment in fault.moments:
                    rows.append(_show(await try_out(scene, fault, moment)))
        new_scene = partial(a_scene, folder, with_prefect=with_prefect)
        async for row in play([one for one in STORIES if only in one.name], new_scene):
            rows.append(_show(row))
    return rows


async def _outages(folder: Path, only: str, gone_s: Sequence[int]) -> list[Row]:
    outages: dict[str, list[Callable[[Plant], Awaitable[Row]]]] = {
        "main fuse: 20 A more on L1": [overload],
        "worker killed": [
            *(partial(worker_killed, moment=moment, name=name) for moment, name in KILLS),
            time_to_live_ends,
        ],
        "Prefect server gone": [partial(server_gone, seconds=seconds) for seconds in gone_s],
    }
    wanted = [(name, outage) for name, rows in outages.items() if only in name for outage in rows]
    rows = []
    for number, (name, outage) in enumerate(wanted):  # each with a law that has seen nothing yet
        own = folder / f"outage-{number}"
        own.mkdir()
        async with a_plant(own) as plant:
            rows.append(_show(await _row_of(name, outage(plant))))
    return rows


async def _row_of(name: str, outage: Awaitable[Row]) -> Row:
    """The row; a red one where it failed."""
    try:
        return await outage
    except (TimeoutError, RuntimeError, StartError) as error:
        return Row(name, "", wrong=[f"{type(error).__name__} {error}"])


def main() -> None:
    """Run the campaign and write the table."""
    parser = argparse.ArgumentParser(prog="make faults")
    parser.add_argument("--out", type=Path, default=Path(".faults/table.md"))
    parser.add_argument("--only", default="", help="faults with this in their name")
    parser.add_argument("--gone", type=int, nargs="*", default=GONE_S, help="outages in s")
    parser.add_argument("--alone", action="store_true", help="without Prefect runs (faster)")
    arguments = parser.parse_args()
    began_s = time.monotonic()
    interrupt_on_signals()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, ExitStack() as stack:
        os.environ["EASEE_BALANCER_DATA_FOLDER"] = f"{name}/disk"
        logging.disable()
        rows = asyncio.run(_outages(Path(name), arguments.only, arguments.gone))
        server = Path(name) / "server"
        server.mkdir()
        stack.enter_context(a_server(server, **UNUSED_SERVICES))
        rows += asyncio.run(_matrix(Path(name) / "disk", arguments.only, not arguments.alone))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(markdown(rows))
    red = sum(bool(row.wrong) for row in rows)
    took_s = time.monotonic() - began_s
    _CONSOLE.print(f"{len(rows)} rows, {red} red, in {took_s:.0f} s; the table is {arguments.out}")
    sys.exit(1 if red else 0)


if __name__ == "__main__":
    main()
