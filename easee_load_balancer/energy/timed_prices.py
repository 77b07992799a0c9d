"""Prices that depend on month, weekday and time of day, as an owner writes them on one line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIMES = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")
_DAY_MIN = 24 * 60
_EXAMPLE = "Nov-Mar Mon-Fri 06:00-22:00 0.25"


@dataclass(frozen=True, slots=True)
class TimedPrice:
    """A price and when it holds; in minutes of the local day, from `since` to before `until`."""

    price: float
    months: frozenset[int]
    weekdays: frozenset[int]
    since_min: int = 0
    until_min: int = _DAY_MIN

    @classmethod
    def parsed(cls, line: str) -> TimedPrice:
        """The price of a line such as "Nov-Mar Mon-Fri 06:00-22:00 0.25".

        Months, weekdays and times may be left out. Raises ValueError.
        """
        *when, amount = line.split() or [""]
        months, weekdays = frozenset(range(12)), frozenset(range(7))
        since, until = 0, _DAY_MIN
        try:
            price = float(amount.replace(",", "."))
            for part in when:
                if times := _TIMES.fullmatch(part):
                    since, until = _minutes(times[1], times[2]), _minutes(times[3], times[4])
                elif part[:3].lower() in _MONTHS:
                    months = _chosen(part, _MONTHS)
                else:
                    weekdays = weekdays_called(part)
        except ValueError:
            raise ValueError(f"{line[:60]!r} is not like {_EXAMPLE!r}") from None
        if not -100 <= price <= 1000:  # also refuses nan
            raise ValueError(f"{amount} is not a price per kWh")
        return cls(price, months, weekdays, since, until)

    def holds(self, local: datetime) -> bool:
        """Whether it is this price at that local time; after midnight, the day is the next one."""
        minute = local.hour * 60 + local.minute
        in_time = self.since_min <= minute < self.until_min
        if self.until_min <= self.since_min:
            in_time = minute >= self.since_min or minute < self.until_min
        return in_time and local.month - 1 in self.months and local.weekday() in self.weekdays


def price_at(lines: Sequence[TimedPrice], local: datetime) -> float | None:
    """The price of the first line that holds at that local time; None if none does."""
    return next((one.price for one in lines if one.holds(local)), None)


def weekdays_called(text: str) -> frozenset[int]:
    """The weekdays of "Mon-Fri" or "Sat,Sun"; Monday is 0. Raises ValueError."""
    return _chosen(text, _WEEKDAYS)


def _minutes(hours: str, minutes: str) -> int:
    total = 60 * int(hours) + int(minutes)
    if int(minutes) > 59 or total > _DAY_MIN:
        raise ValueError(f"{hours}:{minutes} is not a time of day")
    return total


def _chosen(text: str, names: Sequence[str]) -> frozenset[int]:
    """The indexes of "Mon-Fri" or "Sat,Sun"; a range may go over the end: "Nov-Mar"."""
    chosen: set[int] = set()
    for part in text.lower().split(","):
        first, _, last = part.partition("-")
        begin, end = names.index(first), names.index(last or first)
        chosen.update(
            index % len(names) for index in range(begin, end + 1 + len(names) * (end < begin))
        )
    return frozenset(chosen)
