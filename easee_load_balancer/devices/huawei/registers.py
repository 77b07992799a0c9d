"""The SUN2000's register map, and pure decoders of the blocks that are read in one request.

A grid meter's map is data, so that one decoder reads those of all kinds of plants.

Addresses, types, gains and signs follow Huawei's "Solar Inverter Modbus Interface Definitions".
Registers are big-endian, high word first; they hold `value * gain`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import partial
from math import sqrt
from typing import Literal

from easee_load_balancer.devices.sanitize import plain
from easee_load_balancer.measurements import (
    UNKNOWN_PHASES,
    InverterReading,
    PhaseValues,
    plausible_voltage_v,
)


class Kind(Enum):
    """Register types: number of words, signed, raw values that mean "not available"."""

    U16 = (1, False, (0xFFFF,))
    U32 = (2, False, (0xFFFFFFFF,))
    I32 = (2, True, (0x7FFFFFFF, 0x80000000))  # 0xFFFFFFFF is a legal -1
    U64 = (4, False, (0xFFFFFFFFFFFFFFFF,))
    I64 = (4, True, (0x7FFFFFFFFFFFFFFF, 0x8000000000000000))

    def decode(self, words: Sequence[int]) -> int | None:
        """The raw value; None where it is not available."""
        count, signed, not_available = self.value
        raw = int.from_bytes(b"".join(word.to_bytes(2, "big") for word in words[:count]), "big")
        if raw in not_available:
            return None
        return raw - (1 << 16 * count) if signed and raw >> (16 * count - 1) else raw


@dataclass(frozen=True, slots=True)
class Register:
    """A value in the device's memory."""

    address: int
    kind: Kind
    gain: int
    unit: str
    name: str


@dataclass(frozen=True, slots=True)
class Block:
    """Registers that are read in one request."""

    address: int
    count: int

    def decode(self, words: Sequence[int], register: Register) -> float | None:
        """The register's value in its unit; None where not available or not in these words."""
        at = register.address - self.address
        if at + register.kind.value[0] > len(words):
            return None
        raw = register.kind.decode(words[at:])
        return raw if raw is None or register.gain == 1 else raw / register.gain


U16, U32, I32, U64, I64 = Kind.U16, Kind.U32, Kind.I32, Kind.U64, Kind.I64

NAMEPLATE = Block(30000, 25)  # text: model, serial number (10 words)
MODEL_WORDS = 15
RATING = Block(30071, 4)
RATED_POWER = Register(30073, U32, 1, "W", "rated power")

POWER = Block(32064, 26)
PV_POWER = Register(32064, I32, 1, "W", "DC input power of the strings")
AC_POWER = Register(32080, I32, 1, "W", "AC active power, battery discharge included")

DEVICE_STATUS = Register(32089, U16, 1, "", "device status")
OFF_GRID = 0x0203
"""Device status of an inverter that supplies the house without the grid."""
LIMITED = (0x0201, 0x0202)
"""Device status of an inverter on the grid that limits its power."""

BATTERY_UNIT_1 = Block(37000, 5)
UNIT_1_STATUS = Register(37000, U16, 1, "", "unit 1: 0 offline, 1 standby, 2 running, 3 fault")
UNIT_1_POWER = Register(37001, I32, 1, "W", "unit 1: power, + = charging")
UNIT_1_SOC = Register(37004, U16, 10, "%", "unit 1: state of charge")

BATTERY_RATING = Block(37758, 2)
BATTERY_CAPACITY = Register(37758, U32, 1, "Wh", "all units: rated capacity")

BATTERY = Block(37760, 24)
BATTERY_POWER_ONLY = Block(37760, 7)
"""The same without the counters, for a firmware that refuses them."""
BATTERY_SOC = Register(37760, U16, 10, "%", "all units: state of charge")
BATTERY_POWER = Register(37765, I32, 1, "W", "all units: power, + = charging")
BATTERY_CHARGED = Register(37780, U32, 100, "kWh", "all units: charged since installation")
BATTERY_DISCHARGED = Register(37782, U32, 100, "kWh", "all units: discharged since installation")

PerPhase = tuple[Register, Register, Register]
"""One register for each of L1, L2, L3."""


def per_phase(first: int, kind: Kind, gain: int, unit: str, name: str) -> PerPhase:
    """Registers of three phases, one after another."""
    step = kind.value[0]
    l1, l2, l3 = (
        Register(first + step * n, kind, gain, unit, f"L{n + 1} {name}") for n in range(3)
    )
    return l1, l2, l3


@dataclass(frozen=True, slots=True)
class MeterMap:
    """Where a device shows its grid meter, and which way round it counts."""

    block: Block
    power: Register
    powers: PerPhase
    currents: PerPhase
    voltages: PerPhase
    line_voltages: PerPhase
    exported: Register
    imported: Register
    status: Register | None = None
    """0 offline, 1 normal; None where the device does not say."""
    phases: Register | None = None
    """0 one phase, 1 three phases; without it, phases without a voltage do not exist."""
    export_is_positive: bool = True
    currents_are_signed: bool = True
    """Otherwise they take the sign of the phase's power."""


