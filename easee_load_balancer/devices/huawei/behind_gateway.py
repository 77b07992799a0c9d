"""Inverters without the grid meter, behind a dongle or logger: each may sleep or not answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from easee_load_balancer.devices.huawei.connection import BehindGateway, ModbusConnection, TooSlow
from easee_load_balancer.devices.huawei.registers import PowerValues
from easee_load_balancer.devices.huawei.sun2000 import InverterValues, Sun2000
from easee_load_balancer.errors import InverterUnreachable

_REST_S = 300.0
"""How long an inverter that was silent twice is not asked: each attempt costs a whole timeout."""
_NOTHING = PowerValues(pv_w=0.0, inverter_ac_w=0.0)
_UNKNOWN = PowerValues(pv_w=None, inverter_ac_w=None)


class OtherInverter:
    """One of several inverters; what it last said about its battery is kept."""

    def __init__(self, connection: ModbusConnection, unit_id: int) -> None:
        self._connection = connection
        self._inverter = Sun2000(connection, unit_id)
        self._last: InverterValues | None = None
        self._silent = 0
        """Attempts in a row without any answer."""
        self._rests_until_s = 0.0

    async def read(self, *, dark: bool, with_power: bool) -> InverterValues:
        """Its values now. One that does not answer is asleep in the `dark`, else unknown.

        Without `with_power` only its battery's, where the powers are known from elsewhere.

        Raises InverterUnsupported, InverterBusy or InverterImplausible.
        """
        now_s = asyncio.get_running_loop().time()
        if not self._connection.connected or now_s < self._rests_until_s:
            return self._without_answer(dark=dark)
        try:
            values = await self._inverter.values(with_power=with_power, with_capacity=True)
        except TooSlow:
            return self._without_answer(dark=False)
        except BehindGateway:
            self._silent = 0
            return self._without_answer(dark=dark)
        except InverterUnreachable:
            self._connection.disconnect()  # a late reply must not answer the next request
            self._silent += 1
            if self._silent > 1:
                self._rests_until_s = now_s + _REST_S
            return self._without_answer(dark=dark)
        self._silent, self._last = 0, values
        self._inverter.battery_seen = values.battery is not None
        return values

    def forget_rating(self) -> None:
        """The rating may have been a wrong answer."""
        self._inverter.forget_rating()

    def _without_answer(self, *, dark: bool) -> InverterValues:
        """The battery's counters and charge stand still, so that the sums go on."""
        power = _NOTHING if dark else _UNKNOWN
        if self._last is None:
            return InverterValues(power, None, None, seen=False)
        battery = self._last.battery
        if battery is not None:
            battery = replace(battery, charge_w=0.0 if dark else None)
        return replace(self._last, power=power, battery=battery)
