"""N simulated houses in one process, each with a Modbus port and a cloud account of its own.

python -m tests.benchmarks.fleet_houses 200 ports.json [commands.jsonl]

With a file for them, each command takes 2 s, and its begin and end are written down.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from starlette.requests import Request

from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.simulation.easee.writes import Writes
from easee_load_balancer.simulation.huawei.units import InverterSpec
from easee_load_balancer.simulation.plant.plant import HouseSpec
from easee_load_balancer.simulation.server import RunSpec, running_house

_COMMAND_S = 2.0
DAY_STARTS_S = 10 * 3600 + 1800


def house_name(number: int) -> str:
    """The site's name."""
    return f"house-{number:04d}"


def account(number: int) -> CloudSpec:
    """Its account; the cloud's limits are each house's own, as it is a cloud of its own."""
    return CloudSpec(
        user_name=f"{house_name(number)}@example.com",
        charger_id=f"EH{300_001 + number}",
        site_id=50_000 + number,
        circuit_id=20_000 + number,
    )


async def run(count: int, ports: Path) -> None:
    """Run the houses, with their ports in that file, until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with AsyncExitStack() as street:
        found = {}
        for number in range(count):
            spec = RunSpec(
                day="variable",
                start_s=DAY_STARTS_S + 37 * number % 3600,
                house=HouseSpec(battery=None),
                cloud=account(number),
                inverter=InverterSpec(settle_s=0.5),
            )
            house = await street.enter_async_context(running_house(spec))
            found[house_name(number)] = [house.modbus_port, house.api_url]
        unfinished = ports.with_suffix(".part")
        unfinished.write_text(json.dumps(found))
        unfinished.replace(ports)
        await ended.wait()


def write_down_commands(file: Path) -> None:
    """Let all clouds be slow to take a command, and write down who sends it."""
    command: Any = Writes.set_circuit_current
    numbers = itertools.count()

    async def slow(writes: Writes, request: Request) -> Any:
        said: dict[str, Any] = {"number": next(numbers), "began_at": time.time(), "ended_at": None}
        if request.client is not None:
            said |= {"host": request.client.host, "port": request.client.port}
        said["site"] = house_name(writes.spec.site_id - 50_000)
        _write(file, said)
        await asyncio.sleep(_COMMAND_S)
        answer = await command(writes, request)
        _write(file, said | {"ended_at": time.time()})
        return answer

    Writes.set_circuit_current = slow  # type: ignore[method-assign, assignment]


def _write(file: Path, said: dict[str, Any]) -> None:
    with file.open("a") as out:
        out.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 3:
        write_down_commands(Path(sys.argv[3]))
    asyncio.run(run(int(sys.argv[1]), Path(sys.argv[2])))
