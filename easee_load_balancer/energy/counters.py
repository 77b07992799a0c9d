"""The devices' own energy counters: exact totals in steps of 0.01 kWh.

Samples say when energy flowed, counters say how much. Between two readings the true total lies
between what the counter shows and what it shows next. Sampled energy outside these bounds, as from
loads that switch within seconds, is corrected to them.
"""

from __future__ import annotations

import numpy as np

from easee_load_balancer.energy.resampling import Bools, Floats

_MAX_STEP_KWH = 2.0
"""More than this from one cycle to the next is a reading error."""
_MISSED_W = 5.0
_MISSED_SHARE = 0.5
"""What samples can miss; a counter that differs by more counts something else."""


def plausible(counter_kwh: Floats) -> Bools:
    """Which steps, from each reading to the next, are possible."""
    with np.errstate(invalid="ignore"):
        grown = np.diff(counter_kwh)
        return np.asarray((grown >= 0) & (grown <= _MAX_STEP_KWH))


def reconcile(counter_kwh: Floats, sampled_kwh: Floats, usable: Bools) -> Floats:
    """The sampled energy of each step, corrected to the bounds that the counter sets.

    The counter is read at the start of each step and after the last one; only `usable` steps are
    corrected. No energy is ever negative.
    """
    highest = _shown_next(counter_kwh)
    starts = usable & ~np.append(False, usable[:-1])
    grows = np.append(np.diff(counter_kwh) > 0, False)
    steps = np.flatnonzero(usable & (starts | grows | (sampled_kwh > 0)))
    at_start = np.minimum(counter_kwh + _resolution(counter_kwh) / 2, highest)
    columns = (starts[steps], at_start[steps], sampled_kwh[steps])
    bounds = (counter_kwh[steps + 1], highest[steps + 1])
    energy, counted = [], 0.0
    for is_start, start_kwh, kwh, low, high in zip(
        *(column.tolist() for column in (*columns, *bounds)), strict=True
    ):
        before = start_kwh if is_start else counted
        counted = before + kwh
        if counted > high:
            counted = high
        if counted < low:
            counted = low
        energy.append(counted - before)
    result = sampled_kwh.copy()
    result[steps] = energy
    return result


def agrees(counter_kwh: Floats, sampled_kwh: Floats, held_s: Floats, usable: Bools) -> bool:
    """Whether the counter and the samples measure the same thing."""
    counted = float(np.diff(counter_kwh, append=np.nan)[usable].sum())
    sampled = float(sampled_kwh[usable].sum())
    missed = _MISSED_W * float(held_s[usable].sum()) / 3.6e6 + 2 * _resolution(counter_kwh)
    return abs(counted - sampled) <= missed + _MISSED_SHARE * max(counted, sampled)


def growth(counter_kwh: Floats, gap: Bools) -> Floats:
    """What a counter counted from each reading to the next; 0 if that is impossible."""
    return np.where(plausible(counter_kwh) | gap, np.maximum(np.diff(counter_kwh), 0.0), 0.0)


def session_growth(counter_kwh: Floats, sampled_kwh: Floats) -> Floats:
    """The same for a counter that restarts at zero with each session.

    It can also show zero in the middle of a session. Whether it restarted or went on is what
    agrees better with the samples.
    """
    shown = np.flatnonzero(counter_kwh > 0)
    grown = np.zeros(max(len(counter_kwh) - 1, 0))
    if not len(shown):
        return grown
    reading = counter_kwh[shown]
    total = np.concatenate(([0.0], np.cumsum(sampled_kwh)))[shown]
    continued, restarted, expected = np.diff(reading), reading[1:], np.diff(total)
    interrupted = np.diff(shown) > 1
    nearer = abs(restarted - expected) < abs(continued - expected)
    new_session = (continued < 0) | (interrupted & nearer)
    grown[shown[1:] - 1] = np.where(new_session, restarted, continued)
    if shown[0] > 0:
        grown[shown[0] - 1] = reading[0]
    return grown


def _shown_next(counter_kwh: Floats) -> Floats:
    """The next higher reading after each one; infinite if there is none."""
    changes = np.append(np.flatnonzero(np.diff(counter_kwh) != 0), len(counter_kwh) - 1)
    following = changes[np.searchsorted(changes, np.arange(len(counter_kwh)))]
    shown = np.append(counter_kwh, np.nan)[following + 1]
    with np.errstate(invalid="ignore"):
        return np.where(shown > counter_kwh, shown, np.inf)


def _resolution(counter_kwh: Floats) -> float:
    """The smallest step of the counter."""
    grown = np.diff(counter_kwh)
    grown = grown[grown > 1e-6]
    return float(grown.min()) if len(grown) else 0.0
