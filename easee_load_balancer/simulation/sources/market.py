"""The simulated day-ahead market: a price for each quarter-hour, the same each time it is asked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

CET = ZoneInfo("Europe/Brussels")
QUARTER = timedelta(minutes=15)
PUBLISHED = time(12, 45)
"""When tomorrow's prices appear."""
ZONES = ("SE3", "SE4", "DK1", "NO2", "DE-LU", "AT", "BE", "NL")
_RATES = {"EUR": 1.0, "SEK": 11.2, "DKK": 7.46, "NOK": 11.7}


def midnight(day: date) -> datetime:
    """The start of the market's day, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=CET).astimezone(UTC)


def quarters(day: date) -> Iterator[datetime]:
    """The starts of its quarter-hours: 96, on the days of the clock change 92 and 100."""
    at, end = midnight(day), midnight(day + timedelta(days=1))
    while at < end:
        yield at
        at += QUARTER


def price_mwh(at: datetime, currency: str = "EUR") -> float:
    """Expensive in the morning and in the evening, cheap at night, negative at Sunday noon."""
    local = at.astimezone(CET)
    hour = local.hour + local.minute / 60
    peaks = math.exp(-((hour - 8) ** 2) / 4) + 1.3 * math.exp(-((hour - 19) ** 2) / 6)
    noon = math.exp(-((hour - 13) ** 2) / 8)
    level = 60 + 25 * math.sin(local.toordinal() / 2.3)
    low = 95 if local.weekday() == 6 else 30
    return round(_RATES[currency] * (level + 80 * peaks - low * noon - 15 * (hour < 5)), 2)


def published(day: date, now: datetime, *, late: bool) -> bool:
    """Whether the prices of that day are out."""
    here = now.astimezone(CET)
    tomorrow = here.date() + timedelta(days=1)
    return day < tomorrow or (day == tomorrow and here.time() >= PUBLISHED and not late)
