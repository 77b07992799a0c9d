"""What past days let one expect of prices, PV and load where nothing better is known."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

Day = Sequence[float]
"""A value for each quarter-hour of a local day: 96 of them."""


def usual_day(days: Sequence[Day]) -> list[float]:
    """The mean of each quarter-hour over some days; empty without a day."""
    return [fmean(values) for values in zip(*days, strict=True)]


def usual_prices(days: Sequence[Day]) -> list[float]:
    """A day with prices as high and as low as those of some days, at their usual times.

    A plain mean has no cheap hours left where they come at another time every day.
    """
    mean = usual_day(days)
    by_rank = usual_day([sorted(day) for day in days])
    order = sorted(range(len(mean)), key=lambda quarter: mean[quarter])
    prices = [0.0] * len(mean)
    for rank, quarter in enumerate(order):
        prices[quarter] = by_rank[rank]
    return prices
