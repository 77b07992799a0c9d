"""The house as the holding registers of a SUN2000: pure encoding."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from easee_load_balancer.measurements import PhaseValues
from easee_load_balancer.simulation.huawei.encoding import (
    I16,
    I32,
    U16,
    U32,
    Words,
    encode,
    encode_text,
)
from easee_load_balancer.simulation.plant.meter import MeterSample
from easee_load_balancer.simulation.plant.plant import BatterySpec, Counters, HouseSpec, Plant

DARK_W = 10.0
"""Below this the strings yield nothing and the status is "no irradiation"."""

YIELD_BEFORE_KWH = 12_480.0
EXPORTED_BEFORE_KWH = 7_350.0
IMPORTED_BEFORE_KWH = 4_120.0
CHARGED_BEFORE_KWH = 3_260.0
DISCHARGED_BEFORE_KWH = 3_090.0
"""Readings of the plant's counters when the simulation started."""

STATUS_ON_GRID = 0x0200
STATUS_LIMITED = 0x0201
STATUS_OFF_GRID = 0x0203
STATUS_NO_IRRADIATION = 0xA000

_STRINGS = 2
_STRING_V = 560.0
_BUS_V = 640.0
_FREQUENCY_HZ = 50.0
_REACTIVE_VAR = 65.0
_TIME_ZONE_MIN = 60
_DAY_S = 86_400


_BLOCKS = (
    range(30000, 30118),
    range(30206, 30219),
    range(31000, 31210),
    range(32000, 32232),
    range(35000, 35045),
    range(37000, 37070),
    range(37100, 37139),
    range(37200, 37202),
    range(40000, 40002),
    range(40037, 40039),
    range(40122, 40131),
    range(40196, 40202),
    range(42000, 42001),
    range(42054, 42058),
    range(42900, 42901),
    range(43006, 43007),
    range(47000, 47109),
    range(47200, 47300),
    range(47415, 47419),
    range(47589, 47592),
    range(47604, 47606),
    range(47675, 47679),
    range(47750, 47756),
    range(47954, 48020),
)
_BATTERY_BLOCKS = (
    range(37700, 37788),
    range(37799, 37829),
    range(37920, 37928),
    range(38200, 38464),
)


def select(
    words: Mapping[int, int], address: int, count: int, has_battery: bool
) -> list[int] | None:
    """The requested registers; None unless all are in one documented block."""
    wanted = range(address, address + count)
    for block in _BLOCKS + (_BATTERY_BLOCKS if has_battery else ()):
        if wanted.start in block and wanted[-1] in block:
            return [words.get(register, 0) for register in wanted]
    return None


@dataclass(frozen=True, slots=True)
class Share:
    """The part of the house's PV and battery that is one inverter's."""

    pv: float = 1.0
    battery: float = 1.0
    serial: str = "HV2140012345"

    def pv_w(self, plant: Plant) -> float:
        """DC input now."""
        dark = plant.available_pv_w < DARK_W
        return 0.0 if dark else self.pv * (plant.inverter_ac_w + plant.battery_charge_w)

    def charge_w(self, plant: Plant) -> float:
        """Charging power of the battery now."""
        return self.battery * plant.battery_charge_w

    def ac_w(self, plant: Plant) -> float:
        """AC output now."""
        pv_w = self.pv * (plant.inverter_ac_w + plant.battery_charge_w)
        return pv_w - self.charge_w(plant)


WHOLE = Share()


