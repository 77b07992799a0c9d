"""One Modbus TCP connection to an inverter, and requests on it."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence

from pymodbus import ModbusException
from pymodbus.client import AsyncModbusTcpClient

from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.devices.huawei.registers import Block
from easee_load_balancer.errors import (
    InverterBusy,
    InverterError,
    InverterImplausible,
    InverterUnreachable,
    InverterUnsupported,
)

# It logs whatever a device sends, up to megabytes; our errors say what is wrong.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
# asyncio writes a traceback for each frame that pymodbus cannot decode.
logging.getLogger("asyncio").addFilter(
    lambda record: not (record.exc_info and isinstance(record.exc_info[1], ModbusException))
)

_READ_HOLDING_REGISTERS = 3
_ILLEGAL_ADDRESS, _ILLEGAL_VALUE, _DEVICE_FAILURE, _DEVICE_BUSY = 2, 3, 4, 6


class TooSlow(InverterUnreachable):
    """The time left is too short for another answer; nothing is under way."""


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

    async def connect(self) -> None:
        """Connect and let the device settle, unless connected. Raises InverterUnreachable."""
        if self._client is not None and self._client.connected:
            return
        self.disconnect()
        self._lost = lost = asyncio.get_running_loop().create_future()

        def note_loss(connected: bool) -> None:
            if not connected and not lost.done():
                lost.set_result(None)

        client = AsyncModbusTcpClient(
            self.address.host,
            port=self.address.port,
            timeout=self.address.timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_connect=note_loss,
        )
        if not await client.connect():
            client.close()
            raise InverterUnreachable(
                f"Cannot connect to the inverter at {self.address}. Is it on, in this network, "
                "and is Modbus TCP enabled in its settings?"
            )
        self._client = client
        await asyncio.sleep(self.address.settle_time_s)

    def disconnect(self) -> None:
        """Close the connection, so that another client can connect."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def read(self, block: Block) -> Sequence[int]:
        """The answer to one request, checked for its length.

        Raises InverterUnreachable, InverterBusy, InverterUnsupported or InverterImplausible.
        """
        client, lost = self._client, self._lost
        if client is None or lost is None or lost.done():
            raise InverterUnreachable(f"The connection to the inverter at {self.address} was lost.")
        began_s = asyncio.get_running_loop().time()
        if began_s + self._answer_s > self.deadline:
            raise TooSlow(
                f"The inverter at {self.address} answers slowly ({self._answer_s:.1f} s a "
                "request): not everything could be read in time. The next cycle continues."
            )
        request = asyncio.ensure_future(
            client.read_holding_registers(
                block.address, count=block.count, device_id=self.address.unit_id
            )
        )
        try:
            await asyncio.wait((request, lost), return_when=asyncio.FIRST_COMPLETED)
            if not request.done():
                raise InverterUnreachable(
                    f"The inverter at {self.address} closed the connection. It serves one client "
                    "at a time: is another program connected?"
                )
            reply = request.result()
        except ModbusException as error:
            raise InverterUnreachable(
                f"No answer from the inverter at {self.address} to register {block.address}: is "
                "it on, is the unit id right, and is no other program connected to it?"
            ) from error
        finally:
            request.cancel()
        self._answer_s = asyncio.get_running_loop().time() - began_s
        if reply.function_code & 0x7F != _READ_HOLDING_REGISTERS:
            raise InverterImplausible(
                f"The inverter at {self.address} answered function {reply.function_code} to "
                f"function {_READ_HOLDING_REGISTERS}; the answer is ignored."
            )
        if reply.isError():
            raise self._refusal(reply.exception_code, block)
        registers, self.answered = reply.registers, True
        if len(registers) != block.count:
            raise InverterImplausible(
                f"The inverter at {self.address} sent {len(registers)} registers instead of "
                f"{block.count} from {block.address}; the answer is ignored."
            )
        return registers

    def _refusal(self, code: int, block: Block) -> InverterError:
        where = f"The inverter at {self.address}"
        if code == _DEVICE_BUSY:
            return InverterBusy(f"{where} is busy. It usually answers again within seconds.")
        if code == _DEVICE_FAILURE:
            return InverterUnreachable(
                f"{where} is asleep behind its dongle or reports a failure (Modbus exception 4)."
            )
        if code in (_ILLEGAL_ADDRESS, _ILLEGAL_VALUE):
            return InverterUnsupported(
                f"{where} does not know register {block.address}. Is it a SUN2000, and is the "
                "unit id right?"
            )
        return InverterUnsupported(f"{where} refuses to be read (Modbus exception {code}).")
