"""What is read from one SUN2000, with what was learned about it; and the sum of several."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from easee_load_balancer.devices.huawei.connection import ModbusConnection
from easee_load_balancer.devices.huawei.plausibility import check_inverter
from easee_load_balancer.devices.huawei.registers import (
    BATTERY,
    BATTERY_CAPACITY,
    BATTERY_POWER_ONLY,
    BATTERY_RATING,
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


@dataclass(frozen=True, slots=True)
class InverterValues:
    """What one inverter reports at a moment."""

    power: PowerValues
    battery: BatteryValues | None
    """None where no battery is installed."""
    rated_w: float | None
    capacity_wh: float | None = None
    """Of the battery; None where it is not known or not needed."""
    seen: bool = True
    """False for an inverter that has not answered yet: it may have a battery."""


class Sun2000:
    """One inverter at a connection; its rating and its kind of battery are asked only once.

    The methods raise as `ModbusConnection.read` does.
    """

    def __init__(self, connection: ModbusConnection, unit_id: int) -> None:
        self.unit_id = unit_id
        self.battery_seen = False
        """Whether the last complete reading had a battery."""
        self._connection = connection
        self._rated_w: float | None = None
        self._capacity_wh: float | None = None
        self._known: dict[Block, bool] = {}
        """Battery blocks that were answered (True) or refused."""
        self._no_battery_since: float | None = None

    async def values(
        self, *, with_power: bool = True, with_capacity: bool = False
    ) -> InverterValues:
        """Everything but the meter, checked. The rating and the capacity are asked once.

        Raises InverterImplausible for values that cannot be.
        """
        rated_w = await self.rated_w()
        power = await self.power() if with_power else PowerValues(None, None)
        battery = await self.battery()
        capacity_wh = await self.capacity_wh() if with_capacity and battery else None
        values = InverterValues(power, battery, rated_w, capacity_wh)
        where = f"The inverter at {self._connection.address.at_unit(self.unit_id)}"
        check_inverter(where, values.rated_w, power, battery)
        return values

    async def rated_w(self) -> float:
        """The rated AC power in W. Raises InverterImplausible for one that cannot be."""
        if self._rated_w is None:
            rated_w = RATING.decode(await self._connection.read(RATING, self.unit_id), RATED_POWER)
            if not rated_w or not 500 <= rated_w <= 500_000:
                raise InverterImplausible(
                    f"The device at {self._connection.address.at_unit(self.unit_id)} "
                    f"reports a rated power of {rated_w} W, which cannot be: not a SUN2000, or a "
                    "wrong answer. Check host, port and unit id."
                )
            self._rated_w = rated_w
        return self._rated_w

    def forget_rating(self) -> None:
        """The rating may have been a wrong answer."""
        self._rated_w = None

    async def power(self) -> PowerValues:
        """PV and AC power now."""
        return decode_power(await self._connection.read(POWER, self.unit_id))

    async def capacity_wh(self) -> float | None:
        """The battery's rated capacity, asked only once; None where it does not say."""
        if self._capacity_wh is None:
            words = await self.read_known(BATTERY_RATING)
            self._capacity_wh = BATTERY_RATING.decode(words, BATTERY_CAPACITY) if words else None
        return self._capacity_wh

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
            words = await self.read_known(BATTERY) or await self.read_known(BATTERY_POWER_ONLY)
            battery = decode_battery(words) if words else None
            if battery is not None and (battery.soc_pct or battery.charge_w):
                return battery
        else:
            self._known.clear()
        words = await self.read_known(BATTERY_UNIT_1)
        unit_1 = decode_battery_unit_1(words) if words else None
        if unit_1 is None and self.battery_seen:
            return BatteryValues(charge_w=None, soc_pct=None)
        self._no_battery_since = now_s if unit_1 is None else None
        return unit_1

    async def read_known(self, block: Block) -> Sequence[int] | None:
        """The block's words, or None where the device refuses, which it is asked only once."""
        if self._known.get(block) is False:
            return None
        try:
            words = await self._connection.read(block, self.unit_id)
        except InverterUnsupported:
            self._known.setdefault(block, False)
            return None
        self._known[block] = True
        return words


def total_power(values: Iterable[PowerValues]) -> PowerValues:
    """Several inverters' powers added; unknown where one of them is. States are those of any."""
    powers = list(values)
    return PowerValues(
        pv_w=total(one.pv_w for one in powers),
        inverter_ac_w=total(one.inverter_ac_w for one in powers),
        off_grid=any(one.off_grid for one in powers),
        throttled=any(one.throttled for one in powers),
    )


def total_battery(values: Iterable[InverterValues]) -> BatteryValues | None:
    """All batteries together: the state of charge is weighed by capacity."""
    inverters = list(values)
    installed = [(one.battery, one.capacity_wh) for one in inverters if one.battery is not None]
    if not installed:
        return None
    batteries = [battery for battery, _ in installed]
    weights = [capacity_wh or 1.0 for _, capacity_wh in installed]
    if not all(capacity_wh for _, capacity_wh in installed):
        weights = [1.0] * len(installed)
    all_seen = all(one.seen for one in inverters)
    stored = total(
        None if one.soc_pct is None else one.soc_pct * weight
        for one, weight in zip(batteries, weights, strict=True)
    )
    return BatteryValues(
        charge_w=total(one.charge_w for one in batteries),
        soc_pct=None if stored is None else stored / sum(weights),
        charged_kwh=total(one.charged_kwh for one in batteries) if all_seen else None,
        discharged_kwh=total(one.discharged_kwh for one in batteries) if all_seen else None,
    )


def battery_ac_headroom_w(values: Iterable[InverterValues]) -> float | None:
    """AC power that the inverters with a battery could add; the others' is of no use to a battery.

    None where one of them is unknown.
    """
    return total(
        None
        if one.rated_w is None or one.power.inverter_ac_w is None
        else max(0.0, one.rated_w - one.power.inverter_ac_w)
        for one in values
        if one.battery is not None
    )


def total(values: Iterable[float | None]) -> float | None:
    """The sum; unknown where one value is."""
    added = 0.0
    for value in values:
        if value is None:
            return None
        added += value
    return added
