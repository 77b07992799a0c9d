"""How often the setpoint changed of late, and what that allows: writes are bounded by design."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from pydantic import AwareDatetime, BaseModel, ConfigDict

from easee_load_balancer.measurements import Setpoint

HOUR = timedelta(hours=1)
MOST_AN_HOUR = 39
"""After this many changes in an hour nothing is raised any more."""
_PLENTY = 20
"""Up to about this many changes in an hour their number hardly matters."""
_HUNTING_CHANGES = 5
_STANDS_STILL_A = 2.5
"""Surplus and load move by less than this while the setpoint hunts by itself."""
_HUNTING_WITHIN = timedelta(minutes=20)
HUNTING_PAUSE = timedelta(minutes=10)


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


def hunts_between(changes: Sequence[Change]) -> tuple[int, int] | None:
    """The two currents between which the setpoint went back and forth, if it did so by itself.

    Where surplus or load moved as well, it followed them.
    """
    recent = changes[-_HUNTING_CHANGES:]
    last = [(change.current_a, change.phases) for change in recent]
    if len(last) < _HUNTING_CHANGES or len(set(last)) != 2:
        return None
    available_a = [change.available_a for change in recent if change.available_a is not None]
    moved = available_a and max(available_a) - min(available_a) > _STANDS_STILL_A
    if moved or recent[-1].at - recent[0].at > _HUNTING_WITHIN:
        return None
    if any(one == next_one for one, next_one in pairwise(last)):
        return None
    low, high = sorted(current_a for current_a, _ in set(last))
    return low, high