METER = Block(37100, 38)
METER_TYPE = Register(37125, U16, 1, "", "0 one phase, 1 three phases")
SUN2000_METER = MeterMap(
    block=METER,
    power=Register(37113, I32, 1, "W", "grid power, + = export"),
    powers=per_phase(37132, I32, 1, "W", "power, + = export"),
    currents=per_phase(37107, I32, 100, "A", "current, + = export"),
    voltages=per_phase(37101, I32, 10, "V", "voltage"),
    line_voltages=per_phase(37126, I32, 10, "V", "voltage to the next phase"),
    exported=Register(37119, I32, 100, "kWh", "exported energy, negative on some sites"),
    imported=Register(37121, I32, 100, "kWh", "imported energy"),
    status=Register(37100, U16, 1, "", "0 offline, 1 normal"),
    phases=METER_TYPE,
)

BATTERY_MAX_DISCHARGE = Register(37048, U32, 1, "W", "highest discharge power")
DISCHARGE_LIMIT = Register(47077, U32, 1, "W", "discharge limit; lasts")
FORCED_MINUTES = Register(47083, U16, 1, "min", "length of a forced command")
FORCED_COMMAND = Register(47100, U16, 1, "", "forced command: 0 stop, 1 charge, 2 discharge")
FORCED = Block(47246, 5)
FORCED_ENDS_BY = Register(47246, U16, 1, "", "forced command ends by: 0 time, 1 state of charge")
FORCED_DISCHARGE_POWER = Register(47249, U32, 1, "W", "power of a forced discharge")


def text(registers: Sequence[int]) -> str:
    """Text up to the first NUL: behind it is another field."""
    raw = b"".join(word.to_bytes(2, "big") for word in registers).partition(b"\0")[0]
    return plain(raw.decode("ascii", "replace"))


@dataclass(frozen=True, slots=True)
class PowerValues:
    """PV and AC side of the inverter, in W."""

    pv_w: float | None
    inverter_ac_w: float | None
    off_grid: bool = False
    throttled: bool = False


@dataclass(frozen=True, slots=True)
class BatteryValues:
    """All battery units together; `charge_w` > 0 while charging."""

    charge_w: float | None
    soc_pct: float | None
    charged_kwh: float | None = None
    """Since installation, as the battery counts it."""
    discharged_kwh: float | None = None


@dataclass(frozen=True, slots=True)
class MeterValues:
    """The grid meter; powers and currents > 0 while exporting."""

    online: bool
    phases: Literal[1, 3]
    grid_export_w: float | None = None
    grid_export_phase_w: PhaseValues = UNKNOWN_PHASES
    current_a: PhaseValues = UNKNOWN_PHASES
    voltage_v: PhaseValues = UNKNOWN_PHASES
    exported_kwh: float | None = None
    imported_kwh: float | None = None
    problem: str | None = None
    """Why everything is unknown."""


def decode_power(words: Sequence[int]) -> PowerValues:
    """The words of POWER."""
    status = POWER.decode(words, DEVICE_STATUS)
    return PowerValues(
        pv_w=POWER.decode(words, PV_POWER),
        inverter_ac_w=POWER.decode(words, AC_POWER),
        off_grid=status == OFF_GRID,
        throttled=status in LIMITED,
    )


def decode_battery(words: Sequence[int]) -> BatteryValues:
    """The words of BATTERY, or of BATTERY_POWER_ONLY: then the counters are unknown."""
    return BatteryValues(
        charge_w=BATTERY.decode(words, BATTERY_POWER),
        soc_pct=BATTERY.decode(words, BATTERY_SOC),
        charged_kwh=BATTERY.decode(words, BATTERY_CHARGED),
        discharged_kwh=BATTERY.decode(words, BATTERY_DISCHARGED),
    )


def decode_battery_unit_1(words: Sequence[int]) -> BatteryValues | None:
    """The words of BATTERY_UNIT_1; None where no battery is installed.

    A plant without battery may answer zeros: status 0 (offline) and no charge. A battery that is
    offline is unknown, not empty.
    """
    soc_pct = BATTERY_UNIT_1.decode(words, UNIT_1_SOC)
    if not BATTERY_UNIT_1.decode(words, UNIT_1_STATUS):
        return BatteryValues(charge_w=None, soc_pct=None) if soc_pct else None
    return BatteryValues(BATTERY_UNIT_1.decode(words, UNIT_1_POWER), soc_pct)


