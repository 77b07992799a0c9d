"""What a plant says it is, and what is connected to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from easee_load_balancer.devices.huawei.client import Inverter
from easee_load_balancer.devices.huawei.emma import (
    EMMA_METER,
    EMMA_MODEL,
    EMMA_PLANT,
    decode_emma_battery,
    decode_emma_power,
    emma_capacity_wh,
)
from easee_load_balancer.devices.huawei.registers import (
    BATTERY_CAPACITY,
    BATTERY_RATING,
    BATTERY_UNIT_1,
    METER,
    MODEL_WORDS,
    NAMEPLATE,
    RATED_POWER,
    RATING,
    UNIT_1_STATUS,
    MeterValues,
    decode_meter,
    text,
)
from easee_load_balancer.devices.huawei.smartlogger import (
    LOGGER_METER,
    LOGGER_METER_PARTS,
    LOGGER_RATING,
    LOGGER_SERIAL,
    decode_logger_rating,
    meter_words,
)
from easee_load_balancer.errors import InverterError, InverterUnsupported


@dataclass(frozen=True, slots=True)
class Identity:
    """A plant with its battery and its meter."""

    model: str
    serial_number: str
    rated_w: int
    has_battery: bool
    battery_online: bool
    battery_wh: int | None
    meter_online: bool
    meter_phases: Literal[1, 3]

    def __str__(self) -> str:
        return f"{self.model}, serial number {self.serial_number}, {self.rated_w / 1000:g} kW"

    @property
    def meter(self) -> str:
        """The meter in words."""
        if not self.meter_online:
            return "none that answers"
        return "one phase" if self.meter_phases == 1 else "three phases"

    @property
    def battery(self) -> str:
        """The battery in words."""
        if not self.has_battery:
            return "none"
        capacity = f"{self.battery_wh / 1000:g} kWh" if self.battery_wh else "of unknown capacity"
        return capacity if self.battery_online else f"{capacity}, offline"


@dataclass(frozen=True, slots=True)
class _Battery:
    """What one inverter says about its battery."""

    installed: bool
    online: bool
    capacity_wh: int | None


async def identify(inverter: Inverter) -> Identity:
    """Ask a plant for its model and equipment, in one attempt.

    Raises InverterUnsupported for a device that is not of the address's kind, else as
    `Inverter.read` does.
    """
    match inverter.address.plant:
        case "emma":
            return await _emma(inverter)
        case "smartlogger":
            return await _smartlogger(inverter)
        case "cascade":
            return await _cascade(inverter)
        case "single":
            return await _sun2000(inverter)


async def _sun2000(inverter: Inverter) -> Identity:
    names, rating, unit_1, capacity, meter = await inverter.read_blocks(
        NAMEPLATE, RATING, BATTERY_UNIT_1, BATTERY_RATING, METER
    )
    if names is None or rating is None or meter is None:
        raise InverterUnsupported(
            f"The device at {inverter.address} has no name or no meter registers. Is it a SUN2000?"
        )
    return _identity(
        text(names[:MODEL_WORDS]),
        text(names[MODEL_WORDS:]),
        RATING.decode(rating, RATED_POWER),
        [_battery(unit_1, capacity)],
        decode_meter(meter),
    )


async def _cascade(inverter: Inverter) -> Identity:
    """The first inverter, with what those behind it add; one that is asleep adds nothing."""
    first = await _sun2000(inverter)
    rated_w, batteries = await _others(inverter)
    added = _added(
        [_Battery(first.has_battery, first.battery_online, first.battery_wh), *batteries]
    )
    return replace(
        first,
        model=f"{first.model} and {len(inverter.address.other_units)} more",
        rated_w=first.rated_w + rated_w,
        has_battery=added.installed,
        battery_online=added.online,
        battery_wh=added.capacity_wh,
    )


async def _emma(inverter: Inverter) -> Identity:
    names, model, plant, meter = await inverter.read_blocks(
        NAMEPLATE, EMMA_MODEL, EMMA_PLANT, EMMA_METER.block
    )
    if names is None or plant is None or meter is None:
        raise InverterUnsupported(f"The device at {inverter.address} is not an EMMA.")
    _, rated_w = decode_emma_power(plant)
    battery, capacity_wh = decode_emma_battery(plant), emma_capacity_wh(plant)
    online = battery is not None and battery.charge_w is not None
    return _identity(
        (text(model) if model else "") or "EMMA",
        text(names[MODEL_WORDS:]),
        rated_w,
        [_Battery(battery is not None, online, int(capacity_wh) if capacity_wh else None)],
        _measured(decode_meter(meter, EMMA_METER)),
    )


async def _smartlogger(inverter: Inverter) -> Identity:
    serial, rating = await inverter.read_blocks(LOGGER_SERIAL, LOGGER_RATING)
    if serial is None or rating is None:
        raise InverterUnsupported(f"The device at {inverter.address} is not a SmartLogger.")
    meter = await _logger_meter(inverter)
    _, batteries = await _others(inverter)
    return _identity("SmartLogger", text(serial), decode_logger_rating(rating), batteries, meter)


async def _logger_meter(inverter: Inverter) -> MeterValues:
    """The meter behind a SmartLogger; offline where it does not answer."""
    meter_unit = inverter.address.meter_unit
    try:
        parts = await inverter.read_blocks(*LOGGER_METER_PARTS, unit_id=meter_unit)
    except InverterError:
        parts = [None]
    words = [part for part in parts if part is not None]
    if len(words) < len(LOGGER_METER_PARTS):
        return MeterValues(online=False, phases=3)
    return _measured(decode_meter(meter_words(words), LOGGER_METER))


async def _others(inverter: Inverter) -> tuple[int, list[_Battery]]:
    """The added rating of the other inverters that answer in W, and their batteries."""
    rated_w, batteries = 0, []
    for unit_id in inverter.address.other_units:
        try:
            rating, unit_1, capacity = await inverter.read_blocks(
                RATING, BATTERY_UNIT_1, BATTERY_RATING, unit_id=unit_id
            )
        except InverterError:
            continue
        rated_w += int(RATING.decode(rating or (), RATED_POWER) or 0)
        batteries.append(_battery(unit_1, capacity))
    return rated_w, batteries


def _battery(unit_1: Sequence[int] | None, capacity: Sequence[int] | None) -> _Battery:
    status = BATTERY_UNIT_1.decode(unit_1 or (), UNIT_1_STATUS)
    capacity_wh = BATTERY_RATING.decode(capacity or (), BATTERY_CAPACITY)
    wh = int(capacity_wh) if capacity_wh else None
    return _Battery(bool(capacity_wh or status), bool(status), wh)


def _added(batteries: Iterable[_Battery]) -> _Battery:
    installed = [one for one in batteries if one.installed]
    return _Battery(
        installed=bool(installed),
        online=bool(installed) and all(one.online for one in installed),
        capacity_wh=sum(one.capacity_wh or 0 for one in installed) or None,
    )


def _measured(meter: MeterValues) -> MeterValues:
    """A meter without a status answers when it has a voltage."""
    return replace(meter, online=any(volts is not None for volts in meter.voltage_v))


def _identity(
    model: str,
    serial_number: str,
    rated_w: float | None,
    batteries: Iterable[_Battery],
    meter: MeterValues,
) -> Identity:
    battery = _added(batteries)
    return Identity(
        model=model,
        serial_number=serial_number,
        rated_w=int(rated_w or 0),
        has_battery=battery.installed,
        battery_online=battery.online,
        battery_wh=battery.capacity_wh,
        meter_online=meter.online,
        meter_phases=meter.phases,
    )
