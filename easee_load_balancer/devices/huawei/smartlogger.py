"""The SmartLogger's register map: the plant's sums at unit 0, and the grid meter at its own unit.

Batteries are read from their inverters: the SmartLogger's own sum has no sign that is certain.
Public sources disagree about the sign of the meter, so setup has it proven.
"""

from __future__ import annotations

from collections.abc import Sequence

from easee_load_balancer.devices.huawei.registers import (
    I32,
    I64,
    U32,
    Block,
    MeterMap,
    PowerValues,
    Register,
    per_phase,
)

LOGGER_SERIAL = Block(40713, 10)
"""Text: the serial number; other devices do not know it."""

LOGGER_RATING = Block(40396, 2)
_RATED_POWER = Register(40396, U32, 1, "W", "rated PV power")

LOGGER_PLANT = Block(40521, 6)
_DC_POWER = Register(40521, U32, 1, "W", "DC input of all inverters")
_AC_POWER = Register(40525, I32, 1, "W", "AC power of all inverters, battery included")

LOGGER_METER_PARTS = (Block(32260, 20), Block(32335, 26))
"""What is read of the meter: two requests, because not every device answers more than 64."""
LOGGER_METER = MeterMap(
    block=Block(32260, 101),
    power=Register(32278, I32, 1, "W", "grid power, + = import"),
    powers=per_phase(32335, I32, 1, "W", "power, + = import"),
    currents=per_phase(32272, I32, 10, "A", "current"),
    voltages=per_phase(32260, U32, 100, "V", "voltage"),
    line_voltages=per_phase(32266, U32, 100, "V", "voltage to the next phase"),
    exported=Register(32349, I64, 100, "kWh", "negative energy: exported"),
    imported=Register(32357, I64, 100, "kWh", "positive energy: imported"),
    export_is_positive=False,
    currents_are_signed=False,
)
_NOT_READ = 0xFFFF


def decode_logger_power(words: Sequence[int]) -> PowerValues:
    """The words of LOGGER_PLANT."""
    read = LOGGER_PLANT.decode
    return PowerValues(pv_w=read(words, _DC_POWER), inverter_ac_w=read(words, _AC_POWER))


def decode_logger_rating(words: Sequence[int]) -> float | None:
    """The rated power of all inverters in W, of the words of LOGGER_RATING."""
    return LOGGER_RATING.decode(words, _RATED_POWER) or None


def meter_words(parts: Sequence[Sequence[int]]) -> list[int]:
    """The words of the meter's block from its parts; what is between them is not available."""
    whole = LOGGER_METER.block
    words = [_NOT_READ] * whole.count
    for block, part in zip(LOGGER_METER_PARTS, parts, strict=True):
        at = block.address - whole.address
        words[at : at + block.count] = part
    return words
