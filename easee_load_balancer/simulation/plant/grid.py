"""Currents and powers of the house's three lines on a TN or an IT grid.

TN: loads lie between a line and the neutral, 230 V; a line's power is its current times that.
IT: no neutral and 230 V between two lines, so every load between two lines flows in both. The
meter shows the voltages between lines; a line's power is its share of the whole, measured against
the grid's star point: the three add up to the net power, and a balanced current I on all lines is
sqrt(3) x 230 V x I.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass

PerPhase = tuple[float, float, float]
Conductors = tuple[int, ...]
"""Indexes of the lines or charger phases that carry a current."""

TN3, TN1, IT3, IT1 = 1, 3, 4, 5
"""Grid types as the Easee API numbers them."""
IT_GRIDS = (IT3, IT1)
ONE_PHASE_GRIDS = (TN1, IT1)

_STAR = tuple(cmath.rect(1.0, -math.tau / 3 * line) for line in range(3))
"""Directions of the voltages from the star point to L1, L2, L3."""
_PAIRS = ((0, 1), (1, 2), (2, 0))
"""L1-L2, L2-L3, L3-L1: where household loads lie on an IT grid."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Export per line: power in W, current in A with the sign of the power."""

    power_w: PerPhase
    current_a: PerPhase


def power_between_w(
    grid_type: int, current_a: float, conductors: Conductors, voltage_v: PerPhase
) -> float:
    """Power in W of a car that draws this current on these of the house's lines."""
    if grid_type not in IT_GRIDS:
        power_w = 0.0
        for line in conductors:
            power_w += current_a * voltage_v[line]
        return power_w
    volts = sum(voltage_v) / 3
    factor = math.sqrt(3) if len(conductors) == 3 else 1.0 if conductors else 0.0
    return factor * volts * current_a


def tn_lines(feed_w: float, load_w: PerPhase, voltage_v: PerPhase, car_a: PerPhase) -> Lines:
    """Lines with a balanced feed of the inverter, loads and the car's current."""
    u1, u2, u3 = voltage_v
    l1 = feed_w / 3 - (load_w[0] + car_a[0] * u1)
    l2 = feed_w / 3 - (load_w[1] + car_a[1] * u2)
    l3 = feed_w / 3 - (load_w[2] + car_a[2] * u3)
    return Lines((l1, l2, l3), (l1 / u1, l2 / u2, l3 / u3))


def it_lines(
    feed_w: float, load_w: PerPhase, voltage_v: PerPhase, car_a: float, conductors: Conductors
) -> Lines:
    """The same on IT: loads lie on L1-L2, L2-L3, L3-L1, a one-phase car between two lines."""
    volts = sum(voltage_v) / 3
    balanced_a = feed_w / (math.sqrt(3) * volts)
    if len(conductors) == 3:
        balanced_a -= car_a
    amps = [balanced_a * direction for direction in _STAR]
    loads = [(pair, watts / volts) for pair, watts in zip(_PAIRS, load_w, strict=True)]
    if len(conductors) == 2:
        loads.append(((conductors[0], conductors[1]), car_a))
    for (one, other), drawn_a in loads:
        current = drawn_a * (_STAR[one] - _STAR[other]) / math.sqrt(3)
        amps[one] -= current
        amps[other] += current
    p1, p2, p3 = (
        volts / math.sqrt(3) * (current * direction.conjugate()).real
        for current, direction in zip(amps, _STAR, strict=True)
    )
    i1, i2, i3 = (
        math.copysign(abs(current), watts)
        for current, watts in zip(amps, (p1, p2, p3), strict=True)
    )
    return Lines((p1, p2, p3), (i1, i2, i3))
