"""One Modbus TCP connection to an inverter, and requests on it."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence

from pymodbus import ModbusException
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.mei_message import ReadDeviceInformationResponse

from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.devices.huawei.registers import Block
from easee_load_balancer.errors import (
    InverterBusy,
    InverterError,
    InverterImplausible,
    InverterUnreachable,
    InverterUnsupported,
    WriteRefused,
)

# It logs whatever a device sends, up to megabytes; our errors say what is wrong.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
# asyncio writes a traceback for each frame that pymodbus cannot decode.
logging.getLogger("asyncio").addFilter(
    lambda record: not (record.exc_info and isinstance(record.exc_info[1], ModbusException))
)

_READ_HOLDING_REGISTERS, _WRITE_REGISTER, _WRITE_REGISTERS = 3, 6, 16
_READ_DEVICE_IDENTIFICATION, _EXTENDED, _DEVICE_COUNT = 0x2B, 0x03, 0x87
"""The device list: the number of devices is object 0x87, the devices follow."""
_ILLEGAL_ADDRESS, _ILLEGAL_VALUE, _DEVICE_FAILURE, _DEVICE_BUSY = 2, 3, 4, 6
_NO_PATH, _TARGET_SILENT = 0x0A, 0x0B
"""A gateway's exceptions: the device behind it cannot be reached, or does not answer."""
_NO_PERMISSION = 0x80
"""The vendor's own code: writing needs a login."""


class TooSlow(InverterUnreachable):
    """The time left is too short for another answer; nothing is under way."""


class BehindGateway(InverterUnreachable):
    """A dongle or logger answered that the device behind it does not, as at night."""


class ConnectionLost(InverterUnreachable):
    """The device closed the connection: another client came, or it waits for no one (EMMA)."""


