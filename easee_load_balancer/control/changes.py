"""How often the setpoint changed in the last hour: writes are bounded by design."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import fmean

from pydantic import AwareDatetime, BaseModel, ConfigDict

from easee_load_balancer.measurements import Setpoint

HOUR = timedelta(hours=1)
"""The window in which changes are counted."""
MOST_AN_HOUR = 38
"""After this many changes in an hour nothing is raised any more."""
_PLENTY = 20
"""Up to about this many changes in an hour their number hardly matters."""
_HUNTING_CHANGES = 5
"""This many changes back and forth are a hunt."""
_STANDS_STILL_A = 3.5
"""Surplus and load move by less than this while the setpoint hunts by itself."""
_FOLLOWED_A = 0.3
"""A raise that had this much more available than the lowering followed what was there."""
_HUNTING_WITHIN = timedelta(minutes=15)
"""Slower changes come from the weather."""
HUNTING_PAUSE = timedelta(minutes=10)
"""The higher current waits this long after a hunt."""


class Change(BaseModel):
    """A setpoint that differed from the one before it."""

    model_config = ConfigDict(frozen=True)

    at: AwareDatetime
    current_a: int
    phases: int
    available_a: float | None = None
    """What surplus or main fuse left to each of the car's lines then."""


def with_change(
    changes: Sequence[Change], setpoint: Setpoint, available_a: float | None, now: datetime
) -> tuple[Change, ...]:
    """The changes of the last hour, this one included."""
    change = Change(
        at=now, current_a=setpoint.current_a, phases=setpoint.phases, available_a=available_a
    )
    return (*(one for one in changes if timedelta() <= now - one.at < HOUR), change)


def in_last_hour(changes: Sequence[Change], now: datetime) -> int:
    """How often the setpoint changed in the last hour."""
    return sum(timedelta() <= now - change.at < HOUR for change in changes)


def scarcity(changes: Sequence[Change], now: datetime) -> float:
    """How scarce changes are: near 0 while there are plenty, 1 at 20 in an hour, 16 at 40."""
    return (in_last_hour(changes, now) / _PLENTY) ** 4


def find_hunt(changes: Sequence[Change], *, follows: bool) -> tuple[int, int] | None:
    """The two currents between which the setpoint goes back and forth by itself, if it does.

    `follows`: whether the setpoint follows the surplus. Then it is no hunt where each raise had
    more available than each lowering.
    """
    window = changes[-_HUNTING_CHANGES:]
    currents = [(change.current_a, change.phases) for change in window]
    if len(window) < _HUNTING_CHANGES or len(set(currents)) != 2:
        return None
    alternates = all(one != two for one, two in pairwise(currents))
    quickly = window[-1].at - window[0].at <= _HUNTING_WITHIN
    if not alternates or not quickly or not _stood_still(window, follows=follows):
        return None
    low_a, high_a = sorted(current_a for current_a, _ in set(currents))
    return low_a, high_a


def _stood_still(window: Sequence[Change], *, follows: bool) -> bool:
    """Whether surplus and load hardly moved, as far as they are known."""
    available_a = [change.available_a for change in window]
    known_a = [value for value in available_a if value is not None]
    if len(known_a) < len(available_a):
        return True
    if max(known_a) - min(known_a) > _STANDS_STILL_A:
        return False
    raised = 0 if window[0].current_a > window[1].current_a else 1
    more_a = fmean(known_a[raised::2]) - fmean(known_a[1 - raised :: 2])
    return not follows or more_a < _FOLLOWED_A