def decode_meter(
    words: Sequence[int], meter_map: MeterMap = SUN2000_METER, *, counts_backwards: bool = False
) -> MeterValues:
    """The words of the map's block; all values are unknown where one cannot be.

    `counts_backwards` for a meter that is found to count the other way round than documented.
    """
    read = partial(meter_map.block.decode, words)
    phases = _phases(words, meter_map)
    if meter_map.status is not None and read(meter_map.status) != 1:
        return MeterValues(False, phases, problem="meter: offline")
    sign = 1 if meter_map.export_is_positive != counts_backwards else -1
    power_w = read(meter_map.power)
    exported_kwh, imported_kwh = read(meter_map.exported), read(meter_map.imported)
    if counts_backwards:
        exported_kwh, imported_kwh = imported_kwh, exported_kwh
    powers_w = _times(sign, _per_phase(words, meter_map, meter_map.powers, phases))
    currents_a = _per_phase(words, meter_map, meter_map.currents, phases)
    if meter_map.currents_are_signed:
        currents_a = _times(sign, currents_a)
    else:
        currents_a = _signed_like(powers_w, currents_a)
    l1_v, l2_v, l3_v = _per_phase(words, meter_map, meter_map.voltages, phases)
    meter = MeterValues(
        online=True,
        phases=phases,
        grid_export_w=None if power_w is None else sign * power_w,
        grid_export_phase_w=powers_w,
        current_a=currents_a,
        voltage_v=(plausible_voltage_v(l1_v), plausible_voltage_v(l2_v), plausible_voltage_v(l3_v)),
        exported_kwh=None if exported_kwh is None else abs(exported_kwh),
        imported_kwh=None if imported_kwh is None else abs(imported_kwh),
    )
    lines_v = tuple(read(register) for register in meter_map.line_voltages)
    problem = _wrong_voltage((l1_v, l2_v, l3_v), lines_v) or _nothing_measured(meter)
    return MeterValues(True, phases, problem=problem) if problem else meter


def _phases(words: Sequence[int], meter_map: MeterMap) -> Literal[1, 3]:
    if meter_map.phases is not None:
        return 1 if meter_map.block.decode(words, meter_map.phases) == 0 else 3
    _, l2_v, l3_v = (meter_map.block.decode(words, one) for one in meter_map.voltages)
    return 1 if l2_v is None and l3_v is None else 3


def _wrong_voltage(volts: PhaseValues, lines_v: tuple[float | None, ...]) -> str | None:
    """The voltages that cannot be. A meter of an IT grid measures between the phases only.

    There they are as high as elsewhere to neutral. 400 V between phases is a grid with a neutral:
    without it, the meter divides the power wrongly between the phases.
    """
    wrong = {
        f"L{number}": value
        for number, value in enumerate(volts, 1)
        if value is not None and plausible_voltage_v(value) is None
    }
    if not wrong or (volts == (0, 0, 0) and None not in map(plausible_voltage_v, lines_v)):
        return None
    if len(wrong) == len(volts) and len(set(wrong.values())) == 1:
        problem = f"meter: {volts[0]:g} V on all phases"
        with_neutral = all(value and plausible_voltage_v(value / sqrt(3)) for value in lines_v)
        if with_neutral:
            problem += f" but {lines_v[0]:g} V between them: its neutral is not connected"
        return problem
    return "meter: " + ", ".join(f"{value:g} V on {name}" for name, value in wrong.items())


def _nothing_measured(meter: MeterValues) -> str | None:
    """Zeros without a voltage and without counters: nothing measures there."""
    measured = (meter.grid_export_w, *meter.current_a, *meter.voltage_v)
    counted = meter.exported_kwh is not None or meter.imported_kwh is not None
    return None if any(measured) or counted else "meter: zeros without counters"


def inverter_reading(
    taken_at: datetime,
    power: PowerValues,
    battery: BatteryValues | None,
    meter: MeterValues,
    rated_w: float | None = None,
    unchanged_since: datetime | None = None,
) -> InverterReading:
    """The values of one reading together; `battery` None where none is installed."""
    return InverterReading(
        taken_at=taken_at,
        grid_export_w=meter.grid_export_w,
        battery_charge_w=battery.charge_w if battery else 0.0,
        battery_soc_pct=battery.soc_pct if battery else None,
        has_battery=battery is not None,
        pv_w=power.pv_w,
        inverter_ac_w=power.inverter_ac_w,
        grid_export_phase_w=meter.grid_export_phase_w,
        grid_current_phase_a=meter.current_a,
        grid_voltage_v=meter.voltage_v,
        meter_phases=meter.phases if meter.online else None,
        off_grid=power.off_grid,
        throttled=power.throttled,
        exported_kwh=meter.exported_kwh,
        imported_kwh=meter.imported_kwh,
        charged_kwh=battery.charged_kwh if battery else None,
        discharged_kwh=battery.discharged_kwh if battery else None,
        rated_w=rated_w,
        problem=meter.problem,
        unchanged_since=unchanged_since,
    )


def _per_phase(
    words: Sequence[int], meter_map: MeterMap, registers: PerPhase, phases: Literal[1, 3]
) -> PhaseValues:
    l1, l2, l3 = (meter_map.block.decode(words, register) for register in registers)
    return (l1, None, None) if phases == 1 else (l1, l2, l3)


def _times(sign: int, values: PhaseValues) -> PhaseValues:
    l1, l2, l3 = (value if value is None else sign * value for value in values)
    return l1, l2, l3


def _signed_like(powers_w: PhaseValues, currents_a: PhaseValues) -> PhaseValues:
    """Currents with the sign of the power; without one they count as import, which is safe."""
    l1, l2, l3 = (
        amps if amps is None else math.copysign(amps, -1.0 if watts is None else watts)
        for watts, amps in zip(powers_w, currents_a, strict=True)
    )
    return l1, l2, l3
