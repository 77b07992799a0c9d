"""Means of quarter-hours and solar forecasts in the history, for what is planned from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from statistics import fmean

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from easee_load_balancer.history.tables import Cycle, QuarterRow, SolarForecastRow
from easee_load_balancer.periods import QUARTER, quarter_of

KEPT = timedelta(days=60)
"""Older means and forecasts are deleted; the cycles stay."""
_AT_ONCE = timedelta(days=1)


class Quarters:
    """The tables of means and forecasts. Every method raises HistoryError."""

    def __init__(self, session: Callable[[str], AbstractContextManager[Session]]) -> None:
        self._session = session

    def fill(self, site: str, since: datetime, now: datetime) -> None:
        """Store the means of the quarter-hours that have ended since then and are missing."""
        mine, ended = QuarterRow.site == site, QuarterRow.start < quarter_of(now)
        with self._session("written") as session:
            newest = session.scalar(select(func.max(QuarterRow.start)).where(mine, ended))
            start = max(quarter_of(since), newest + QUARTER if newest else quarter_of(since))
            while start < quarter_of(now):
                end = min(start + _AT_ONCE, quarter_of(now))
                session.add_all(_means(session, site, start, end))
                start = end
            # rows of the future are from before the clock was set back
            session.execute(delete(QuarterRow).where(mine, ~ended))
            for table in (QuarterRow, SolarForecastRow):
                session.execute(delete(table).where(table.site == site, table.start < now - KEPT))
            session.commit()

    def since(self, site: str, start: datetime) -> list[QuarterRow]:
        """The means of each known quarter-hour from then on, by time."""
        query = select(QuarterRow).where(QuarterRow.site == site, QuarterRow.start >= start)
        with self._session("read") as session:
            return list(session.scalars(query.order_by(QuarterRow.start)))

    def record_forecast(
        self, site: str, pv_w: Mapping[datetime, float], fetched_at: datetime
    ) -> None:
        """Store a solar forecast; for the past, what was forecast last stays."""
        with self._session("written") as session:
            for start, watts in pv_w.items():
                if start >= quarter_of(fetched_at):
                    session.merge(
                        SolarForecastRow(site=site, start=start, pv_w=watts, fetched_at=fetched_at)
                    )
            session.commit()

    def forecast_since(self, site: str, start: datetime) -> dict[datetime, float]:
        """The forecast PV power in W of each quarter-hour from then on, before any scaling."""
        query = select(SolarForecastRow.start, SolarForecastRow.pv_w).where(
            SolarForecastRow.site == site, SolarForecastRow.start >= start
        )
        with self._session("read") as session:
            return dict(session.execute(query).tuples().all())

    def forecast_fetched_at(self, site: str) -> datetime | None:
        """When the last forecast was fetched."""
        query = select(func.max(SolarForecastRow.fetched_at)).where(SolarForecastRow.site == site)
        with self._session("read") as session:
            return session.scalar(query)


def _means(session: Session, site: str, start: datetime, end: datetime) -> Iterator[QuarterRow]:
    """The means of what the cycles of these quarter-hours have read."""
    columns = (Cycle.at, Cycle.pv_w, Cycle.inverter_ac_w, Cycle.grid_export_w, Cycle.car_w)
    query = select(*columns).where(Cycle.site == site, Cycle.at >= start, Cycle.at < end)
    read: dict[datetime, tuple[list[float], list[float], list[float]]] = defaultdict(
        lambda: ([], [], [])
    )
    for at, pv_w, ac_w, export_w, car_w in session.execute(query):
        pv, load, imports = read[quarter_of(at)]
        if pv_w is not None:
            pv.append(pv_w)
        if export_w is not None:
            imports.append(max(0.0, -export_w))
            if ac_w is not None and car_w is not None:
                load.append(max(0.0, ac_w - export_w - car_w))
    for quarter, values in read.items():
        pv_w, load_w, import_w = (fmean(watts) if watts else None for watts in values)
        yield QuarterRow(site=site, start=quarter, pv_w=pv_w, load_w=load_w, import_w=import_w)
