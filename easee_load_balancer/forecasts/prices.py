"""When day-ahead prices are due, and fetching them from the source of the tariff."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from easee_load_balancer.devices.sanitize import plain
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.forecasts.fetch import Source
from easee_load_balancer.forecasts.price_sources import MARKET_ZONE, READERS, Request
from easee_load_balancer.forecasts.quarters import NoSeries, by_quarter

PUBLISHED = time(12, 55)
"""Tomorrow's prices are not there before, by the clock of the market."""
HISTORY_DAYS = 7
"""What is fetched at first, so that a mean of the last week is known."""
_HIGHEST_EUR = 10.0
"""Per kWh; the market's own limits are -0.5 and 5 EUR."""
_HIGHEST = 1000.0
"""Per kWh in any other currency."""


def days_due(now: datetime, known_until: datetime | None) -> tuple[date, date] | None:
    """First and last market day to fetch now; None while all that is published is known."""
    local = now.astimezone(MARKET_ZONE)
    today = local.date()
    published = today + timedelta(days=local.time() >= PUBLISHED)
    if known_until is None:
        return today - timedelta(days=HISTORY_DAYS), published
    known_through = (known_until - timedelta(seconds=1)).astimezone(MARKET_ZONE).date()
    if known_through >= published:
        return None
    missing = max(known_through + timedelta(days=1), today - timedelta(days=HISTORY_DAYS))
    return missing, published


async def fetch_spot(
    prices: Prices, first: date, last: date, zone: ZoneInfo
) -> dict[datetime, float]:
    """The day-ahead price per kWh of each quarter-hour of these market days, as far as published.

    Nothing for a single day that is late. Raises ForecastError where the source fails or sends
    anything else.
    """
    request = Request(prices, first, last, zone)
    source = Source(prices.source, prices.address)
    highest = _HIGHEST_EUR * request.euro if prices.is_in_euro else _HIGHEST
    try:
        entries = await READERS[prices.source](request)
        found = by_quarter(entries, request.start, request.end, -highest, highest)
    except NoSeries as error:
        raise source.error(f"sent unusable prices: {plain(str(error))}") from None
    if not found and first != last:  # tomorrow alone may be late
        raise source.error(
            f"has no prices for '{prices.zone}' from {first} to {last}. Is the zone right in the "
            "block 'Tariff'?"
        )
    return found
