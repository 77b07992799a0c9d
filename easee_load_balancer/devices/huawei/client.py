"""A Huawei plant over Modbus TCP: the client that owns the connection."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.devices.huawei.connection import ModbusConnection, TooSlow
from easee_load_balancer.devices.huawei.plants import plant_at
from easee_load_balancer.devices.huawei.registers import Block
from easee_load_balancer.errors import (
    InverterBusy,
    InverterError,
    InverterImplausible,
    InverterUnreachable,
    InverterUnsupported,
    WriteRefused,
)
from easee_load_balancer.measurements import InverterReading

_FIRST_PAUSE_S = 0.5


class Inverter:
    """One connection to one plant, kept open between readings; safe for concurrent callers.

    The device serves one client at a time, so keep one instance per address.
    """

    def __init__(self, address: InverterAddress) -> None:
        self.address = address
        self._connection = ModbusConnection(address)
        self._plant = plant_at(self._connection)
        self._lock = asyncio.Lock()

    async def read(self, *, night: bool = False) -> InverterReading:
        """Power, battery and meter, retried within the time budget.

        With `night`, an inverter that does not answer counts as asleep. What was learned of the
        plant is kept, so that a slow dongle, which needs the whole budget, gets further each time.
        Raises InverterUnreachable, InverterBusy, InverterUnsupported or InverterImplausible.
        """
        connection = self._connection
        async with self._lock:
            # `answered` is still that of the reading before
            budget_s = self.address.budget_s / (2 if night and not connection.answered else 1)
            connection.answered = False
            try:
                return await self._read_with_retries(budget_s)
            except InverterUnreachable:
                if night and not connection.answered:
                    return InverterReading.sleeping(datetime.now(UTC))
                raise
            finally:
                connection.deadline = math.inf

    async def read_blocks(
        self, *blocks: Block, unit_id: int | None = None
    ) -> list[Sequence[int] | None]:
        """These blocks, in one attempt; None for those that the device does not know.

        Raises as `read` does.
        """
        async with self._attempt():
            answers: list[Sequence[int] | None] = []
            for block in blocks:
                try:
                    answers.append(await self._connection.read(block, unit_id))
                except InverterUnsupported:
                    answers.append(None)
            return answers

    async def device_list(self, unit_id: int) -> list[bytes]:
        """The entries of that unit's device list. Raises as `read` does."""
        async with self._attempt():
            return await self._connection.device_list(unit_id)

    @asynccontextmanager
    async def _attempt(self) -> AsyncIterator[None]:
        """Connected, alone; after any failure but a refusal, disconnected."""
        async with self._lock:
            good = False
            try:
                await self._connection.connect()
                yield
                good = True
            except (InverterUnsupported, WriteRefused):
                good = True
                raise
            finally:
                if not good:
                    self._connection.disconnect()

    async def write(self, register: int, *words: int) -> None:
        """Write one register, or the two of a 32-bit value, in one attempt.

        Raises as `ModbusConnection.write` does.
        """
        async with self._attempt():
            await self._connection.write(register, *words)

    async def close(self) -> None:
        """Disconnect, so that another client can connect."""
        async with self._lock:
            self._connection.disconnect()

    async def _read_with_retries(self, budget_s: float) -> InverterReading:
        loop = asyncio.get_running_loop()
        deadline = self._connection.deadline = loop.time() + budget_s
        failure: InverterError = InverterUnreachable(
            f"No answer from the inverter at {self.address} within {budget_s:.0f} s. "
            "Is it on, and is no other program connected to it?"
        )
        pause_s = _FIRST_PAUSE_S
        while True:
            good = False
            try:
                async with asyncio.timeout_at(deadline):
                    await self._connection.connect()
                    reading = await self._plant.read()
                good = True
                return reading
            except TimeoutError:
                break
            except TooSlow:
                good = True  # no answer is due: the next reading continues on this connection
                raise
            except InverterImplausible as error:
                failure = error
                self._plant.distrust()
            except (InverterUnreachable, InverterBusy) as error:
                failure = error
            finally:
                if not good:  # also when cancelled: a late reply must not answer the next request
                    self._connection.disconnect()
            if loop.time() + pause_s >= deadline:
                break
            await asyncio.sleep(pause_s)
            pause_s *= 2
        raise failure
