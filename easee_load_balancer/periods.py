"""Local days, months and years; a day has 23, 24 or 25 hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from easee_load_balancer.errors import ConfigurationError

PeriodKind = Literal["day", "month", "year"]

QUARTER = timedelta(minutes=15)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """Whole local days from `first` to `last`, inclusive."""

    kind: Literal["day", "month", "year", "range"]
    first: date
    last: date
    zone: ZoneInfo

    @classmethod
    def requested(
        cls, day: date | None, last_day: date | None, kind: PeriodKind, time_zone: str
    ) -> Period:
        """The requested period; yesterday without a day. Raises ConfigurationError."""
        zone = time_zone_called(time_zone)
        first = day or datetime.now(zone).date() - _DAY
        if last_day is None:
            return cls.around(first, kind, zone)
        try:
            return cls.between(first, last_day, zone)
        except ValueError as error:
            raise ConfigurationError(f"There are no days to sum up: {error}.") from None

    @classmethod
    def recent(cls, first: date | None, last: date | None, time_zone: str) -> Period:
        """From `first` to `last`; by default yesterday and the six days before.

        Raises ConfigurationError.
        """
        zone = time_zone_called(time_zone)
        last = last or max(first or date.min, datetime.now(zone).date() - _DAY)
        try:
            return cls.between(first or last - 6 * _DAY, last, zone)
        except ValueError as error:
            raise ConfigurationError(f"There are no days to replay: {error}.") from None

    @classmethod
    def around(cls, day: date, kind: PeriodKind, zone: ZoneInfo) -> Period:
        """The day itself, or its month or year."""
        first = last = day
        if kind == "month":
            first = day.replace(day=1)
            last = (first + 31 * _DAY).replace(day=1) - _DAY
        elif kind == "year":
            first, last = date(day.year, 1, 1), date(day.year, 12, 31)
        return cls(kind, first, last, zone)

    @classmethod
    def between(cls, first: date, last: date, zone: ZoneInfo) -> Period:
        """Any days. Raises ValueError if they end before they begin."""
        if last < first:
            raise ValueError(f"the last day ({last}) is before the first ({first})")
        return cls("day" if first == last else "range", first, last, zone)

    @property
    def days(self) -> list[date]:
        """All its days."""
        return [self.first + index * _DAY for index in range((self.last - self.first).days + 1)]

    @property
    def title(self) -> str:
        """The period in words: Sunday 21 June 2026, June 2026, 2026, or first to last."""
        if self.kind == "year":
            return f"{self.first:%Y}"
        if self.kind == "month":
            return f"{self.first:%B %Y}"
        first, last = (f"{day:%A} {day.day} {day:%B %Y}" for day in (self.first, self.last))
        return first if self.first == self.last else f"{first} to {last}"


def time_zone_called(name: str) -> ZoneInfo:
    """The time zone with that IANA name. Raises ConfigurationError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # the last for folders: "Europe"
        raise ConfigurationError(
            f"{name!r} is not an IANA time zone such as Europe/Stockholm."
        ) from None


def bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The start of a local day and of the next, in UTC."""
    start, end = (datetime.combine(midnight, time(), zone) for midnight in (day, day + _DAY))
    return start.astimezone(UTC), end.astimezone(UTC)


def quarter_of(moment: datetime) -> datetime:
    """The start of the quarter-hour, in UTC; every time zone's day begins at one."""
    moment = moment.astimezone(UTC)
    return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)


def quarter_of_day(local: datetime) -> int:
    """Which quarter-hour of a day that local time is in, from 0 to 95."""
    return local.hour * 4 + local.minute // 15