class ModbusConnection:
    """A connection that is opened when it is needed and kept until it fails; for one caller."""

    def __init__(self, address: InverterAddress) -> None:
        self.address = address
        self.deadline = math.inf
        """No request is sent that would be answered later than this (loop time)."""
        self.answered = False
        """Whether any registers came since this was last set to False."""
        self._client: AsyncModbusTcpClient | None = None
        self._lost: asyncio.Future[None] | None = None
        self._answer_s = 0.0
        """How long the last answer took."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._client is not None and self._client.connected

    @property
    def has_time_to_spare(self) -> bool:
        """Whether there is time for a request more, even if it takes twice as long as the last."""
        return asyncio.get_running_loop().time() + 2 * self._answer_s < self.deadline

    async def connect(self) -> None:
        """Connect and let the device settle, unless connected. Raises InverterUnreachable."""
        if self.connected:
            return
        self.disconnect()
        self._lost = lost = asyncio.get_running_loop().create_future()

        def note_loss(connected: bool) -> None:
            if not connected and not lost.done():
                lost.set_result(None)

        # kept at once, so that one given up while connecting is closed too
        client = self._client = AsyncModbusTcpClient(
            self.address.host,
            port=self.address.port,
            timeout=self.address.timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_connect=note_loss,
        )
        if not await client.connect():
            self.disconnect()
            raise InverterUnreachable(
                f"Cannot connect to the inverter at {self.address}. Is it on, in this network, "
                "and is Modbus TCP enabled in its settings?"
            )
        await asyncio.sleep(self.address.settle_s)

    def disconnect(self) -> None:
        """Close the connection, so that another client can connect."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def read(self, block: Block, unit_id: int | None = None) -> Sequence[int]:
        """The answer to one request, checked for its length; at the address's unit by default.

        Raises InverterUnreachable, InverterBusy, InverterUnsupported or InverterImplausible.
        """
        unit_id = self.address.unit_id if unit_id is None else unit_id
        where = self._where(unit_id)
        began_s = asyncio.get_running_loop().time()
        if began_s + self._answer_s > self.deadline:
            raise TooSlow(
                f"{where} answers slowly ({self._answer_s:.1f} s a request): not everything could "
                "be read in time. The next cycle continues."
            )
        reply = await self._exchange(
            lambda client: client.read_holding_registers(
                block.address, count=block.count, device_id=unit_id
            ),
            _READ_HOLDING_REGISTERS,
            where,
            f"register {block.address}",
        )
        self._answer_s = asyncio.get_running_loop().time() - began_s
        if reply.isError():
            raise _refusal(where, reply.exception_code, block)
        registers, self.answered = reply.registers, True
        if len(registers) != block.count:
            raise InverterImplausible(
                f"{where} sent {len(registers)} registers instead of {block.count} from "
                f"{block.address}; the answer is ignored."
            )
        return registers

    async def write(self, register: int, *words: int) -> None:
        """Write one register (function 6) or the two of a 32-bit value (16), at the address's unit.

        Raises WriteRefused, InverterBusy, InverterImplausible or InverterUnreachable; after the
        last two it may have been written.
        """
        unit_id, where = self.address.unit_id, self._where(self.address.unit_id)
        single = len(words) == 1

        def send(client: AsyncModbusTcpClient) -> Awaitable[ModbusPDU]:
            if single:
                return client.write_register(register, words[0], device_id=unit_id)
            return client.write_registers(register, list(words), device_id=unit_id)

        function = _WRITE_REGISTER if single else _WRITE_REGISTERS
        reply = await self._exchange(send, function, where, f"a write of register {register}")
        if reply.isError():
            raise _write_refusal(where, reply.exception_code, register)

    async def device_list(self, unit_id: int) -> list[bytes]:
        """What a device lists as connected to it, by "read device identification".

        Raises as `read` does; InverterUnsupported where it has no list.
        """
        objects: dict[int, bytes] = {}
        more, at = True, _DEVICE_COUNT
        while more:
            reply = await self._devices_from(at, unit_id)
            found = {key: one for key, one in reply.information.items() if isinstance(one, bytes)}
            objects |= found
            more, at = bool(reply.more_follows) and reply.next_object_id > at, reply.next_object_id
        return [one for key, one in sorted(objects.items()) if key > _DEVICE_COUNT]

    async def _devices_from(self, first: int, unit_id: int) -> ReadDeviceInformationResponse:
        where = self._where(unit_id)
        reply = await self._exchange(
            lambda client: client.read_device_information(
                read_code=_EXTENDED, object_id=first, device_id=unit_id
            ),
            _READ_DEVICE_IDENTIFICATION,
            where,
            "the request for its device list",
        )
        if reply.isError() or not isinstance(reply, ReadDeviceInformationResponse):
            raise InverterUnsupported(f"{where} has no list of devices.")
        return reply

    async def _exchange(
        self,
        send: Callable[[AsyncModbusTcpClient], Awaitable[ModbusPDU]],
        function: int,
        where: str,
        what: str,
    ) -> ModbusPDU:
        """The answer to one request, an exception included.

        Raises InverterUnreachable, or InverterImplausible for the answer to another function.
        """
        client, lost = self._client, self._lost
        if client is None or lost is None or lost.done():
            raise ConnectionLost(f"The connection to the inverter at {self.address} was lost.")
        request = asyncio.ensure_future(send(client))
        try:
            await asyncio.wait((request, lost), return_when=asyncio.FIRST_COMPLETED)
            if not request.done():
                raise ConnectionLost(
                    f"{where} closed the connection. It serves one client at a time: is another "
                    "program connected?"
                )
            reply = request.result()
        except ModbusException as error:
            raise InverterUnreachable(
                f"No answer from {where[0].lower()}{where[1:]} to {what}: is it on, is the unit "
                "id right, and is no other program connected to it?"
            ) from error
        finally:
            request.cancel()
        if reply.function_code & 0x7F != function:
            raise InverterImplausible(
                f"{where} answered function {reply.function_code} to function {function}; "
                "the answer is ignored."
            )
        return reply

    def _where(self, unit_id: int) -> str:
        return f"The inverter at {self.address.at_unit(unit_id)}"


def _refusal(where: str, code: int, block: Block) -> InverterError:
    if code == _DEVICE_BUSY:
        return InverterBusy(f"{where} is busy. It usually answers again within seconds.")
    if code in (_DEVICE_FAILURE, _NO_PATH, _TARGET_SILENT):
        return BehindGateway(
            f"{where} is asleep behind its dongle or reports a failure (Modbus exception {code})."
        )
    if code in (_ILLEGAL_ADDRESS, _ILLEGAL_VALUE):
        return InverterUnsupported(
            f"{where} does not know register {block.address}. Is it a SUN2000, and is the "
            "unit id right?"
        )
    return InverterUnsupported(f"{where} refuses to be read (Modbus exception {code}).")


def _write_refusal(where: str, code: int, register: int) -> InverterError:
    if code == _DEVICE_BUSY:
        return InverterBusy(f"{where} is busy. It usually answers again within seconds.")
    why = "writing needs a login" if code == _NO_PERMISSION else f"Modbus exception {code}"
    return WriteRefused(f"{where} refuses to have register {register} set ({why}).")
