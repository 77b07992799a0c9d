"""A day of PV production and house load, one sample a minute, from a CSV file or generated."""

from __future__ import annotations

import csv
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

BuiltInDay = Literal["clear", "variable", "overcast"]
BUILT_IN_DAYS: tuple[BuiltInDay, ...] = get_args(BuiltInDay)

MINUTES_PER_DAY = 1440
_SEED = 20260621
_PEAK_W = 9_000.0
_SUNRISE_MIN, _SUNSET_MIN = 330, 1260


class Weather(Protocol):
    """PV production and household load, independent of the car."""

    @property
    def name(self) -> str:
        """Name of the day."""

    def pv_at(self, second: int) -> float:
        """PV power in W at a second since midnight."""

    def load_at(self, second: int) -> float:
        """House load in W at a second since midnight."""


@dataclass(frozen=True, slots=True)
class Day:
    """PV and load of one day, in W, index = minute since local midnight (1440 values each)."""

    name: str
    pv_w: tuple[float, ...]
    load_w: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.pv_w) != MINUTES_PER_DAY or len(self.load_w) != MINUTES_PER_DAY:
            raise ValueError(
                f"day {self.name!r} needs {MINUTES_PER_DAY} samples of PV and load, "
                f"has {len(self.pv_w)} and {len(self.load_w)}"
            )

    def pv_at(self, second: int) -> float:
        """PV power in W at a second since midnight, interpolated between the minutes."""
        minute, rest = divmod(second % 86_400, 60)
        here = self.pv_w[minute]
        return here + (self.pv_w[(minute + 1) % MINUTES_PER_DAY] - here) * rest / 60

    def load_at(self, second: int) -> float:
        """House load in W at a second since midnight: appliances switch, so no interpolation."""
        return self.load_w[second % 86_400 // 60]


def load_day(source: str) -> Day:
    """A built-in day by its name, or a CSV file `time,pv_w,load_w` (HH:MM, one row a minute).

    Raises ValueError for a file that is not such a day, OSError for one that cannot be read.
    """
    for name in BUILT_IN_DAYS:
        if source == name:
            return generate_day(name)
    path = Path(source)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        for minute, row in enumerate(rows):
            expected = f"{minute // 60:02d}:{minute % 60:02d}"
            if row["time"] != expected:
                raise ValueError(f"row {minute + 2} is {row['time']!r}, expected {expected}")
        return Day(
            name=path.stem,
            pv_w=tuple(max(0.0, float(row["pv_w"])) for row in rows),
            load_w=tuple(max(0.0, float(row["load_w"])) for row in rows),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{source} is not a day (time,pv_w,load_w; a row a minute): {error}"
        ) from error


def generate_day(kind: BuiltInDay) -> Day:
    """A generated day of that kind, the same at every call."""
    rng = random.Random(f"{_SEED} {kind}")
    clear = [_clear_sky_w(minute) for minute in range(MINUTES_PER_DAY)]
    sky = {"clear": _no_clouds, "variable": _passing_clouds, "overcast": _grey_sky}[kind](rng)
    pv_w = tuple(power * share for power, share in zip(clear, sky, strict=True))
    return Day(name=kind, pv_w=pv_w, load_w=tuple(_household(rng)))


def _clear_sky_w(minute: int) -> float:
    if not _SUNRISE_MIN < minute < _SUNSET_MIN:
        return 0.0
    height = math.sin(math.pi * (minute - _SUNRISE_MIN) / (_SUNSET_MIN - _SUNRISE_MIN))
    return float(_PEAK_W * height**1.3)


def _no_clouds(rng: random.Random) -> list[float]:
    return [1.0] * MINUTES_PER_DAY


def _passing_clouds(rng: random.Random) -> list[float]:
    share: list[float] = []
    while len(share) < MINUTES_PER_DAY:
        share += [rng.uniform(0.9, 1.05)] * rng.randint(3, 25)
        share += [rng.uniform(0.2, 0.5)] * rng.randint(2, 12)
    return share[:MINUTES_PER_DAY]


def _grey_sky(rng: random.Random) -> list[float]:
    share, level = [], 0.2
    for _ in range(MINUTES_PER_DAY):
        level = min(0.38, max(0.08, level + rng.uniform(-0.012, 0.012)))
        share.append(level)
    return share


def _household(rng: random.Random) -> list[float]:
    load = [180.0 + (90.0 if minute % 45 < 18 else 0.0) for minute in range(MINUTES_PER_DAY)]
    appliances = [  # around minute, spread, minutes on, W: kettle, lunch, washing, dinner
        (415, 15, 4, 2000.0),
        (725, 20, 25, 1800.0),
        (860, 60, 40, 2000.0),
        (1110, 20, 45, 2200.0),
        (1150, 10, 200, 250.0),
    ]
    for around, spread, minutes, watts in appliances:
        start = around + rng.randint(-spread, spread)
        for minute in range(start, min(start + minutes, MINUTES_PER_DAY)):
            load[minute] += watts
    return [watts + rng.uniform(-20, 20) for watts in load]
