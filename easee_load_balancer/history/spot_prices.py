"""The day-ahead prices in the history, so that they outlive an outage of their source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from easee_load_balancer.energy.price_table import PriceTable
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.history.tables import SpotPriceRow
from easee_load_balancer.periods import QUARTER

_WEEK = timedelta(days=7)


class SpotPrices:
    """The table of prices. Every method raises HistoryError if the database fails."""

    def __init__(self, session: Callable[[str], AbstractContextManager[Session]]) -> None:
        self._session = session

    def record(self, site: str, prices: Prices, spot: Mapping[datetime, float]) -> None:
        """Store prices by the start of their quarter-hour, in place of earlier ones."""
        with self._session("written") as session:
            for start, price in spot.items():
                session.merge(
                    SpotPriceRow(
                        site=site,
                        start=start,
                        price=price,
                        currency=prices.currency,
                        source=source_of(prices),
                    )
                )
            session.commit()

    def known_until(self, site: str, prices: Prices) -> datetime | None:
        """End of the last quarter-hour that the tariff's source has a price for."""
        query = select(func.max(SpotPriceRow.start)).where(
            SpotPriceRow.site == site,
            SpotPriceRow.currency == prices.currency,
            SpotPriceRow.source == source_of(prices),
        )
        with self._session("read") as session:
            newest = session.scalar(query)
        return None if newest is None else newest + QUARTER

    def table(
        self,
        site: str,
        prices: Prices,
        zone: ZoneInfo,
        start: datetime,
        end: datetime,
        now: datetime,
    ) -> PriceTable:
        """The prices of the period, and those of the week before for what is not known in it.

        Prices of the past count from any source, those of the future from the tariff's own.
        """
        if not prices.is_dynamic:
            return PriceTable(prices, zone)
        query = select(SpotPriceRow.start, SpotPriceRow.price).where(
            SpotPriceRow.site == site,
            SpotPriceRow.start >= start - _WEEK,
            SpotPriceRow.start < end,
            SpotPriceRow.currency == prices.currency,
            or_(SpotPriceRow.source == source_of(prices), SpotPriceRow.start < now),
        )
        with self._session("read") as session:
            return PriceTable(prices, zone, dict(session.execute(query).tuples().all()))


def source_of(prices: Prices) -> str:
    """The source with what decides about its prices."""
    return f"{prices.source} {prices.zone}".strip()
