"""What a SUN2000 says it is, and what is connected to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from easee_load_balancer.devices.huawei.client import Inverter
from easee_load_balancer.devices.huawei.registers import (
    BATTERY_CAPACITY,
    BATTERY_RATING,
    BATTERY_UNIT_1,
    METER,
    NAMEPLATE,
    RATED_POWER,
    RATING,
    UNIT_1_STATUS,
    decode_meter,
)
from easee_load_balancer.devices.sanitize import plain
from easee_load_balancer.errors import EmmaUnsupported, InverterUnsupported

_MODEL_WORDS = 15
_EMMA = "SmartHEMS"


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
    """Ask an inverter for its model and equipment, in one attempt.

    Raises EmmaUnsupported for an EMMA, InverterUnsupported for any other device that is no
    SUN2000, else as `Inverter.read` does.
    """
    names, rating, unit_1, capacity, meter = await inverter.read_blocks(
        NAMEPLATE, RATING, BATTERY_UNIT_1, BATTERY_RATING, METER
    )
    if names is not None and (model := _text(names[:_MODEL_WORDS])).startswith(_EMMA):
        raise EmmaUnsupported(f"The device at {inverter.address} is an EMMA ({model}).")
    if names is None or rating is None or meter is None:
        raise InverterUnsupported(
            f"The device at {inverter.address} has no name or no meter registers. Is it a SUN2000?"
        )
    model = _text(names[:_MODEL_WORDS])
    if not model:
        raise InverterUnsupported(f"The device at {inverter.address} has no model name.")
    status = BATTERY_UNIT_1.decode(unit_1 or (), UNIT_1_STATUS)
    capacity_wh = BATTERY_RATING.decode(capacity or (), BATTERY_CAPACITY)
    seen = decode_meter(meter)
    return Identity(
        model=model,
        serial_number=_text(names[_MODEL_WORDS:]),
        rated_w=int(RATING.decode(rating, RATED_POWER) or 0),
        has_battery=bool(capacity_wh or status),
        battery_online=bool(status),
        battery_wh=int(capacity_wh) if capacity_wh else None,
        meter_online=seen.online,
        meter_phases=seen.phases,
    )


def _text(registers: Sequence[int]) -> str:
    """Text up to the first NUL: behind it is another field."""
    raw = b"".join(word.to_bytes(2, "big") for word in registers).partition(b"\0")[0]
    return plain(raw.decode("ascii", "replace"))
