"""The SUN2000's register map: what is read in one request, and pure decoders of the answers.

Addresses, types, gains and signs follow Huawei's "Solar Inverter Modbus Interface Definitions".
Registers are big-endian, high word first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from easee_load_balancer.measurements import UNKNOWN_PHASES, PhaseValues


@dataclass(frozen=True, slots=True)
class Block:
    """Registers that are read in one request."""

    address: int
    count: int


RATING = Block(30071, 4)
POWER = Block(32064, 52)
BATTERY = Block(37760, 24)
BATTERY_POWER = Block(37760, 7)
"""The same without the counters, for a firmware that refuses them."""
BATTERY_UNIT_1 = Block(37000, 5)
METER = Block(37100, 38)


def u16(registers: Sequence[int], index: int) -> int | None:
    """Unsigned 16 bit; 0xFFFF is "not available"."""
    value = registers[index]
    return None if value == 0xFFFF else value


def u32(registers: Sequence[int], index: int) -> int | None:
    """Unsigned 32 bit, high word first; 0xFFFFFFFF is "not available"."""
    value = registers[index] << 16 | registers[index + 1]
    return None if value == 0xFFFFFFFF else value


def i32(registers: Sequence[int], index: int) -> int | None:
    """Signed 32 bit, high word first; both extremes are "not available", 0xFFFFFFFF is -1."""
    value = registers[index] << 16 | registers[index + 1]
    if value in (0x7FFFFFFF, 0x80000000):
        return None
    return value - (1 << 32) if value & 0x80000000 else value


@dataclass(frozen=True, slots=True)
class Power:
    """PV and AC side of the inverter; `status` as in the register list (0x0200 = on grid)."""

    pv_w: float | None
    inverter_ac_w: float | None
    status: int | None
    total_kwh: float | None
    today_kwh: float | None


@dataclass(frozen=True, slots=True)
class Battery:
    """All battery units together; `charge_w` > 0 while charging."""

    charge_w: float | None
    soc_pct: float | None
    charged_kwh: float | None = None
    """Ever, as the battery counts it."""
    discharged_kwh: float | None = None


@dataclass(frozen=True, slots=True)
class Meter:
    """The grid meter; powers and currents > 0 while exporting."""

    online: bool
    phases: Literal[1, 3]
    grid_export_w: float | None
    grid_export_phase_w: PhaseValues
    current_a: PhaseValues
    voltage_v: PhaseValues
    exported_kwh: float | None
    imported_kwh: float | None


def decode_power(registers: Sequence[int]) -> Power:
    """Registers from 32064 on: DC input, AC power, status, yields."""
    return Power(
        pv_w=i32(registers, 0),
        inverter_ac_w=i32(registers, 16),
        status=u16(registers, 25),
        total_kwh=_scaled(u32(registers, 42), 100),
        today_kwh=_scaled(u32(registers, 50), 100),
    )


def decode_battery(registers: Sequence[int]) -> Battery:
    """Registers from 37760 on: state of charge, power and counters of all units together."""
    counters = len(registers) >= BATTERY.count
    return Battery(
        charge_w=i32(registers, 5),
        soc_pct=_scaled(u16(registers, 0), 10),
        charged_kwh=_scaled(u32(registers, 20), 100) if counters else None,
        discharged_kwh=_scaled(u32(registers, 22), 100) if counters else None,
    )


def decode_battery_unit_1(registers: Sequence[int]) -> Battery | None:
    """Registers from 37000 on: unit 1; None where no battery is installed.

    A plant without battery may answer zeros: status 0 (offline) and no charge. A battery that is
    offline is unknown, not empty.
    """
    status, charge_w, soc_pct = u16(registers, 0), i32(registers, 1), _scaled(u16(registers, 4), 10)
    if status in (0, None):
        return Battery(charge_w=None, soc_pct=None) if soc_pct else None
    return Battery(charge_w=charge_w, soc_pct=soc_pct)


def decode_meter(registers: Sequence[int]) -> Meter:
    """Registers from 37100 on: status, voltages, currents, powers, energies, type."""
    online = registers[0] == 1
    phases: Literal[1, 3] = 1 if registers[25] == 0 else 3
    exported = _scaled(i32(registers, 19), 100)
    if not online:
        return Meter(False, phases, None, *(UNKNOWN_PHASES,) * 3, None, None)
    return Meter(
        online=True,
        phases=phases,
        grid_export_w=i32(registers, 13),
        grid_export_phase_w=_phase_values(registers, 32, 1, phases),
        current_a=_phase_values(registers, 7, 100, phases),
        voltage_v=_phase_values(registers, 1, 10, phases),
        exported_kwh=abs(exported) if exported is not None else None,
        imported_kwh=_scaled(i32(registers, 21), 100),
    )


def _scaled(value: int | None, gain: int) -> float | None:
    return None if value is None else value / gain


def _phase_values(
    registers: Sequence[int], start: int, gain: int, phases: Literal[1, 3]
) -> PhaseValues:
    l1, l2, l3 = (_scaled(i32(registers, start + offset), gain) for offset in (0, 2, 4))
    return (l1, None, None) if phases == 1 else (l1, l2, l3)
