"""Huawei SUN2000 over Modbus TCP: the client that owns the connection."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from datetime import UTC, datetime

from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.devices.huawei.connection import ModbusConnection, TooSlow
from easee_load_balancer.devices.huawei.meter_monitor import MeterMonitor
from easee_load_balancer.devices.huawei.registers import (
    METER,
    BatteryValues,
    Block,
    MeterValues,
    PowerValues,
    decode_meter,
    inverter_reading,
)
from easee_load_balancer.devices.huawei.sun2000 import Sun2000
from easee_load_balancer.errors import (
    InverterBusy,
    InverterError,
    InverterImplausible,
    InverterUnreachable,
    InverterUnsupported,
)
from easee_load_balancer.measurements import InverterReading

_FIRST_PAUSE_S = 0.5
_HIGHEST_GRID_W = 60_000
"""3 x 87 A: more than any main fuse of a home."""


class Inverter:
    """One connection to one inverter, kept open between readings; safe for concurrent callers.

    The device serves one client at a time, so keep one instance per inverter.
    """

    def __init__(self, address: InverterAddress) -> None:
        self.address = address
        self._connection = ModbusConnection(address)
        self._sun2000 = Sun2000(self._connection)
        self._lock = asyncio.Lock()
        self._meter = MeterMonitor()

    async def read(self, *, night: bool = False) -> InverterReading:
        """Power, battery and meter in three requests, retried within the time budget.

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

    async def read_blocks(self, *blocks: Block) -> list[Sequence[int] | None]:
        """These blocks, in one attempt; None for those that the device does not know.

        Raises as `read` does.
        """
        async with self._lock:
            good = False
            try:
                await self._connection.connect()
                answers: list[Sequence[int] | None] = []
                for block in blocks:
                    try:
                        answers.append(await self._connection.read(block))
                    except InverterUnsupported:
                        answers.append(None)
                good = True
                return answers
            finally:
                if not good:
                    self._connection.disconnect()

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
                    reading = await self._read_once()
                good = True
                return reading
            except TimeoutError:
                break
            except TooSlow:
                good = True  # no answer is due: the next reading continues on this connection
                raise
            except InverterImplausible as error:
                failure = error
                self._sun2000.forget_rating()
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

    async def _read_once(self) -> InverterReading:
        await self._connection.connect()
        rated_w = await self._sun2000.rated_w()
        power = await self._sun2000.power()
        battery = await self._sun2000.battery()
        words = await self._connection.read(METER)
        meter = decode_meter(words)
        self._check(rated_w, power, battery, meter)
        self._sun2000.battery_seen = battery is not None
        now = datetime.now(UTC)
        meter, unchanged_since = self._meter.checked(meter), self._meter.unchanged_since(now, words)
        return inverter_reading(now, power, battery, meter, rated_w, unchanged_since)

    def _check(
        self,
        rated_w: float,
        power: PowerValues,
        battery: BatteryValues | None,
        meter: MeterValues,
    ) -> None:
        """Raise InverterImplausible for values that a mixed-up answer would give."""
        highest_w = 2 * rated_w
        values = [("PV power", power.pv_w, highest_w), ("AC power", power.inverter_ac_w, highest_w)]
        values += [("grid power", meter.grid_export_w, max(highest_w, _HIGHEST_GRID_W))]
        if battery is not None:
            values += [("battery power", battery.charge_w, highest_w)]
            values += [("state of charge", battery.soc_pct, 100)]
        phase_w = max(highest_w, _HIGHEST_GRID_W)
        values += [("phase power", watts, phase_w) for watts in meter.grid_export_phase_w]
        values += [("phase current", amps, phase_w // 200) for amps in meter.current_a]
        for name, value, highest in values:
            if value is not None and abs(value) > highest:
                raise InverterImplausible(
                    f"The inverter at {self.address} reports a {name} of {value:g}, which cannot "
                    "be; the reading is ignored."
                )
