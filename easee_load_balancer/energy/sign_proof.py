"""Which way round a grid meter counts: proven by energy balance, or by a step of the car's power.

Public sources disagree about signs, and meters are installed the wrong way round. What the house
takes is AC power less export; with the wrong sign it would be their sum.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from statistics import median

_MARGIN_W = 200.0
_MARGIN_SHARE = 0.05
"""Inverter and meter are refreshed seconds apart."""
_LEAST_STEP_W = 600.0
"""A smaller step of the car's power proves nothing: clouds and kettles do the same."""
_CLOSE_SHARE = 0.4
"""A change that differs from the car's by less than this share is the car's."""


class Sign(Enum):
    """What a test says about the meter's sign."""

    RIGHT = "right"
    WRONG = "wrong"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class PowerSample:
    """Powers at one moment in W."""

    grid_export_w: float
    inverter_ac_w: float
    car_w: float


def typical(samples: Iterable[PowerSample]) -> PowerSample:
    """The median of each power: one reading may catch a switching load."""
    listed = list(samples)
    return PowerSample(
        median(one.grid_export_w for one in listed),
        median(one.inverter_ac_w for one in listed),
        median(one.car_w for one in listed),
    )


def house_w(sample: PowerSample) -> float:
    """What house and car take together, if the sign is right."""
    return sample.inverter_ac_w - sample.grid_export_w


def by_balance(sample: PowerSample) -> Sign:
    """The house cannot take less than its car; unproven where both signs are possible.

    A source that is not read looks like a wrong sign.
    """
    powers = (sample.grid_export_w, sample.inverter_ac_w, sample.car_w)
    margin_w = max(_MARGIN_W, _MARGIN_SHARE * max(map(abs, powers)))
    least_w = sample.car_w - margin_w
    possible = house_w(sample) >= least_w
    reversed_possible = sample.inverter_ac_w + sample.grid_export_w >= least_w
    return _decided(possible, reversed_possible)


def by_step(before: PowerSample, after: PowerSample) -> Sign:
    """What house and car take has to change as the car's own power does.

    Unproven after too small a step, where something else changed too, or where the battery took
    over the whole step.
    """
    step_w = after.car_w - before.car_w
    if abs(step_w) < _LEAST_STEP_W:
        return Sign.UNPROVEN
    ac_w = after.inverter_ac_w - before.inverter_ac_w
    export_w = after.grid_export_w - before.grid_export_w
    close_w = _CLOSE_SHARE * abs(step_w)
    possible = abs(ac_w - export_w - step_w) < close_w
    reversed_possible = abs(ac_w + export_w - step_w) < close_w
    return _decided(possible, reversed_possible)


def _decided(possible: bool, reversed_possible: bool) -> Sign:
    if possible == reversed_possible:
        return Sign.UNPROVEN
    return Sign.RIGHT if possible else Sign.WRONG
