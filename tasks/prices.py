"""The owner's prices, with the day-ahead prices that the history knows."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from easee_load_balancer.energy.price_table import PriceTable
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.errors import HistoryError
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.periods import quarter_of
from tasks.history import in_time

AHEAD = timedelta(days=3)
"""Prices are known for less."""
_TABLES: dict[str, tuple[datetime | None, PriceTable]] = {}
"""The table of each site, and the quarter-hour in which it was read; None: there is a newer one."""


async def law_prices(setup: Site, zone: ZoneInfo, now: datetime) -> Prices:
    """The prices for the control law."""
    return (await price_table(setup, zone, now)).for_law(now)


async def price_table(setup: Site, zone: ZoneInfo, now: datetime) -> PriceTable:
    """The prices from yesterday on, as last read where the history fails.

    It is read once in a quarter-hour, and not at all without day-ahead prices.
    """
    if not setup.tariff.is_dynamic:
        return PriceTable(setup.tariff, zone)
    quarter = quarter_of(now)
    read_at, table = _TABLES.get(setup.name, (None, PriceTable(setup.tariff, zone)))
    if read_at == quarter and table.prices is setup.tariff and table.zone == zone:
        return table
    try:
        table = await in_time(
            setup.name,
            lambda history: history.spot_prices.table(
                setup.name, setup.tariff, zone, now - timedelta(days=1), now + AHEAD, now
            ),
        )
    except HistoryError:  # the cycle says so when it is recorded
        return PriceTable(setup.tariff, zone, table.spot)
    _TABLES[setup.name] = (quarter, table)
    return table


def renew_prices(site: str) -> None:
    """Read the history again with the next cycle: there are new prices."""
    if site in _TABLES:
        _TABLES[site] = None, _TABLES[site][1]


def price_now(setup: Site, now: datetime) -> float | None:
    """What a kWh costs now, by the prices as last read; None unless day-ahead prices are used."""
    _, table = _TABLES.get(setup.name, (None, None))
    return None if table is None or not setup.tariff.is_dynamic else table.at(now).import_price
