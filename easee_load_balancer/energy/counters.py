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
_MAX_W = 69_000.0
"""More than 3 x 100 A: no house has that, so a counter that grows faster is a reading error."""
_MUCH_NEARER = 0.5
"""A session that starts higher than the last one ended has at most this share of the error."""
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


def without_misreadings(counter_kwh: Floats) -> Floats:
    """The readings, NaN for those lower than both an earlier and a later one: 0 once, for example.

    A counter that stays low has been replaced.
    """
    known = np.where(np.isnan(counter_kwh), -np.inf, counter_kwh)
    before = np.maximum.accumulate(known)
    after = np.maximum.accumulate(known[::-1])[::-1]
    return np.where((counter_kwh < before) & (after >= before), np.nan, counter_kwh)


def growth(counter_kwh: Floats, step_s: Floats) -> Floats:
    """What a counter counted from each reading to the next; 0 if that is impossible."""
    grown = np.diff(counter_kwh)
    possible = (grown >= 0) & (grown <= np.maximum(_MAX_STEP_KWH, _MAX_W * step_s / 3.6e6))
    return np.where(possible, grown, 0.0)


def session_growth(counter_kwh: Floats, sampled_kwh: Floats) -> Floats:
    """The same for a counter that restarts at zero with each session.

    It can also show zero in the middle of a session, and the last session's energy until the next
    one has charged for a while. Whether it restarted or went on is what agrees better with the
    samples since it last changed; without a zero between, only what agrees much better.
    """
    shown = np.flatnonzero(counter_kwh > 0)
    grown = np.zeros(max(len(counter_kwh) - 1, 0))
    if not len(shown):
        return grown
    changed = (np.diff(counter_kwh[shown]) != 0) | (np.diff(shown) > 1)
    zero_before = np.append(False, np.diff(shown) > 1)[np.append(True, changed)]
    shown = shown[np.append(True, changed)]
    reading = counter_kwh[shown]
    total = np.concatenate(([0.0], np.cumsum(sampled_kwh)))[shown]
    continued, restarted, expected = np.diff(reading), reading[1:], np.diff(total)
    closeness = np.where(zero_before[1:], 1.0, _MUCH_NEARER)
    nearer = abs(restarted - expected) < closeness * abs(continued - expected)
    new_session = (continued < 0) | nearer
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
