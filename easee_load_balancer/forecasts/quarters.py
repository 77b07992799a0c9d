"""Values by quarter-hour from what a source sends; nothing impossible gets through."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any

from easee_load_balancer.periods import QUARTER

Entry = tuple[datetime, float]
"""When a value begins to hold, and the value."""
MOST_ENTRIES = 5000
_LONGEST_STEP = timedelta(hours=1)


class NoSeries(ValueError):
    """What was sent is not a series of values; the message says why."""


def value_in(table: Any, name: str) -> Any:
    """The value of that name in a JSON object. Raises NoSeries if there is none."""
    if not isinstance(table, dict) or name not in table:
        raise NoSeries(f"'{name}' is missing")
    return table[name]


def list_in(table: Any, name: str) -> list[Any]:
    """The list of that name in a JSON object. Raises NoSeries if there is none."""
    found = value_in(table, name)
    if not isinstance(found, list):
        raise NoSeries(f"'{name}' is not a list")
    return found


def number(value: Any) -> float:
    """A finite number, also as text. Raises NoSeries."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise NoSeries("a value is not a number")
    try:
        result = float(value)
    except (ValueError, OverflowError):
        raise NoSeries("a value is not a number") from None
    if not math.isfinite(result):
        raise NoSeries("a value is not finite")
    return result


def moment(value: Any, zone: tzinfo = UTC) -> datetime:
    """An ISO time or seconds since 1970, in UTC; times without an offset are those of `zone`.

    Raises NoSeries.
    """
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        at = datetime.fromisoformat(value)
        return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise NoSeries("a time cannot be read") from None


def local_moments(values: Sequence[Any], zone: tzinfo) -> list[datetime]:
    """Times in order; where local ones repeat at the end of summer time, the second is later.

    Raises NoSeries.
    """
    moments: list[datetime] = []
    for value in values:
        at = moment(value, zone)
        if moments and at <= moments[-1] and isinstance(value, str):
            later = datetime.fromisoformat(value)
            if later.tzinfo is None:
                at = later.replace(tzinfo=zone, fold=1).astimezone(UTC)
        moments.append(at)
    return moments


def by_quarter(
    entries: Iterable[Entry], start: datetime, end: datetime, lowest: float, highest: float
) -> dict[datetime, float]:
    """The value of each quarter-hour with start <= time < end.

    An entry holds until the next one, an hour at most; the last one as long as the one before.
    Raises NoSeries for a value out of bounds, times out of order or not on a quarter-hour.
    """
    known = list(entries)
    if len(known) > MOST_ENTRIES:
        raise NoSeries(f"more than {MOST_ENTRIES} values")
    steps = [later - earlier for (earlier, _), (later, _) in pairwise(known)]
    if any(step < QUARTER for step in steps):
        raise NoSeries("times are out of order or less than a quarter-hour apart")
    if known:
        steps.append(steps[-1] if steps else QUARTER)
    found: dict[datetime, float] = {}
    for (at, value), step in zip(known, steps, strict=True):
        if not start - _LONGEST_STEP < at < end:
            continue
        if at.timestamp() % QUARTER.total_seconds():
            raise NoSeries("a time is not on a quarter-hour")
        if not lowest <= value <= highest:
            raise NoSeries(f"{value:g} is out of bounds")
        for index in range(min(step, _LONGEST_STEP) // QUARTER):
            if start <= at + index * QUARTER < end:
                found[at + index * QUARTER] = value
    return found
