"""What is read from one SUN2000, with what was learned about it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from easee_load_balancer.devices.huawei.connection import ModbusConnection
from easee_load_balancer.devices.huawei.registers import (
    BATTERY,
    BATTERY_POWER_ONLY,
    BATTERY_UNIT_1,
    POWER,
    RATED_POWER,
    RATING,
    BatteryValues,
    Block,
    PowerValues,
    decode_battery,
    decode_battery_unit_1,
    decode_power,
)
from easee_load_balancer.errors import InverterImplausible, InverterUnsupported

_NO_BATTERY_FOR_S = 300.0
"""How long a plant counts as one without battery until that is asked again."""


class Sun2000:
    """One inverter at a connection; its rating and its kind of battery are asked only once.

    The methods raise as `ModbusConnection.read` does.
    """

    def __init__(self, connection: ModbusConnection) -> None:
        self.battery_seen = False
        """Whether the last complete reading had a battery."""
        self._connection = connection
        self._rated_w: float | None = None
        self._known: dict[Block, bool] = {}
        """Battery blocks that were answered (True) or refused."""
        self._no_battery_since: float | None = None

    async def rated_w(self) -> float:
        """The rated AC power in W. Raises InverterImplausible for one that cannot be."""
        if self._rated_w is None:
            rated_w = RATING.decode(await self._connection.read(RATING), RATED_POWER)
            if not rated_w or not 500 <= rated_w <= 500_000:
                raise InverterImplausible(
                    f"The device at {self._connection.address} reports a rated power of {rated_w} "
                    "W, which cannot be: not a SUN2000, or a wrong answer. Check host, port and "
                    "unit id."
                )
            self._rated_w = rated_w
        return self._rated_w

    def forget_rating(self) -> None:
        """The rating may have been a wrong answer."""
        self._rated_w = None

    async def power(self) -> PowerValues:
        """PV and AC power now."""
        return decode_power(await self._connection.read(POWER))

    async def battery(self) -> BatteryValues | None:
        """The battery, or None for an inverter without one.

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
        if unit_1 is None and self.battery_seen:
            return BatteryValues(charge_w=None, soc_pct=None)
        self._no_battery_since = now_s if unit_1 is None else None
        return unit_1

    async def _read_known(self, block: Block) -> Sequence[int] | None:
        """The answer, or None where the device refuses, which it is asked only once."""
        if self._known.get(block) is False:
            return None
        try:
            words = await self._connection.read(block)
        except InverterUnsupported:
            self._known.setdefault(block, False)
            return None
        self._known[block] = True
        return words
