"""The prices to expect where nothing better is known, from those of past days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

Day = Sequence[float]
"""A value for each quarter-hour of a local day: 96 of them."""
PAST_DAYS = 28
"""Older days say nothing."""
_A_DAY_OLDER = 0.95
"""What a day counts for against one that is a day younger."""
_SAME_WEEKDAY = 13.0
"""What a day counts for against one of another weekday."""
_LEVEL_STAYS = 0.5
"""Of the difference between the newest day's level and the usual one, what the next day keeps."""
_LEVEL_FADES = 0.6
"""Of that, what is left a day later."""


def expected_prices(past: Mapping[date, Day], day: date) -> list[float]:
    """The prices to expect of a day, from those of the days before it; empty without any.

    They are as high and as low as those of its weekday lately, at their usual times, and follow the
    level of the newest day. A plain mean has no cheap hours left where they come at another time
    every day.
    """
    newest = max(past, default=day)
    known = [(each, past[each]) for each in past if (newest - each).days < PAST_DAYS]
    weights = [
        _A_DAY_OLDER ** (newest - each).days
        * (_SAME_WEEKDAY if each.weekday() == day.weekday() else 1.0)
        for each, _ in known
    ]
    mean = _weighted([prices for _, prices in known], weights)
    by_rank = _weighted([sorted(prices) for _, prices in known], weights)
    expected = _in_order_of(mean, by_rank)
    if not expected:
        return []
    level = sum(past[newest]) / len(past[newest]) - sum(expected) / len(expected)
    shift = level * _LEVEL_STAYS * _LEVEL_FADES ** max(0, (day - newest).days - 1)
    return [price + shift for price in expected]


def _weighted(days: Sequence[Day], weights: Sequence[float]) -> list[float]:
    """The mean of each quarter-hour; empty without a day."""
    total = sum(weights)
    return [
        sum(value * weight for value, weight in zip(values, weights, strict=True)) / total
        for values in zip(*days, strict=True)
    ]


def _in_order_of(mean: Day, by_rank: Sequence[float]) -> list[float]:
    """The sorted prices at the times of the mean ones."""
    order = sorted(range(len(mean)), key=lambda quarter: mean[quarter])
    prices = [0.0] * len(mean)
    for rank, quarter in enumerate(order):
        prices[quarter] = by_rank[rank]
    return prices
