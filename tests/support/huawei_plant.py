"""A client at a simulated plant of any kind, over real Modbus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.devices.huawei.client import Inverter
from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.huawei.modbus_server import InverterServer
from easee_load_balancer.simulation.huawei.units import InverterSpec
from easee_load_balancer.simulation.plant.day import Weather, generate_day
from easee_load_balancer.simulation.plant.plant import HouseSpec, Plant

NOON_S = 12 * 3600

ADDRESSES: dict[str, dict[str, Any]] = {
    "single": {},
    "cascade": {"other_units": (2,)},
    "cascade, dongle's sums": {"plant": "cascade", "other_units": (2,), "dongle_totals": True},
    "emma": {"unit_id": 0},
    "smartlogger": {"unit_id": 0, "other_units": (1, 2)},
}
"""How each kind of plant is configured."""


@dataclass(frozen=True)
class RunningPlant:
    """A plant, its server and the client that reads it."""

    inverter: Inverter
    server: InverterServer
    plant: Plant
    faults: Faults


@asynccontextmanager
async def a_plant(
    kind: str,
    house: HouseSpec | None = None,
    *,
    start_s: int = NOON_S,
    day: Weather | None = None,
    spec: dict[str, Any] | None = None,
    **address: Any,
) -> AsyncIterator[RunningPlant]:
    """A plant of that kind (see ADDRESSES), whose clock stands still."""
    settings = {"plant": kind} | ADDRESSES[kind] | {"settle_time_s": 0.0, "timeout_s": 1.0}
    settings |= address
    served = InverterSpec(settle_s=0.0, latency_s=0.0, plant=settings["plant"], **(spec or {}))
    plant, faults = Plant(day or generate_day("clear"), house, start_s), Faults()
    server = InverterServer(plant, served, faults)
    port = await server.start("127.0.0.1", 0)
    inverter = Inverter(InverterAddress(host="127.0.0.1", port=port, **settings))
    try:
        yield RunningPlant(inverter, server, plant, faults)
    finally:
        await inverter.close()
        await server.stop()
