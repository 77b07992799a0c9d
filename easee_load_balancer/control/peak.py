"""Capacity tariffs: the mean of a month's highest hours or quarter-hours has a price per kW.

Pure: what the month has cost so far, and what the running interval leaves to the car.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True)
class PeakTariff:
    """The tariff, and how far the month has come."""

    price_per_kw: float
    """A month's price for a kW of the mean."""
    highest: int = 3
    """How many intervals the mean is taken of."""
    minutes: int = 60
    """Length of an interval: 15 or 60, counted from the full hour."""
    different_days: bool = False
    """Whether only the highest interval of a day counts."""
    free_w: float = 0.0
    """What is paid for at least, so that it costs nothing more (Belgium: 2500 W)."""
    so_far_w: tuple[float, ...] = ()
    """Mean imports of the month's highest intervals so far, see `highest_intervals`."""
    month_ends: datetime | None = None
    """When they begin again; None: long after the horizon."""

    @property
    def paid_w(self) -> float:
        """Up to this an interval of this month costs nothing more."""
        ranked = sorted(self.so_far_w, reverse=True)[: self.highest]
        lowest_w = ranked[-1] if len(ranked) == self.highest else 0.0
        return max(self.free_w, lowest_w)

    def reached_by(self, peaks_w: Iterable[float | None]) -> PeakTariff:
        """The tariff once this month's highest intervals are as high as other plans make them."""
        highest_w = max((watts for watts in peaks_w if watts is not None), default=self.paid_w)
        if highest_w <= self.paid_w:
            return self
        return replace(self, so_far_w=(highest_w,) * self.highest)


def highest_intervals(
    imports_w: Iterable[tuple[datetime, float]], tariff: PeakTariff
) -> tuple[float, ...]:
    """The highest of a month's mean imports, each with the local start of its interval."""
    if not tariff.different_days:
        return tuple(sorted((watts for _, watts in imports_w), reverse=True)[: tariff.highest])
    by_day: dict[int, float] = {}
    for start, watts in imports_w:
        by_day[start.day] = max(watts, by_day.get(start.day, 0.0))
    return tuple(sorted(by_day.values(), reverse=True)[: tariff.highest])


@dataclass(frozen=True, slots=True)
class PeakLimit:
    """What a running interval should not exceed, for the control law."""

    limit_w: float
    minutes: int
