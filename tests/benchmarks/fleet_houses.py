"""N simulated houses in one process, each with a Modbus port and a cloud account of its own.

python -m tests.benchmarks.fleet_houses 200 ports.json
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.simulation.huawei.units import InverterSpec
from easee_load_balancer.simulation.plant.plant import HouseSpec
from easee_load_balancer.simulation.server import RunSpec, running_house

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


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]), Path(sys.argv[2])))
