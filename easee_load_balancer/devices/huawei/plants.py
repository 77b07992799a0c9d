"""One reading of each kind of plant; to the control law they are all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from easee_load_balancer.devices.huawei.behind_gateway import OtherInverter
from easee_load_balancer.devices.huawei.connection import ModbusConnection
from easee_load_balancer.devices.huawei.dongle import DONGLE_TOTALS, DONGLE_UNIT, decode_totals
from easee_load_balancer.devices.huawei.emma import (
    EMMA_METER,
    EMMA_PLANT,
    decode_emma_battery,
    decode_emma_power,
)
from easee_load_balancer.devices.huawei.meter_monitor import MeterMonitor
from easee_load_balancer.devices.huawei.plant_settings import PlantSettings
from easee_load_balancer.devices.huawei.plausibility import check_inverter, check_meter
from easee_load_balancer.devices.huawei.registers import (
    SUN2000_METER,
    BatteryValues,
    MeterMap,
    PowerValues,
    decode_meter,
    inverter_reading,
)
from easee_load_balancer.devices.huawei.smartlogger import (
    LOGGER_METER,
    LOGGER_METER_PARTS,
    LOGGER_PLANT,
    LOGGER_RATING,
    decode_logger_power,
    decode_logger_rating,
    meter_words,
)
from easee_load_balancer.devices.huawei.sun2000 import (
    Sun2000,
    battery_ac_headroom_w,
    total,
    total_battery,
    total_power,
)
from easee_load_balancer.errors import InverterUnsupported
from easee_load_balancer.measurements import InverterReading

_DARK_SHARE = 0.1
"""Below this share of its rating, an inverter says that others may be asleep."""


class HuaweiPlant(Protocol):
    """What stands at a connection, with what was learned about it."""

    async def read(self) -> InverterReading:
        """One reading, in one attempt. Raises as `ModbusConnection.read` does."""

    def distrust(self) -> None:
        """Ask again what was remembered: one of the last answers was wrong."""


def plant_at(connection: ModbusConnection) -> HuaweiPlant:
    """The plant of the kind that the connection's address names."""
    match connection.address.plant:
        case "emma":
            return Emma(connection)
        case "smartlogger":
            return SmartLogger(connection)
        case _:
            return Inverters(connection)


class _Grid:
    """The grid meter of a plant: decoded, checked, and compared with its readings before."""

    def __init__(self, connection: ModbusConnection, meter_map: MeterMap) -> None:
        self._address = connection.address
        self._map = meter_map
        self._monitor = MeterMonitor()

    def reading(
        self,
        words: Sequence[int],
        power: PowerValues,
        battery: BatteryValues | None,
        rated_w: float | None,
    ) -> InverterReading:
        """The plant's reading with these words of the meter. Raises InverterImplausible."""
        backwards = self._address.meter_counts_backwards
        meter = decode_meter(words, self._map, counts_backwards=backwards)
        check_meter(f"The inverter at {self._address}", rated_w, meter)
        now = datetime.now(UTC)
        reading = inverter_reading(
            now,
            power,
            battery,
            self._monitor.checked(meter),
            rated_w,
            self._monitor.unchanged_since(now, words),
        )
        return replace(reading, meter_counts_backwards=backwards)


