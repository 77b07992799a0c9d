"""What a SUN2000 says it is, and what is connected to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from easee_load_balancer.devices.huawei.client import Inverter
from easee_load_balancer.devices.huawei.registers import (
    BATTERY_UNIT_1,
    METER,
    RATING,
    Block,
    decode_meter,
    u16,
    u32,
)
from easee_load_balancer.devices.sanitize import plain
from easee_load_balancer.errors import InverterUnsupported

NAMEPLATE = Block(30000, 25)
BATTERY_RATING = Block(37758, 2)
_MODEL_WORDS = 15


@dataclass(frozen=True, slots=True)
class Identity:
    """An inverter with its battery and its meter."""

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


async def identify(inverter: Inverter) -> Identity:
    """Ask an inverter who it is, in one attempt.

    Raises InverterUnsupported for a device that is no SUN2000, else as `Inverter.read` does.
    """
    names, rating, unit_1, capacity, meter = await inverter.read_blocks(
        NAMEPLATE, RATING, BATTERY_UNIT_1, BATTERY_RATING, METER
    )
    if names is None or rating is None or meter is None:
        raise InverterUnsupported(
            f"The device at {inverter.address} has no name or no meter registers. Is it a SUN2000?"
        )
    return decode_identity(names, rating, unit_1, capacity, meter)


def decode_identity(
    names: Sequence[int],
    rating: Sequence[int],
    battery_unit_1: Sequence[int] | None,
    battery_rating: Sequence[int] | None,
    meter: Sequence[int],
) -> Identity:
    """Registers from 30000, 30071, 37000, 37758 and 37100 on; None where they are unknown."""
    status = u16(battery_unit_1, 0) or 0 if battery_unit_1 else 0
    capacity_wh = u32(battery_rating, 0) or None if battery_rating else None
    seen = decode_meter(meter)
    return Identity(
        model=_text(names[:_MODEL_WORDS]),
        serial_number=_text(names[_MODEL_WORDS:]),
        rated_w=u32(rating, 2) or 0,
        has_battery=bool(capacity_wh or status),
        battery_online=status != 0,
        battery_wh=capacity_wh,
        meter_online=seen.online,
        meter_phases=seen.phases,
    )


def _text(registers: Sequence[int]) -> str:
    """Text up to the first NUL: behind it is another field."""
    raw = b"".join(word.to_bytes(2, "big") for word in registers).partition(b"\0")[0]
    return plain(raw.decode("ascii", "replace"))
