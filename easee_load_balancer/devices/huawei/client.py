"""Huawei SUN2000 over Modbus TCP: the client that holds the socket."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import BaseModel, Field
from pymodbus import ModbusException
from pymodbus.client import AsyncModbusTcpClient

from easee_load_balancer.devices.huawei.meter_monitor import MeterMonitor
from easee_load_balancer.devices.huawei.registers import (
    BATTERY,
    BATTERY_POWER_ONLY,
    BATTERY_UNIT_1,
    METER,
    POWER,
    RATED_POWER,
    RATING,
    BatteryValues,
    Block,
    MeterValues,
    PowerValues,
    decode_battery,
    decode_battery_unit_1,
    decode_meter,
    decode_power,
    inverter_reading,
)
from easee_load_balancer.errors import (
    InverterBusy,
    InverterError,
    InverterImplausible,
    InverterUnreachable,
    InverterUnsupported,
)
from easee_load_balancer.measurements import InverterReading

# It logs whatever a device sends, up to megabytes; our errors say what is wrong.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
# asyncio writes a traceback for each frame that pymodbus cannot decode.
logging.getLogger("asyncio").addFilter(
    lambda record: not (record.exc_info and isinstance(record.exc_info[1], ModbusException))
)

_FIRST_PAUSE_S = 0.5
_HIGHEST_GRID_W = 60_000
"""3 x 87 A: more than any main fuse of a home."""

_READ_HOLDING_REGISTERS = 3
_NO_BATTERY_FOR_S = 300.0
"""How long a plant counts as one without battery until that is asked again."""

_ILLEGAL_ADDRESS, _ILLEGAL_VALUE, _DEVICE_FAILURE, _DEVICE_BUSY = 2, 3, 4, 6


class InverterAddress(BaseModel):
    """Where the inverter listens, and timeouts."""

    host: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[^\s/]+$",
        title="Host",
        description="IP address or name of the inverter or its dongle, for example 192.168.1.40.",
    )
    port: int = Field(
        default=502,
        ge=1,
        le=65535,
        title="Port",
        description="502 on a dongle, 6607 on the inverter's own access point.",
    )
    unit_id: int = Field(
        default=1,
        ge=0,
        le=247,
        title="Unit id",
        description="1 on most dongles, 0 on the inverter's own access point.",
    )
    settle_time_s: float = Field(
        default=1.5,
        ge=0,
        le=5,
        title="Settle time (s)",
        description="Wait after connecting before the first request; old dongles need 1 to 2 s.",
    )
    timeout_s: float = Field(
        default=5.0,
        ge=0.2,
        le=8,
        title="Timeout (s)",
        description="Longest wait for one answer; 5 s suits old and new dongles.",
    )

    @property
    def budget_s(self) -> float:
        """Time for all attempts of one reading together (14.5 s by default).

        Enough to connect to an old dongle and wait 4 s for each of three answers, or for a second
        attempt after one lost answer.
        """
        return self.settle_time_s + 2.6 * self.timeout_s

    def __str__(self) -> str:
        return f"{self.host}:{self.port} unit {self.unit_id}"


class _TooSlow(InverterUnreachable):
    """The time left is too short for another answer; nothing is under way."""


class Inverter:
    """One connection to one inverter, kept open between readings; safe for concurrent callers.

    The device serves one client at a time, so keep one instance per inverter.
    """

    def __init__(self, address: InverterAddress) -> None:
        self.address = address
        self._client: AsyncModbusTcpClient | None = None
        self._lost: asyncio.Future[None] | None = None
        self._lock = asyncio.Lock()
        self._deadline = math.inf
        self._answer_s = 0.0
        """How long the last answer took."""
        self._answered = False
        """Whether this or, between readings, the last reading got any registers."""
        self._rated_w: float | None = None
        self._known: dict[Block, bool] = {}
        """Battery blocks that were answered (True) or refused."""
        self._no_battery_since: float | None = None
        self._battery_seen = False
        self._meter = MeterMonitor()

    async def read(self, *, night: bool = False) -> InverterReading:
        """Power, battery and meter in three requests, retried within the time budget.

        With `night`, an inverter that does not answer counts as asleep. What was learned of the
        plant is kept, so that a slow dongle, which needs the whole budget, gets further each time.
        Raises InverterUnreachable, InverterBusy, InverterUnsupported or InverterImplausible.
        """
        async with self._lock:
            budget_s = self.address.budget_s / (2 if night and not self._answered else 1)
            self._answered = False
            try:
                return await self._read_with_retries(budget_s)
            except InverterUnreachable:
                if night and not self._answered:
                    return InverterReading.sleeping(datetime.now(UTC))
                raise
            finally:
                self._deadline = math.inf

    async def read_blocks(self, *blocks: Block) -> list[Sequence[int] | None]:
        """These blocks, in one attempt; None for those that the device does not know.

        Raises as `read` does.
        """
        async with self._lock:
            good = False
            try:
                if self._client is None or not self._client.connected:
                    await self._connect()
                answers: list[Sequence[int] | None] = []
                for block in blocks:
                    try:
                        answers.append(await self._read_block(block))
                    except InverterUnsupported:
                        answers.append(None)
                good = True
                return answers
            finally:
                if not good:
                    self._disconnect()

    async def close(self) -> None:
        """Disconnect, so that another client can connect."""
        async with self._lock:
            self._disconnect()

    async def _read_with_retries(self, budget_s: float) -> InverterReading:
        loop = asyncio.get_running_loop()
        deadline = self._deadline = loop.time() + budget_s
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
            except _TooSlow:
                good = True  # no answer is due: the next reading continues on this connection
                raise
            except InverterImplausible as error:
                failure, self._rated_w = error, None  # the rating may have been the wrong answer
            except (InverterUnreachable, InverterBusy) as error:
                failure = error
            finally:
                if not good:  # also when cancelled: a late reply must not answer the next request
                    self._disconnect()
            if loop.time() + pause_s >= deadline:
                break
            await asyncio.sleep(pause_s)
            pause_s *= 2
        raise failure

    async def _read_once(self) -> InverterReading:
        if self._client is None or not self._client.connected:
            await self._connect()
        if self._rated_w is None:
            self._rated_w = await self._read_rating()
        power = decode_power(await self._read_block(POWER))
        battery = await self._read_battery()
        words = await self._read_block(METER)
        meter = decode_meter(words)
        self._check(self._rated_w, power, battery, meter)
        self._battery_seen = battery is not None
        now = datetime.now(UTC)
        meter, unchanged_since = self._meter.checked(meter), self._meter.unchanged_since(now, words)
        return inverter_reading(now, power, battery, meter, self._rated_w, unchanged_since)

    async def _connect(self) -> None:
        self._disconnect()
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

    async def _read_rating(self) -> float:
        rated_w = RATING.decode(await self._read_block(RATING), RATED_POWER)
        if not rated_w or not 500 <= rated_w <= 500_000:
            raise InverterImplausible(
                f"The device at {self.address} reports a rated power of {rated_w} W, which cannot "
                "be: not a SUN2000, or a wrong answer. Check host, port and unit id."
            )
        return rated_w

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    async def _read_battery(self) -> BatteryValues | None:
        """The battery, or None for a plant without one.

        Plants without one refuse the registers or answer zeros; some batteries only answer as
        unit 1. A battery seen before does not vanish: after a refusal it is unknown. That there
        is none is remembered for some minutes, then unit 1 alone is asked again.
        """
        now_s, since_s = asyncio.get_running_loop().time(), self._no_battery_since
        if since_s is not None and now_s - since_s < _NO_BATTERY_FOR_S:
            return None
        if since_s is None:
            words = await self._read_known(BATTERY) or await self._read_known(BATTERY_POWER_ONLY)
            battery = decode_battery(words) if words else None
            if battery is not None and (battery.soc_pct or battery.charge_w):
                return battery
        else:
            self._known.clear()
        words = await self._read_known(BATTERY_UNIT_1)
        unit_1 = decode_battery_unit_1(words) if words else None
        if unit_1 is None and self._battery_seen:
            return BatteryValues(charge_w=None, soc_pct=None)
        self._no_battery_since = now_s if unit_1 is None else None
        return unit_1

    async def _read_known(self, block: Block) -> Sequence[int] | None:
        """The answer, or None where the device refuses, which it is asked only once."""
        if self._known.get(block) is False:
            return None
        try:
            words = await self._read_block(block)
        except InverterUnsupported:
            self._known.setdefault(block, False)
            return None
        self._known[block] = True
        return words

    async def _read_block(self, block: Block) -> Sequence[int]:
        """The answer to one request, checked for its length."""
        client, lost = self._client, self._lost
        if client is None or lost is None or lost.done():
            raise InverterUnreachable(f"The connection to the inverter at {self.address} was lost.")
        began_s = asyncio.get_running_loop().time()
        if began_s + self._answer_s > self._deadline:
            raise _TooSlow(
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
        registers, self._answered = reply.registers, True
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
