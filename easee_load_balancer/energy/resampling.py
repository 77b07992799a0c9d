"""From samples at irregular moments to means until the next sample; nothing bridges a gap.

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
_HALF_A_RISE_S = 4.0
"""Half of the time that cars take to rise to what they are offered; they stop at once."""


def seconds(at: pd.Series, since: datetime = EPOCH) -> Floats:
    """Seconds from a moment on."""
    return np.asarray((at - pd.Timestamp(since)).dt.total_seconds(), dtype=np.float64)


def straight(values: Floats, held_s: Floats) -> Floats:
    """The mean until the next sample on a straight line; where that is unknown, the sample."""
    following = np.append(values[1:], values[-1:])
    line = (held_s > 0) & ~np.isnan(following)
    return np.where(line, (values + following) / 2, values)


def in_steps(at_s: Floats, held_s: Floats, since_s: Floats, values: Floats | Bools) -> Floats:
    """The mean until the next sample of values that hold from `since_s` until the next one's."""
    if not len(at_s):
        return np.zeros(0)
    knots = np.append(since_s, max(at_s[-1], since_s[-1]) + 1)
    total = np.append(0.0, np.cumsum(np.diff(knots) * values))
    inside = np.interp(at_s + held_s, knots, total) - np.interp(at_s, knots, total)
    mean: Floats = np.array(values, dtype=np.float64)
    np.divide(inside, held_s, out=mean, where=held_s > 0)
    return mean


def car_since(at_s: Floats, age_s: Floats, car_w: Floats, known: Bools) -> Floats:
    """Since when the car had taken what each sample says; `age_s` is how old the value was.

    Of a car that takes more, the charger's newest value shows the end of the rise.
    """
    since_s = at_s - np.nan_to_num(np.maximum(age_s, 0.0))
    anew = np.append(True, ~known[:-1])[: len(at_s)]
    since_s = np.maximum.accumulate(np.where(anew, at_s, since_s))
    before_s, before_w = np.append(at_s[:1], at_s[:-1]), np.append(car_w[:1], car_w[:-1])
    rise_s = np.minimum((since_s - np.minimum(before_s, since_s)) / 2, _HALF_A_RISE_S)
    return np.where((car_w > before_w) & (age_s > 0), since_s - rise_s, since_s)


def bridged(values: Floats, at_s: Floats, longest_s: float) -> Floats:
    """The last known value where the next known one is near enough; else unknown."""
    known = np.flatnonzero(~np.isnan(values))
    if len(known) in (0, len(values)):
        return values
    position = np.searchsorted(known, np.arange(len(values)), side="right")
    before = known[np.maximum(position - 1, 0)]
    after = known[np.minimum(position, len(known) - 1)]
    near = (position > 0) & (position < len(known)) & (at_s[after] - at_s[before] <= longest_s)
    return np.where(np.isnan(values) & near, values[before], values)