@dataclass(frozen=True, slots=True)
class Today:
    """What the inverter remembers of the current day."""

    first_day_s: int
    """Midnight of the first simulated day by the device's clock (epoch)."""
    number: int
    midnight: Counters
    """The plant's counters at midnight."""

    @classmethod
    def begin(cls, plant: Plant, first_day_s: int) -> Today:
        """Today, assuming the morning before the simulation's start followed the day's profile."""
        number, second = divmod(plant.clock_s, _DAY_S)
        morning_kwh = sum(plant.day.pv_at(60 * at) for at in range(second // 60)) / 60_000
        midnight = replace(plant.counters, pv_kwh=plant.counters.pv_kwh - morning_kwh)
        return cls(first_day_s, number, midnight)

    def at(self, plant: Plant) -> Today:
        """Today now; a new day starts at midnight."""
        number = plant.clock_s // _DAY_S
        if number == self.number:
            return self
        return Today(self.first_day_s, number, replace(plant.counters))


def fixed(spec: HouseSpec, share: Share = WHOLE) -> Words:
    """Identity, ratings and settings, which never change."""
    rated = spec.rated_w * share.pv
    model = f"SUN2000-{rated / 1000:g}KTL-{'M1' if spec.phases == 3 else 'L1'}"
    words = encode_text(
        (30000, 15, model),
        (30015, 10, share.serial),
        (30025, 10, "01074424-003"),
        (30035, 15, "V100R001C00SPC141"),
        (30050, 15, "V100R001C00SPC141"),
        (31000, 15, "A"),
        (31015, 10, share.serial),
        (31025, 15, "V100R001C00SPC141"),
    )
    words |= encode(
        (30068, U32, 1, "", "protocol version", 0x0003_0000),
        (30071, U16, 1, "", "PV strings", _STRINGS),
        (30072, U16, 1, "", "MPP trackers", _STRINGS),
        (30073, U32, 1, "W", "rated power", rated),
        (30075, U32, 1, "W", "maximum active power", rated * 1.1),
        (30077, U32, 1, "VA", "maximum apparent power", rated * 1.1),
        (30079, I32, 1, "var", "maximum reactive power, fed", rated * 0.6),
        (30081, I32, 1, "var", "maximum reactive power, drawn", rated * -0.6),
        (30083, U32, 1, "W", "maximum active power, real", rated * 1.1),
        (30085, U32, 1, "VA", "maximum apparent power, real", rated * 1.1),
        (43006, I16, 1, "min", "time zone", _TIME_ZONE_MIN),
        (47415, U16, 1, "", "export control (0 none, 5 zero, 6 W)", export_control(spec)),
        (47416, I32, 1, "W", "export limit", spec.export_limit_w or 0.0),
        (47418, U16, 10, "%", "export limit", 0.0),
    )
    if spec.battery is None or not share.battery:
        return words
    return words | _battery_settings(spec.battery, share.battery)


def export_control(spec: HouseSpec) -> int:
    """How the export is limited: 0 not, 5 to nothing, 6 to so many W."""
    if spec.export_limit_w is None:
        return 0
    return 6 if spec.export_limit_w else 5


def _battery_settings(spec: BatterySpec, share: float) -> Words:
    """The battery's ratings, settings and model."""
    max_power_w, capacity_wh = spec.max_power_w * share, spec.capacity_wh * share
    words = encode(
        (37007, U32, 1, "W", "unit 1: rated charge power", max_power_w),
        (37009, U32, 1, "W", "unit 1: rated discharge power", max_power_w),
        (37046, U32, 1, "W", "maximum charge power", max_power_w),
        (37048, U32, 1, "W", "maximum discharge power", max_power_w),
        (37758, U32, 1, "Wh", "rated capacity", capacity_wh),
        *((at, U32, 1, "W", "power limit", max_power_w) for at in range(37767, 37774, 2)),
        (47000, U16, 1, "", "unit 1: model (2 = LUNA2000)", 2),
        (47075, U32, 1, "W", "charge limit", max_power_w),
        (47077, U32, 1, "W", "discharge limit", max_power_w),
        (47081, U16, 10, "%", "charge until", 100.0),
        (47082, U16, 10, "%", "discharge until", spec.lowest_soc_pct),
        (47086, U16, 1, "", "working mode (2 = self-consumption)", 2),
        (47107, U16, 1, "", "unit 1: number", 1),
    )
    words |= encode_text(
        (37026, 10, "V100R002C00SPC127"),
        (37036, 10, "V100R002C00SPC127"),
        (37052, 10, "HV2140054321"),
        (37814, 15, "V100R002C00SPC127"),
    )
    return words


def inverter(plant: Plant, today: Today, share: Share = WHOLE) -> Words:
    """The inverter's own measurements; energies include those before the simulation."""
    dark = plant.available_pv_w < DARK_W
    pv_w, ac_w = share.pv_w(plant), share.ac_w(plant)
    total_kwh = share.pv * (YIELD_BEFORE_KWH + plant.counters.pv_kwh)
    today_kwh = share.pv * (plant.counters.pv_kwh - today.midnight.pv_kwh)
    now_s = today.first_day_s + plant.clock_s
    string_a = pv_w / _STRINGS / _STRING_V
    string_v = 0.0 if dark else _STRING_V
    words = encode(
        (32000, U16, 1, "", "state 1", 0x0001 if dark else 0x0006),
        (32002, U16, 1, "", "state 2", 0x0005 if dark else 0x0007),
        *((32016 + 2 * at, I16, 10, "V", "string voltage", string_v) for at in range(_STRINGS)),
        *((32017 + 2 * at, I16, 100, "A", "string current", string_a) for at in range(_STRINGS)),
        (32064, I32, 1, "W", "DC input power", pv_w),
        (32080, I32, 1, "W", "active power", ac_w),
        (32082, I32, 1, "var", "reactive power", 0),
        (32084, I16, 1000, "", "power factor", 1.0),
        (32085, U16, 100, "Hz", "frequency", _FREQUENCY_HZ),
        (32086, U16, 100, "%", "efficiency", 0.0 if dark else 98.4),
        (32087, I16, 10, "°C", "temperature", 24.0 + 20.0 * ac_w / plant.spec.rated_w),
        (32088, U16, 1000, "MOhm", "insulation", 3.0),
        (32089, U16, 1, "", "device status", _status(plant, dark=dark)),
        (32090, U16, 1, "", "fault code", 0),
        (32093, U32, 1, "s", "shutdown time", None),
        (32095, I32, 1, "W", "active power, fast", ac_w),
        (32106, U32, 100, "kWh", "total yield", total_kwh),
        (32108, U32, 100, "kWh", "total DC energy", total_kwh * 1.016),
        (32110, U32, 1, "s", "time of the statistics", now_s),
        (32114, U32, 100, "kWh", "yield of the day", today_kwh),
        (40000, U32, 1, "s", "system time", now_s),
    )
    return words | _inverter_output(plant, ac_w)


def _status(plant: Plant, *, dark: bool) -> int:
    if plant.off_grid:
        return STATUS_OFF_GRID
    if dark:
        return STATUS_NO_IRRADIATION
    return STATUS_LIMITED if plant.throttled else STATUS_ON_GRID


def _inverter_output(plant: Plant, ac_w: float) -> Words:
    """Voltages and currents of the inverter's AC side."""
    l1, l2, l3 = plant.voltage_v
    phases = plant.spec.phases
    amps: PhaseValues = per_phase(phases, tuple(ac_w / phases / volts for volts in plant.voltage_v))
    if phases == 1:
        # One-phase models show the grid voltage as a line voltage, and about half of it below.
        volts: tuple[float | None, ...] = (l1, None, None, l1 / 2, None, None)
    else:
        volts = (*line_voltages(l1, l2, l3), l1, l2, l3)
    return encode(
        *((32066 + at, U16, 10, "V", "AC voltage", value) for at, value in enumerate(volts)),
        *((32072 + 2 * at, I32, 1000, "A", "AC current", value) for at, value in enumerate(amps)),
    )


def battery(plant: Plant, today: Today, share: Share = WHOLE) -> Words:
    """The battery as unit 1 and as all units together; empty without a battery."""
    if plant.battery is None or not share.battery:
        return {}
    charge_w, soc_pct = share.charge_w(plant), plant.battery.soc_pct
    running = 2 if round(charge_w) else 1
    counted, midnight, part = plant.counters, today.midnight, share.battery
    charged = part * (CHARGED_BEFORE_KWH + counted.charged_kwh)
    discharged = part * (DISCHARGED_BEFORE_KWH + counted.discharged_kwh)
    charged_today = part * (counted.charged_kwh - midnight.charged_kwh)
    discharged_today = part * (counted.discharged_kwh - midnight.discharged_kwh)
    return encode(
        (37000, U16, 1, "", "unit 1: status", running),
        (37001, I32, 1, "W", "unit 1: power", charge_w),
        (37003, U16, 10, "V", "unit 1: bus voltage", _BUS_V),
        (37004, U16, 10, "%", "unit 1: state of charge", soc_pct),
        (37006, U16, 1, "", "unit 1: working mode", 4),
        (37015, U32, 100, "kWh", "unit 1: charged today", charged_today),
        (37017, U32, 100, "kWh", "unit 1: discharged today", discharged_today),
        (37021, I16, 10, "A", "unit 1: bus current", charge_w / _BUS_V),
        (37022, I16, 10, "°C", "unit 1: temperature", 24.5),
        (37066, U32, 100, "kWh", "unit 1: charged", charged),
        (37068, U32, 100, "kWh", "unit 1: discharged", discharged),
        (37760, U16, 10, "%", "state of charge", soc_pct),
        (37762, U16, 1, "", "status", running),
        (37763, U16, 10, "V", "bus voltage", _BUS_V),
        (37764, I16, 10, "A", "bus current", charge_w / _BUS_V),
        (37765, I32, 1, "W", "power", charge_w),
        (37780, U32, 100, "kWh", "charged", charged),
        (37782, U32, 100, "kWh", "discharged", discharged),
        (37784, U32, 100, "kWh", "charged today", charged_today),
        (37786, U32, 100, "kWh", "discharged today", discharged_today),
    )


def meter(sample: MeterSample | None, phases: int) -> Words:
    """The grid meter's values; None = offline. Powers and currents: + = export."""
    kind = (37125, U16, 1.0, "", "meter type", 1 if phases == 3 else 0)
    if sample is None:
        unknown = range(37101, 37117, 2), range(37119, 37125, 2), range(37126, 37138, 2)
        return encode(
            (37100, U16, 1, "", "meter status", 0),
            *((address, I32, 1, "", "unknown", None) for block in unknown for address in block),
            (37117, I16, 1, "", "power factor", None),
            (37118, I16, 1, "Hz", "frequency", None),
            kind,
        )
    power_w, voltage_v = sample.grid_export_w, sample.voltage_v
    total_w = sum(power_w[:phases])
    line_v: PhaseValues = line_voltages(*voltage_v) if phases == 3 else (None, None, None)
    columns = (
        (37101, 10, "V", "voltage", per_phase(phases, voltage_v)),
        (37107, 100, "A", "current", per_phase(phases, sample.current_a)),
        (37126, 10, "V", "line voltage", line_v),
        (37132, 1, "W", "power", per_phase(phases, power_w)),
    )
    return encode(
        (37100, U16, 1, "", "meter status", 1),
        *(
            (start + 2 * at, I32, gain, unit, f"{name}, phase {at + 1}", value)
            for start, gain, unit, name, values in columns
            for at, value in enumerate(values)
        ),
        (37113, I32, 1, "W", "grid power", total_w),
        (37115, I32, 1, "var", "reactive power", _REACTIVE_VAR),
        (37117, I16, 1000, "", "power factor", total_w / math.hypot(total_w, _REACTIVE_VAR)),
        (37118, I16, 100, "Hz", "frequency", _FREQUENCY_HZ),
        (37119, I32, 100, "kWh", "exported", counter(EXPORTED_BEFORE_KWH, sample.exported_kwh)),
        (37121, I32, 100, "kWh", "imported", counter(IMPORTED_BEFORE_KWH, sample.imported_kwh)),
        (37123, I32, 100, "kvarh", "reactive energy", 0),
        kind,
        (37138, U16, 1, "", "detection result", 1),
    )


def counter(before_kwh: float, since_kwh: float | None) -> float | None:
    """What a counter shows that started before the simulation."""
    return None if since_kwh is None else before_kwh + since_kwh


def per_phase(phases: int, values: tuple[float, ...]) -> PhaseValues:
    """The values of existing phases, None for the others."""
    l1, l2, l3 = values
    return (l1, l2, l3) if phases == 3 else (l1, None, None)


def line_voltages(l1: float, l2: float, l3: float) -> tuple[float, float, float]:
    """Voltages L1-L2, L2-L3, L3-L1 of three phases 120 degrees apart."""

    def between(a: float, b: float) -> float:
        return math.sqrt(a * a + b * b + a * b)

    return (between(l1, l2), between(l2, l3), between(l3, l1))
