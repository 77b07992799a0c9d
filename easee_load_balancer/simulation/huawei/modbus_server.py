"""The simulated inverter on the network: a Modbus TCP server that behaves like a SUN2000's dongle.

It serves one client at a time and one request after another, ignores requests right after
connecting, is silent at night without a battery, and shows the faults of `Faults.modbus`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle, islice

from easee_load_balancer.simulation.fault_triggers import FaultTriggers
from easee_load_balancer.simulation.faults import Faults, ModbusFault
from easee_load_balancer.simulation.huawei import registers
from easee_load_balancer.simulation.huawei.encoding import Words
from easee_load_balancer.simulation.huawei.frames import (
    NotModbusError,
    Request,
    bind,
    exception,
    read_request,
    reset,
)
from easee_load_balancer.simulation.huawei.registers import Today
from easee_load_balancer.simulation.plant.plant import MeterSample, Plant, faulty

INVERTER_REFRESH_S = 3
"""Plant seconds between two measurements of the inverter; the meter has its own interval."""

_READ_HOLDING_REGISTERS, _READ_INPUT_REGISTERS = 3, 4
_METER = struct.pack(">H", 37100)
_WRITES = (6, 16)
_MAX_REGISTERS = 125

_ILLEGAL_FUNCTION = 1
_ILLEGAL_ADDRESS = 2
_ILLEGAL_VALUE = 3
_BUSY = 6
_NO_PERMISSION = 0x80
"""The vendor's own code: writing needs a login."""

_WATCH_S = 0.05
_DAY_S = 86_400

_BANNER = b"SSH-2.0-dropbear_2020.81\r\n"
_NO_MODBUS = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_OTHER_PAYLOAD = struct.unpack(">8H", b"SUN2000-10KTL-M1")


@dataclass(frozen=True, slots=True)
class InverterSpec:
    """Behaviour of the dongle."""

    unit_id: int = 1
    """Requests to this unit and to 0 are answered, others are ignored."""
    settle_s: float = 1.0
    """Requests within this time after connecting are ignored."""
    latency_s: float = 0.03
    """How long each request takes."""


@dataclass(frozen=True, slots=True)
class _Client:
    writer: asyncio.StreamWriter
    task: asyncio.Task[None]

    def reset(self) -> None:
        """Disconnect the client with a TCP reset."""
        reset(self.writer)
        self.task.cancel()


class InverterServer:
    """The inverter of `plant` as a Modbus TCP server; `faults` may be changed at any time."""

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
        self._fixed = registers.fixed(plant.spec)
        self._today = Today.begin(plant, int(time.time()) // _DAY_S * _DAY_S)
        self._measured: Words = {}
        self._measured_at_s: int | None = None
        self._frozen: MeterSample | None = None
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
        self._measure()
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
        asleep = self._plant.asleep
        while True:
            self._measure()
            fell_asleep, asleep = self._plant.asleep and not asleep, self._plant.asleep
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
        except (asyncio.IncompleteReadError, ConnectionError, NotModbusError):
            pass
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        settled_at = clock() + self._spec.settle_s
        if self._faults.modbus == "garbage":
            writer.write(_BANNER)
        while True:
            request = await read_request(reader)
            self.requests += 1
            if clock() < settled_at or not self._listens_to(request):
                continue
            fault = self._faults.modbus
            if fault == "reset":
                reset(writer)
                return
            await asyncio.sleep(self._spec.latency_s)
            if fault == "delay":
                await asyncio.sleep(self._faults.modbus_delay_s)
            answer = self._answer(request.pdu, fault)
            writer.write(_NO_MODBUS if fault == "garbage" else request.frame(answer))
            await writer.drain()
            if request.pdu[1:3] == _METER:
                self._triggers.note_read("meter")

    def _listens_to(self, request: Request) -> bool:
        """Whether the request is answered."""
        if request.unit_id not in (0, self._spec.unit_id) or self._plant.asleep:
            return False
        dropping = self._faults.modbus == "drop"
        dropped, self._drop_next = dropping and self._drop_next, dropping and not self._drop_next
        return not dropped and self._faults.modbus != "silent"

    def _answer(self, pdu: bytes, fault: ModbusFault | None) -> bytes:
        """The reply to a request, without its frame."""
        function = pdu[0]
        if fault == "busy":
            return exception(function, _BUSY)
        if function in _WRITES:
            return exception(function, _NO_PERMISSION)
        if function != _READ_HOLDING_REGISTERS:
            return exception(function, _ILLEGAL_FUNCTION)
        if len(pdu) != 5:
            return exception(function, _ILLEGAL_VALUE)
        address, count = struct.unpack(">HH", pdu[1:])
        if not 1 <= count <= _MAX_REGISTERS:
            return exception(function, _ILLEGAL_VALUE)
        words = self._registers()
        values = registers.select(words, address, count, self._plant.spec.battery is not None)
        if values is None:
            return exception(function, _ILLEGAL_ADDRESS)
        if fault == "short":
            values = values[: count // 2]
        elif fault == "implausible":
            values = list(islice(cycle(_OTHER_PAYLOAD), count))
        if fault == "function":
            function = _READ_INPUT_REGISTERS
        return struct.pack(f">BB{len(values)}H", function, 2 * len(values), *values)

    def _registers(self) -> Words:
        """All registers now."""
        self._measure()
        spec = self._plant.spec
        phases = spec.phases if spec.meter_phases is None else spec.meter_phases
        sample = self._sample() if phases and self._plant.meter_online else None
        return self._fixed | self._measured | registers.meter(sample, phases)

    def _sample(self) -> MeterSample | None:
        """What the meter shows; None = offline."""
        fault, shown = self._faults.meter, self._plant.meter
        self._frozen = (self._frozen or shown) if fault == "frozen" else None
        if fault == "offline":
            return None
        return self._frozen or faulty(shown, fault, self._plant.clock_s)

    def _measure(self) -> None:
        """Refresh the inverter's own values when due; the meter's come from the plant."""
        plant = self._plant
        self._today = self._today.at(plant)
        due = self._measured_at_s is None or (
            plant.clock_s - self._measured_at_s >= INVERTER_REFRESH_S
        )
        if due:
            self._measured_at_s = plant.clock_s
            self._measured = registers.inverter(plant, self._today)
            self._measured |= registers.battery(plant, self._today)


async def _hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Keep a connection until the other end closes it."""
    with suppress(ConnectionError):
        await reader.read()
    writer.close()
