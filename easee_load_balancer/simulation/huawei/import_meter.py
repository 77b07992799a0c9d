"""Grid meters that count import as positive, as behind an EMMA or SmartLogger: pure encoding."""

from __future__ import annotations

from dataclasses import dataclass

from easee_load_balancer.measurements import UNKNOWN_PHASES, PhaseValues
from easee_load_balancer.simulation.huawei.encoding import I32, I64, U32, Row, Words, encode
from easee_load_balancer.simulation.huawei.registers import (
    EXPORTED_BEFORE_KWH,
    IMPORTED_BEFORE_KWH,
    counter,
    line_voltages,
    per_phase,
)
from easee_load_balancer.simulation.plant.meter import MeterSample


@dataclass(frozen=True, slots=True)
class MeterAddresses:
    """Where a device has its meter; values of three phases follow each other."""

    voltages: int
    line_voltages: int
    currents: int
    power: int
    powers: int
    energy: int
    """Both ways."""
    exported: int
    imported: int


def encode_meter(
    at: MeterAddresses, sample: MeterSample | None, phases: int, *, signed_currents: bool
) -> Words:
    """The registers of a sample; None = nothing is available."""
    if sample is None:
        sample_w, volts, amps, lines_v, total_w = (*(UNKNOWN_PHASES,) * 4, None)
        exported = imported = None
    else:
        sample_w = _imported(phases, sample.grid_export_w)
        volts, amps = per_phase(phases, sample.voltage_v), _imported(phases, sample.current_a)
        lines_v = line_voltages(*sample.voltage_v) if phases == 3 else UNKNOWN_PHASES
        total_w = -sum(sample.grid_export_w[:phases])
        exported = counter(EXPORTED_BEFORE_KWH, sample.exported_kwh)
        imported = counter(IMPORTED_BEFORE_KWH, sample.imported_kwh)
    if not signed_currents:
        l1, l2, l3 = (one if one is None else abs(one) for one in amps)
        amps = (l1, l2, l3)
    columns = (
        (at.voltages, U32, 100, "V", "voltage", volts),
        (at.line_voltages, U32, 100, "V", "line voltage", lines_v),
        (at.currents, I32, 10, "A", "current", amps),
        (at.powers, I32, 1, "W", "power, + = import", sample_w),
    )
    rows: list[Row] = [
        (start + 2 * phase, kind, gain, unit, name, value)
        for start, kind, gain, unit, name, values in columns
        for phase, value in enumerate(values)
    ]
    both = None if exported is None or imported is None else imported + exported
    return encode(
        *rows,
        (at.power, I32, 1, "W", "grid power, + = import", total_w),
        (at.energy, I64, 100, "kWh", "energy both ways", both),
        (at.exported, I64, 100, "kWh", "negative: exported", exported),
        (at.imported, I64, 100, "kWh", "positive: imported", imported),
    )


def _imported(phases: int, exported: tuple[float, ...]) -> PhaseValues:
    return per_phase(phases, tuple(-value for value in exported))
