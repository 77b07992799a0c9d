"""From samples at irregular moments to means until the next sample.

`at_s` are the moments in seconds, `held_s` the time until the next sample, 0 before a gap.
Unknown is NaN.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HALF_RISE_S = 4.0
"""Half the time a car takes to ramp up to a new current; cars stop at once."""


def seconds(at: pd.Series, since: datetime = EPOCH) -> Floats:
    """Seconds since a moment."""
    return np.asarray((at - pd.Timestamp(since)).dt.total_seconds(), dtype=np.float64)


def overlap_s(since_s: Floats, until_s: Floats, first_s: float, last_s: float) -> Floats:
    """How many seconds of each interval lie between two moments."""
    inside = np.minimum(until_s, last_s) - np.maximum(since_s, first_s)
    return np.asarray(np.maximum(inside, 0.0))


def linear_mean(values: Floats, held_s: Floats) -> Floats:
    """The mean until the next sample, interpolated linearly; the sample itself before a gap."""
    following = np.append(values[1:], values[-1:])
    line = (held_s > 0) & ~np.isnan(following)
    return np.where(line, (values + following) / 2, values)


def step_mean(at_s: Floats, held_s: Floats, since_s: Floats, values: Floats | Bools) -> Floats:
    """The mean until the next sample of values that each hold from `since_s` on."""
    if not len(at_s):
        return np.zeros(0)
    knots = np.append(since_s, max(at_s[-1], since_s[-1]) + 1)
    total = np.append(0.0, np.cumsum(np.diff(knots) * values))
    inside = np.interp(at_s + held_s, knots, total) - np.interp(at_s, knots, total)
    mean: Floats = np.array(values, dtype=np.float64)
    np.divide(inside, held_s, out=mean, where=held_s > 0)
    return mean


def car_since(at_s: Floats, age_s: Floats, car_w: Floats, known: Bools) -> Floats:
    """Since when the car has drawn each sampled power; `age_s` is the age of the value.

    When the power rises, the charger reports the end of the ramp: half of it is added.
    """
    since_s = at_s - np.nan_to_num(np.maximum(age_s, 0.0))
    restarts = np.append(True, ~known[:-1])[: len(at_s)]
    since_s = np.maximum.accumulate(np.where(restarts, at_s, since_s))
    before_s, before_w = np.append(at_s[:1], at_s[:-1]), np.append(car_w[:1], car_w[:-1])
    rise_s = np.minimum((since_s - np.minimum(before_s, since_s)) / 2, _HALF_RISE_S)
    return np.where((car_w > before_w) & (age_s > 0), since_s - rise_s, since_s)


def fill_gaps(values: Floats, at_s: Floats, max_gap_s: float) -> Floats:
    """Unknown values replaced by the last known one, where the next known one is near enough."""
    known = np.flatnonzero(~np.isnan(values))
    if len(known) in (0, len(values)):
        return values
    position = np.searchsorted(known, np.arange(len(values)), side="right")
    before = known[np.maximum(position - 1, 0)]
    after = known[np.minimum(position, len(known) - 1)]
    near = (position > 0) & (position < len(known)) & (at_s[after] - at_s[before] <= max_gap_s)
    return np.where(np.isnan(values) & near, values[before], values)
