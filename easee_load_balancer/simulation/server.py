"""The whole house in one event loop: its clock, the Modbus inverter and the Easee API."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import uvicorn
from rich.console import Console
from starlette.applications import Starlette

from easee_load_balancer.simulation.admin_api import admin_routes
from easee_load_balancer.simulation.easee.api import SimulatedCloud, build_app
from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.simulation.fault_triggers import FaultTriggers
from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.huawei.modbus_server import InverterServer
from easee_load_balancer.simulation.huawei.units import InverterSpec
from easee_load_balancer.simulation.plant.day import Day, load_day
from easee_load_balancer.simulation.plant.plant import HouseSpec, Plant
from easee_load_balancer.simulation.sources.price_routes import PriceRoutes
from easee_load_balancer.simulation.sources.solar_routes import SolarRoutes

HOST = "127.0.0.1"

_SHORTEST_TICK_S = 0.05
_LONGEST_TICK_S = 0.5
_CATCH_UP_S = 5.0


@dataclass(frozen=True, slots=True)
class RunSpec:
    """The house, its start time, speed and ports; port 0 = a free one."""

    day: str | Day = "clear"
    """A built-in day, a CSV file or a day."""
    start_s: int = 12 * 3600
    speed: int = 1
    """Simulated seconds per real second; 0 = only `SimulatedHouse.advance` moves the clock."""
    modbus_port: int = 0
    api_port: int = 0
    house: HouseSpec = field(default_factory=HouseSpec)
    cloud: CloudSpec = field(default_factory=CloudSpec)
    inverter: InverterSpec = field(default_factory=InverterSpec)


@dataclass(frozen=True, slots=True)
class SimulatedHouse:
    """A running house: its addresses and its parts."""

    host: str
    modbus_port: int
    api_url: str
    plant: Plant
    faults: Faults
    triggers: FaultTriggers
    cloud: SimulatedCloud
    inverter: InverterServer

    def advance(self, seconds: int) -> None:
        """Let simulated seconds pass at once, then the charger reports changes."""
        for _ in range(seconds):
            self.plant.step()
        self.cloud.observe()


@asynccontextmanager
async def running_house(spec: RunSpec | None = None) -> AsyncIterator[SimulatedHouse]:
    """A house that runs in this event loop until the block ends.

    Raises ValueError or OSError for a day that cannot be read, OSError for a port in use.
    """
    async with _started(spec or RunSpec()) as (house, _):
        yield house


async def run_house(spec: RunSpec, console: Console) -> None:
    """Run a house and print its addresses, until SIGINT or SIGTERM. Raises as `running_house`."""
    loop = asyncio.get_running_loop()
    asked_to_stop = asyncio.Event()
    async with _started(spec) as (house, tasks):
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, asked_to_stop.set)
        console.print(
            f"House ready: inverter at {house.host}:{house.modbus_port} "
            f"(unit {spec.inverter.entry_unit}), Easee API at {house.api_url}",
            soft_wrap=True,
        )
        waiting = asyncio.create_task(asked_to_stop.wait())
        await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()


@asynccontextmanager
async def _started(spec: RunSpec) -> AsyncIterator[tuple[SimulatedHouse, list[asyncio.Task[None]]]]:
    day = load_day(spec.day) if isinstance(spec.day, str) else spec.day
    plant = Plant(day, spec.house, spec.start_s, spec.speed or 1)
    faults, triggers = Faults(), FaultTriggers()
    cloud = SimulatedCloud(plant, spec.cloud, faults, triggers, spec.speed)
    inverter = InverterServer(plant, spec.inverter, faults, triggers)
    admin = admin_routes(plant, faults, triggers, inverter, cloud.counts, spec.speed)
    with _listen(spec.api_port) as listener:
        modbus_port = await inverter.start(HOST, spec.modbus_port)
        api_url = f"http://{HOST}:{listener.getsockname()[1]}"
        house = SimulatedHouse(HOST, modbus_port, api_url, plant, faults, triggers, cloud, inverter)
        sources = [*PriceRoutes(faults).routes(), *SolarRoutes(plant, faults).routes()]
        server = _ApiServer(build_app([*cloud.routes(), *admin, *sources]))
        tasks = [asyncio.create_task(server.serve(sockets=[listener]), name="house API")]
        if spec.speed:
            tasks.append(asyncio.create_task(_keep_time(house, spec.speed), name="house clock"))
        try:
            yield house, tasks
        finally:
            await inverter.stop()
            await server.stop()
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


def _listen(port: int) -> socket.socket:
    """A listening socket, bound first, so that a port in use is a plain OSError."""
    # asyncio turns Nagle's algorithm off only if the protocol number is given.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


async def _keep_time(house: SimulatedHouse, speed: int) -> None:
    """Advance the house with the clock; only short pauses are caught up."""
    tick_s = min(_LONGEST_TICK_S, max(_SHORTEST_TICK_S, 1 / speed))
    began_s, passed = time.monotonic(), 0
    while True:
        await asyncio.sleep(tick_s)
        due = int((time.monotonic() - began_s) * speed)
        house.advance(min(due - passed, int(_CATCH_UP_S * speed)))
        passed = due


class _ApiServer(uvicorn.Server):
    """A uvicorn server in an existing event loop."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                ws="websockets-sansio",
                log_config=None,
                log_level="critical",
                date_header=False,  # the simulated cloud has its own clock
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the host."""
        yield

    async def stop(self) -> None:
        """Cancel pending requests and close all connections at once."""
        under_way = list(self.server_state.tasks)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for server in self.servers if self.started else []:
            server.close()