class Inverters:
    """One SUN2000, or several behind the dongle of the first, which has the meter.

    One inverter alone is read in three requests.
    """

    def __init__(self, connection: ModbusConnection) -> None:
        address = connection.address
        cascade = address.plant == "cascade"
        self._connection = connection
        self._first = Sun2000(connection, address.unit_id)
        self._others = [
            OtherInverter(connection, unit_id) for unit_id in address.other_units if cascade
        ]
        self._dongle_totals = cascade and address.dongle_totals
        self._settings = PlantSettings()
        self._grid = _Grid(connection, SUN2000_METER)

    async def read(self) -> InverterReading:
        """As `HuaweiPlant` says. The meter comes before the others, which may not answer.

        Off the grid it is offline, and asking for it may end the connection.
        """
        first = await self._first.values(with_capacity=bool(self._others))
        words: Sequence[int] = ()
        if not first.power.off_grid:
            words = await self._connection.read(SUN2000_METER.block)
        totals = await self._totals()
        dark = _is_dark(first.power.pv_w, first.rated_w)
        inverters = [first]
        for other in self._others:
            inverters.append(await other.read(dark=dark, with_power=totals is None))
        power = total_power(one.power for one in inverters)
        if totals is not None:
            power = replace(first.power, pv_w=totals.pv_w, inverter_ac_w=totals.inverter_ac_w)
        rated_w = total(one.rated_w for one in inverters)
        reading = self._grid.reading(words, power, total_battery(inverters), rated_w)
        if self._others:
            reading = replace(reading, battery_ac_headroom_w=battery_ac_headroom_w(inverters))
        self._first.battery_seen = first.battery is not None
        if rated_w is not None and self._connection.has_time_to_spare:
            await self._settings.read_if_due(reading, self._first.read_known, rated_w)
        return self._settings.added_to(reading)

    async def _totals(self) -> PowerValues | None:
        """The dongle's sums; None where it has none, which it is asked only once."""
        if not self._dongle_totals:
            return None
        try:
            words = await self._connection.read(DONGLE_TOTALS, DONGLE_UNIT)
        except InverterUnsupported:
            self._dongle_totals = False
            return None
        return decode_totals(words)

    def distrust(self) -> None:
        """As `HuaweiPlant` says."""
        self._first.forget_rating()
        for inverter in self._others:
            inverter.forget_rating()


class Emma:
    """A plant behind an EMMA, which knows the sums and has the meter: two requests."""

    def __init__(self, connection: ModbusConnection) -> None:
        self._connection = connection
        self._grid = _Grid(connection, EMMA_METER)

    async def read(self) -> InverterReading:
        """As `HuaweiPlant` says."""
        plant = await self._connection.read(EMMA_PLANT)
        words = await self._connection.read(EMMA_METER.block)
        (power, rated_w), battery = decode_emma_power(plant), decode_emma_battery(plant)
        check_inverter(f"The EMMA at {self._connection.address}", rated_w, power, battery)
        return self._grid.reading(words, power, battery, rated_w)

    def distrust(self) -> None:
        """Nothing is remembered."""


class SmartLogger:
    """A plant behind a SmartLogger: sums at its unit, the meter and the batteries at theirs."""

    def __init__(self, connection: ModbusConnection) -> None:
        self._connection = connection
        self._batteries = [OtherInverter(connection, one) for one in connection.address.other_units]
        self._rated_w: float | None = None
        self._grid = _Grid(connection, LOGGER_METER)

    async def read(self) -> InverterReading:
        """As `HuaweiPlant` says."""
        connection, address = self._connection, self._connection.address
        if self._rated_w is None:
            self._rated_w = decode_logger_rating(await connection.read(LOGGER_RATING))
        power = decode_logger_power(await connection.read(LOGGER_PLANT))
        parts = [await connection.read(part, address.meter_unit) for part in LOGGER_METER_PARTS]
        dark = _is_dark(power.pv_w, self._rated_w)
        inverters = [await one.read(dark=dark, with_power=False) for one in self._batteries]
        battery = total_battery(inverters)
        check_inverter(f"The SmartLogger at {address}", self._rated_w, power, battery)
        return self._grid.reading(meter_words(parts), power, battery, self._rated_w)

    def distrust(self) -> None:
        """As `HuaweiPlant` says."""
        self._rated_w = None
        for inverter in self._batteries:
            inverter.forget_rating()


def _is_dark(pv_w: float | None, rated_w: float | None) -> bool:
    return pv_w is not None and rated_w is not None and pv_w < _DARK_SHARE * rated_w
