"""The simulated plant on the network: a Modbus TCP server that behaves like a SUN2000's dongle,
an EMMA or a SmartLogger.

It serves one client at a time and one request after another, ignores requests right after
connecting, is silent at night without a battery, and shows the faults of `Faults.modbus`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle, islice

from easee_load_balancer.simulation.fault_triggers import FaultTriggers
from easee_load_balancer.simulation.faults import Faults, ModbusFault
from easee_load_balancer.simulation.huawei.frames import (
    MAX_PDU_BYTES,
    NotModbusError,
    Request,
    bind,
    exception,
    read_request,
    reset,
)
from easee_load_balancer.simulation.huawei.units import InverterSpec, Units
from easee_load_balancer.simulation.plant.plant import Plant

_READ_HOLDING_REGISTERS, _READ_INPUT_REGISTERS = 3, 4
_READ_DEVICE_IDENTIFICATION, _MEI_TYPE, _READ_EXTENDED = 0x2B, 0x0E, 0x03
_DEVICE_COUNT = 0x87
"""Object of the device list: how many there are; the devices follow."""
_METERS = tuple(struct.pack(">H", address) for address in (37100, 31639, 32260))
_WRITES = (6, 16)
_MAX_REGISTERS = 125

_ILLEGAL_FUNCTION = 1
_ILLEGAL_VALUE = 3
_BUSY = 6

_WATCH_S = 0.05

_BANNER = b"SSH-2.0-dropbear_2020.81\r\n"
_NO_MODBUS = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_OTHER_PAYLOAD = struct.unpack(">8H", b"SUN2000-10KTL-M1")


@dataclass(frozen=True, slots=True)
class _Client:
    writer: asyncio.StreamWriter
    task: asyncio.Task[None]

    def reset(self) -> None:
        """Disconnect the client with a TCP reset."""
        reset(self.writer)
        self.task.cancel()


class InverterServer:
    """The devices of `plant` as a Modbus TCP server; `faults` may be changed at any time."""

    def __init__(
        self,
        plant: Plant,
        spec: InverterSpec,
        faults: Faults,
        triggers: FaultTriggers | None = None,
    ) -> None:
        self.connections = 0
        """Connections since the start."""
        self.requests = 0
        """Requests since the start, unanswered ones included."""
        self._plant = plant
        self._spec = spec
        self._faults = faults
        self._triggers = triggers or FaultTriggers()
        self._units = Units(plant, spec, faults)
        self.battery_writes = self._units.battery_writes
        self._drop_next = False
        self._client: _Client | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._rival: asyncio.StreamWriter | None = None
        """The competing client of that fault, while it is connected."""

    async def start(self, host: str, port: int) -> int:
        """Listen at `host` and `port` (0 = a free one) and return the port.

        Raises OSError when the address is not available.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        self._socket = bind(family, address)
        bound: int = self._socket.getsockname()[1]
        if self._faults.modbus != "refuse":
            await self._listen(self._socket)
        self._units.measure()
        self._watcher = asyncio.create_task(self._watch())
        return bound

    async def stop(self) -> None:
        """Stop listening and reset the connected client."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
            self._watcher = None
        if self._rival is not None:
            self._rival.close()
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._reset_client()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _listen(self, bound: socket.socket) -> None:
        self._server = await asyncio.start_server(self._accept, sock=bound, start_serving=False)
        await self._server.start_serving()

    async def _watch(self) -> None:
        """Follow the plant, nightfall and the faults between requests."""
        asleep = self._units.asleep
        while True:
            self._units.measure()
            fell_asleep, asleep = self._units.asleep and not asleep, self._units.asleep
            refusing = self._faults.modbus == "refuse"
            if refusing or fell_asleep:
                self._reset_client()
            if refusing:
                self._refuse()
            elif self._server is None and self._socket is not None:
                await self._listen(self._socket)
            await self._compete(self._faults.modbus == "rival")
            await asyncio.sleep(_WATCH_S)

    async def _compete(self, wanted: bool) -> None:
        """Reconnect the rival when it has lost the connection, or disconnect it."""
        rival = self._rival
        if rival is not None and (rival.is_closing() or not wanted):
            rival.close()
            self._rival = rival = None
        if wanted and rival is None and self._socket is not None:
            reader, self._rival = await asyncio.open_connection(*self._socket.getsockname()[:2])
            waiting = asyncio.create_task(_hold(reader, self._rival))
            self._tasks.add(waiting)
            waiting.add_done_callback(self._tasks.discard)

    def _refuse(self) -> None:
        """Stop listening; a bound socket keeps the port reserved."""
        if self._server is None or self._socket is None:
            return
        family, address = self._socket.family, self._socket.getsockname()
        self._server.close()
        self._server = None
        self._socket = bind(family, address)

    def _reset_client(self) -> None:
        if self._client is not None:
            self._client.reset()
            self._client = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A new connection replaces the previous one."""
        if self._faults.modbus == "refuse":
            reset(writer)
            return
        self._reset_client()
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._client = _Client(writer, task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from its first to its last byte."""
        try:
            await self._converse(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, NotModbusError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        settled_at, idle_s = clock() + self._spec.settle_s, self._spec.idle_s
        if self._faults.modbus == "garbage":
            writer.write(_BANNER)
        while True:
            async with asyncio.timeout(idle_s):
                request = await read_request(reader)
            self.requests, idle_s = self.requests + 1, None
            if clock() < settled_at or not self._listens_to(request):
                continue
            fault = self._faults.modbus
            if fault == "reset" or self._units.drops(request.pdu):
                reset(writer)
                return
            await asyncio.sleep(self._spec.latency_s)
            if fault == "delay":
                await asyncio.sleep(self._faults.modbus_delay_s)
            if request.pdu[0] in _WRITES:
                await asyncio.sleep(self.battery_writes.next_takes_s())
            answer = self._answer(request, fault)
            if answer is None:
                continue
            writer.write(_NO_MODBUS if fault == "garbage" else request.frame(answer))
            await writer.drain()
            if request.pdu[1:3] in _METERS:
                self._triggers.note_read("meter")

    def _listens_to(self, request: Request) -> bool:
        """Whether the request is answered."""
        if not self._units.knows(request.unit_id) or self._units.asleep:
            return False
        dropping = self._faults.modbus == "drop"
        dropped, self._drop_next = dropping and self._drop_next, dropping and not self._drop_next
        return not dropped and self._faults.modbus != "silent"

    def _answer(self, request: Request, fault: ModbusFault | None) -> bytes | None:
        """The reply to a request, without its frame; None = no reply."""
        pdu = request.pdu
        function = pdu[0]
        if fault == "busy":
            return exception(function, _BUSY)
        if function in _WRITES:
            return self._units.write(request.unit_id, pdu)
        if function == _READ_DEVICE_IDENTIFICATION:
            return self._device_list(pdu)
        if function != _READ_HOLDING_REGISTERS:
            return exception(function, _ILLEGAL_FUNCTION)
        if len(pdu) != 5:
            return exception(function, _ILLEGAL_VALUE)
        address, count = struct.unpack(">HH", pdu[1:])
        if not 1 <= count <= _MAX_REGISTERS:
            return exception(function, _ILLEGAL_VALUE)
        values = self._units.answer(request.unit_id, address, count)
        if isinstance(values, int):
            return exception(function, values)
        if fault == "short":
            values = values[: count // 2]
        elif fault == "implausible":
            values = list(islice(cycle(_OTHER_PAYLOAD), count))
        if fault == "function":
            function = _READ_INPUT_REGISTERS
        return struct.pack(f">BB{len(values)}H", function, 2 * len(values), *values)

    def _device_list(self, pdu: bytes) -> bytes:
        """The reply to "read device identification": as many devices as fit, from that one on."""
        devices = self._units.devices()
        if devices is None or pdu[1:3] != bytes((_MEI_TYPE, _READ_EXTENDED)) or len(pdu) != 4:
            return exception(pdu[0], _ILLEGAL_FUNCTION)
        objects = [bytes((len(devices),)), *(device.encode("ascii") for device in devices)]
        first = max(0, pdu[3] - _DEVICE_COUNT)
        listed, count = b"", 0
        for number, value in enumerate(objects[first:], first + _DEVICE_COUNT):
            if len(listed) + len(value) + 2 > MAX_PDU_BYTES - 7:
                break
            listed += bytes((number, len(value))) + value
            count += 1
        following = first + _DEVICE_COUNT + count
        more = following < _DEVICE_COUNT + len(objects)
        head = (*pdu[:3], _READ_EXTENDED, 0xFF * more, following * more, count)
        return bytes(head) + listed


async def _hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Keep a connection until the other end closes it."""
    with suppress(ConnectionError):
        await reader.read()
    writer.close()
