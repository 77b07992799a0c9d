"""A simulated inverter on a socket, and bare Modbus frames to and from it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pymodbus.client import AsyncModbusTcpClient

from easee_load_balancer.simulation.faults import Faults, ModbusFault
from easee_load_balancer.simulation.huawei.modbus_server import InverterServer
from easee_load_balancer.simulation.huawei.units import InverterSpec
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.simulation.plant.plant import HouseSpec, Plant
from tests.support.waiting import LONGEST_S

HOST = "127.0.0.1"
QUICK = InverterSpec(settle_s=0.0, latency_s=0.001)
_IN_VAIN_S = 0.15
"""An answer would be there by then."""


class ServedPlant:
    """A running inverter server with its plant and faults."""

    def __init__(self, spec: InverterSpec, house: HouseSpec, pv_w: float) -> None:
        day = Day("flat", (pv_w,) * 720 + (0.0,) * 720, (400.0,) * 1440)
        self.plant = Plant(day, house, start_s=36_000)
        self.plant.car.unplug()
        self.faults = Faults()
        self.server = InverterServer(self.plant, spec, self.faults)
        self.port = 0

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A bare socket."""
        return await asyncio.open_connection(HOST, self.port)

    async def read(self, address: int, count: int, unit: int = 1) -> list[int]:
        """Registers by a new connection; an exception's code as one negative number."""
        client = AsyncModbusTcpClient(
            HOST, port=self.port, timeout=LONGEST_S, retries=0, reconnect_delay=0
        )
        assert await client.connect()
        try:
            reply = await client.read_holding_registers(address, count=count, device_id=unit)
        finally:
            client.close()
        return [-reply.exception_code] if reply.isError() else list(reply.registers)

    def pass_time(self, seconds: int) -> None:
        """Let simulated seconds pass."""
        for _ in range(seconds):
            self.plant.step()


@asynccontextmanager
async def running(
    spec: InverterSpec = QUICK, house: HouseSpec | None = None, pv_w: float = 6000.0
) -> AsyncIterator[ServedPlant]:
    """A server of that house."""
    served = ServedPlant(spec, house or HouseSpec(), pv_w)
    served.port = await served.server.start(HOST, 0)
    try:
        yield served
    finally:
        await served.server.stop()


@asynccontextmanager
async def connected(
    fault: ModbusFault | None = None, spec: InverterSpec = QUICK
) -> AsyncIterator[tuple[ServedPlant, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A server with that fault, and a bare connection to it."""
    async with running(spec) as house:
        house.faults.modbus = fault
        reader, writer = await house.connect()
        yield house, reader, writer


def request(transaction: int, address: int, count: int, unit: int = 1, function: int = 3) -> bytes:
    """A frame that asks for registers."""
    return struct.pack(">HHHBBHH", transaction, 0, 6, unit, function, address, count)


async def reply(reader: asyncio.StreamReader) -> tuple[int, int, bytes]:
    """Transaction id, unit id and PDU of the next frame."""
    async with asyncio.timeout(LONGEST_S):
        transaction, protocol, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
        assert protocol == 0
        return transaction, unit, await reader.readexactly(length - 1)


async def says_nothing(reader: asyncio.StreamReader) -> bool:
    """Whether no byte comes."""
    try:
        async with asyncio.timeout(_IN_VAIN_S):
            await reader.read(1)
    except TimeoutError:
        return True
    return False


async def is_reset(reader: asyncio.StreamReader) -> bool:
    """Wait for the end of the connection: whether it was a reset."""
    async with asyncio.timeout(LONGEST_S):
        (ended,) = await asyncio.gather(reader.read(1), return_exceptions=True)
    return isinstance(ended, ConnectionResetError)
