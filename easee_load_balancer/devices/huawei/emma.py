"""The EMMA's register map (unit 0): a plant's sums, and its own sensor at the grid.

Addresses and signs as public clients read them; unlike at a SUN2000's meter, import is positive
and the currents have no sign.
"""

from __future__ import annotations

from collections.abc import Sequence

from easee_load_balancer.devices.huawei.registers import (
    I32,
    I64,
    U16,
    U32,
    U64,
    BatteryValues,
    Block,
    MeterMap,
    PowerValues,
    Register,
    per_phase,
)

EMMA_MODEL = Block(30222, 20)
"""Text: the model."""

EMMA_PLANT = Block(30308, 61)
_CHARGED = Register(30308, U64, 100, "kWh", "battery charged since installation")
_DISCHARGED = Register(30314, U64, 100, "kWh", "battery discharged since installation")
_CAPACITY = Register(30322, U32, 1, "Wh", "rated battery capacity")
_PV_POWER = Register(30354, U32, 1, "W", "PV power")
_BATTERY_POWER = Register(30360, I32, 1, "W", "battery power, + = charging")
_RATED_POWER = Register(30362, U32, 1, "W", "rated power of the inverters")
_AC_POWER = Register(30364, I32, 1, "W", "AC power of the inverters")
_SOC = Register(30368, U16, 100, "%", "state of charge")

EMMA_METER = MeterMap(
    block=Block(31639, 52),
    power=Register(31657, I32, 1, "W", "grid power, + = import"),
    powers=per_phase(31665, I32, 1, "W", "power, + = import"),
    currents=per_phase(31651, I32, 10, "A", "current, without sign"),
    voltages=per_phase(31639, U32, 100, "V", "voltage"),
    line_voltages=per_phase(31645, U32, 100, "V", "voltage to the next phase"),
    exported=Register(31679, I64, 100, "kWh", "exported energy"),
    imported=Register(31687, I64, 100, "kWh", "imported energy"),
    export_is_positive=False,
    currents_are_signed=False,
)


def decode_emma_power(words: Sequence[int]) -> tuple[PowerValues, float | None]:
    """PV and AC power, and the rated power in W, of the words of EMMA_PLANT."""
    read = EMMA_PLANT.decode
    power = PowerValues(pv_w=read(words, _PV_POWER), inverter_ac_w=read(words, _AC_POWER))
    return power, read(words, _RATED_POWER) or None


def emma_capacity_wh(words: Sequence[int]) -> float | None:
    """The rated battery capacity in the words of EMMA_PLANT; None without a battery."""
    return EMMA_PLANT.decode(words, _CAPACITY) or None


def decode_emma_battery(words: Sequence[int]) -> BatteryValues | None:
    """The battery in the words of EMMA_PLANT; None for a plant without one."""
    read = EMMA_PLANT.decode
    charge_w, soc_pct = read(words, _BATTERY_POWER), read(words, _SOC)
    if not (emma_capacity_wh(words) or charge_w or soc_pct):
        return None
    return BatteryValues(
        charge_w=charge_w,
        soc_pct=soc_pct,
        charged_kwh=read(words, _CHARGED),
        discharged_kwh=read(words, _DISCHARGED),
    )
