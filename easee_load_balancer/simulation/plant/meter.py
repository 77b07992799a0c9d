"""The grid meter: what it shows of the house, rightly or wrongly."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from easee_load_balancer.simulation.plant.grid import PerPhase

_ALTERNATES_S = 30
_NOTHING: PerPhase = (0.0, 0.0, 0.0)


MeterFaultKind = Literal[
    "offline",  # nothing
    "zeros",  # 0 in every value, no counters
    "alternating",  # that for half a minute, and values for the next
    "dead_phase",  # 0 V and 0 W on L2, its current goes on
    "frozen",  # the same values again and again
    "reversed",  # powers and currents with the wrong sign
]


@dataclass(frozen=True, slots=True)
class MeterFault:
    """What the meter shows wrongly between two seconds of the plant's clock."""

    kind: MeterFaultKind
    since_s: int
    until_s: int


@dataclass(frozen=True, slots=True)
class MeterSample:
    """Values of the grid meter; per phase, export positive."""

    grid_export_w: PerPhase
    voltage_v: PerPhase
    exported_kwh: float | None
    imported_kwh: float | None
    current_a: PerPhase
    taken_at_s: int = field(compare=False, default=0)
    """By the plant's clock."""


def faulty(sample: MeterSample, fault: MeterFaultKind | None, clock_s: int) -> MeterSample:
    """What the meter shows of a sample; one that is frozen shows an earlier sample."""
    alternately = fault == "alternating" and clock_s // _ALTERNATES_S % 2
    if fault == "zeros" or alternately:
        return MeterSample(_NOTHING, _NOTHING, None, None, _NOTHING, clock_s)
    if fault == "dead_phase":
        (p1, _, p3), (u1, _, u3) = sample.grid_export_w, sample.voltage_v
        return replace(sample, grid_export_w=(p1, 0.0, p3), voltage_v=(u1, 0.0, u3))
    if fault == "reversed":
        (p1, p2, p3), (a1, a2, a3) = sample.grid_export_w, sample.current_a
        return replace(sample, grid_export_w=(-p1, -p2, -p3), current_a=(-a1, -a2, -a3))
    return sample
