"""What the devices count themselves: exact sums, in steps of 0.01 kWh, at unknown moments.

Samples say when energy flowed, counters say how much it was. Between two readings a counter has
reached what it shows, and not yet what it shows next; samples that would leave these bounds, as
those of loads that switch within seconds do, are put back into them.
"""

from __future__ import annotations

import numpy as np

from easee_load_balancer.energy.resampling import Bools, Floats

_MOST_KWH = 2.0
"""A counter that grows by more from one cycle to the next is not believed."""
_UNSEEN_W = 5.0
_UNSEEN_SHARE = 0.5
"""What samples can miss; a counter that differs by more counts something else."""


def believed(counter_kwh: Floats) -> Bools:
    """Which steps, from each reading to the next, can have happened."""
    with np.errstate(invalid="ignore"):
        grown = np.diff(counter_kwh)
        return np.asarray((grown >= 0) & (grown <= _MOST_KWH))


def follow(counter_kwh: Floats, sampled_kwh: Floats, followed: Bools) -> Floats:
    """The energy of each step, as the samples say it within the bounds that the counter sets.

    The counter is read at the start of each step and after the last one; only the steps that are
    `followed` are changed. No energy is ever negative.
    """
    highest = _shown_next(counter_kwh)
    starts = followed & ~np.append(False, followed[:-1])
    grows = np.append(np.diff(counter_kwh) > 0, False)
    steps = np.flatnonzero(followed & (starts | grows | (sampled_kwh > 0)))
    at_start = np.minimum(counter_kwh + _resolution(counter_kwh) / 2, highest)
    columns = (starts[steps], at_start[steps], sampled_kwh[steps])
    bounds = (counter_kwh[steps + 1], highest[steps + 1])
    energy, counted = [], 0.0
    for begins, anew, kwh, low, high in zip(
        *(column.tolist() for column in (*columns, *bounds)), strict=True
    ):
        before = anew if begins else counted
        counted = before + kwh
        if counted > high:
            counted = high
        if counted < low:
            counted = low
        energy.append(counted - before)
    result = sampled_kwh.copy()
    result[steps] = energy
    return result


def agrees(counter_kwh: Floats, sampled_kwh: Floats, held_s: Floats, followed: Bools) -> bool:
    """Whether the counter counts what is sampled, from all that is known of both."""
    counted = float(np.diff(counter_kwh, append=np.nan)[followed].sum())
    sampled = float(sampled_kwh[followed].sum())
    unseen = _UNSEEN_W * float(held_s[followed].sum()) / 3.6e6 + 2 * _resolution(counter_kwh)
    return abs(counted - sampled) <= unseen + _UNSEEN_SHARE * max(counted, sampled)


def growth(counter_kwh: Floats, gap: Bools) -> Floats:
    """What a counter counted from each reading to the next; 0 where that cannot be."""
    return np.where(believed(counter_kwh) | gap, np.maximum(np.diff(counter_kwh), 0.0), 0.0)


def session_growth(counter_kwh: Floats, sampled_kwh: Floats) -> Floats:
    """The same for a counter that begins again at zero with each car that is plugged in.

    It also shows zero at times in the middle of a session: of the two, it was what agrees better
    with the samples.
    """
    shown = np.flatnonzero(counter_kwh > 0)
    grown = np.zeros(max(len(counter_kwh) - 1, 0))
    if not len(shown):
        return grown
    reading = counter_kwh[shown]
    total = np.concatenate(([0.0], np.cumsum(sampled_kwh)))[shown]
    onward, anew, expected = np.diff(reading), reading[1:], np.diff(total)
    interrupted = np.diff(shown) > 1
    again = (onward < 0) | (interrupted & (abs(anew - expected) < abs(onward - expected)))
    grown[shown[1:] - 1] = np.where(again, anew, onward)
    if shown[0] > 0:
        grown[shown[0] - 1] = reading[0]
    return grown


def _shown_next(counter_kwh: Floats) -> Floats:
    """The next higher reading after each one; infinite where there is none."""
    changes = np.append(np.flatnonzero(np.diff(counter_kwh) != 0), len(counter_kwh) - 1)
    following = changes[np.searchsorted(changes, np.arange(len(counter_kwh)))]
    shown = np.append(counter_kwh, np.nan)[following + 1]
    with np.errstate(invalid="ignore"):
        return np.where(shown > counter_kwh, shown, np.inf)


def _resolution(counter_kwh: Floats) -> float:
    """The smallest step that the counter makes."""
    grown = np.diff(counter_kwh)
    grown = grown[grown > 1e-6]
    return float(grown.min()) if len(grown) else 0.0
