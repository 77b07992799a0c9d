"""A house in a thread of its own, for commands that want the main thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from easee_load_balancer.commands.setup_answers import Answers
from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.simulation.huawei.units import InverterSpec
from easee_load_balancer.simulation.plant.plant import HouseSpec
from easee_load_balancer.simulation.server import RunSpec, SimulatedHouse, running_house
from tests.support.simulated_house import SUNNY
from tests.support.waiting import LONGEST_S

TWO = CloudSpec(second_charger_id="EH123457", rate_limits=False)
"""Two chargers on one circuit."""


@contextmanager
def a_house_beside(
    house: HouseSpec | None = None,
    cloud: CloudSpec | None = None,
    inverter: dict[str, Any] | None = None,
    **spec: Any,
) -> Iterator[SimulatedHouse]:
    """A house whose clock stands still, without battery unless told otherwise."""
    wanted = RunSpec(
        day=spec.pop("day", SUNNY),
        speed=0,
        house=house or HouseSpec(battery=None),
        cloud=cloud or CloudSpec(rate_limits=False),
        inverter=InverterSpec(**({"settle_s": 0.0, "latency_s": 0.001} | (inverter or {}))),
        **spec,
    )
    started, ended = threading.Event(), asyncio.Event()
    running: list[Any] = []

    async def live() -> None:
        async with running_house(wanted) as one:
            running.extend((one, asyncio.get_running_loop()))
            started.set()
            await ended.wait()

    thread = threading.Thread(target=asyncio.run, args=(live(),))
    thread.start()
    started.wait(LONGEST_S)
    try:
        yield running[0]
    finally:
        running[1].call_soon_threadsafe(ended.set)
        thread.join()


def answers(house: SimulatedHouse, **changes: Any) -> Answers:
    """All that is asked, for that house."""
    given: dict[str, Any] = {
        "user_name": house.cloud.spec.user_name,
        "password": house.cloud.spec.password,
        "api": house.api_url,
        "inverter": f"127.0.0.1:{house.modbus_port}",
        "fuse": "25",
    }
    return Answers(**(given | changes))
