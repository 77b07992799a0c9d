"""The history of readings and decisions, one row per cycle, in SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.orm import Session

from easee_load_balancer.history.database import Database
from easee_load_balancer.history.plans import Plans
from easee_load_balancer.history.quarters import Quarters
from easee_load_balancer.history.requests import Requests, under_way
from easee_load_balancer.history.spot_prices import SpotPrices
from easee_load_balancer.history.tables import (
    BoostRow,
    CloudCalls,
    Cycle,
    DailyEnergy,
    DimmingRow,
    LastCycle,
    ReadyByRow,
)
from easee_load_balancer.periods import quarter_of

if TYPE_CHECKING:
    import pandas as pd

_DELETED_DAYS = 31


class History:
    """The database of cycles. Every method raises HistoryError if the database fails."""

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        self.boosts = Requests(BoostRow, self._session)
        self.departures = Requests(ReadyByRow, self._session)
        self.dimmings = Requests(DimmingRow, self._session)
        self.plans = Plans(self._session)
        self.spot_prices = SpotPrices(self._session)
        self.quarters = Quarters(self._session)

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    def record(
        self,
        *cycles: Cycle,
        late: Sequence[Cycle] = (),
        calls: Mapping[str, int] | None = None,
    ) -> None:
        """Store cycles in the order in which they ran, and the number of calls to the cloud.

        `late` ones ran before; another worker may have gone on with their sites since. Storing a
        cycle again replaces it; calls are added up. Of the controller's states, that of the cycle
        that ran last is kept, and the last of each quarter-hour: a backtest begins with one.
        """
        with self._session("written") as session:
            for cycle in late:
                session.merge(cycle)
                last = session.get(LastCycle, cycle.site)
                if last is None or last.scheduled_at < cycle.scheduled_at:
                    _ran_last(session, cycle)
            for cycle in cycles:
                session.merge(cycle)
                _ran_last(session, cycle)
            for endpoint, count in (calls or {}).items():
                site, since = cycles[-1].site, quarter_of(cycles[-1].at)
                known = session.get(CloudCalls, (site, since, endpoint))
                before = known.calls if known else 0
                session.merge(
                    CloudCalls(site=site, since=since, endpoint=endpoint, calls=before + count)
                )
            session.commit()

    def has(self, cycle: Cycle) -> bool:
        """Whether the cycle is stored."""
        key = (cycle.site, cycle.scheduled_at)
        with self._session("read") as session:
            return session.get(Cycle, key) is not None

    def last_cycle(self, site: str) -> Cycle | None:
        """The cycle of the site that ran last, even if the clock has been set back since."""
        query = select(Cycle).where(Cycle.site == site).order_by(Cycle.scheduled_at.desc())
        with self._session("read") as session:
            last = session.get(LastCycle, site)
            cycle = session.get(Cycle, (site, last.scheduled_at)) if last else None
            return cycle or session.scalar(query.limit(1))

    def cycle_before(self, site: str, moment: datetime) -> Cycle | None:
        """The newest cycle of the site that was due before that moment."""
        query = select(Cycle).where(Cycle.site == site, Cycle.scheduled_at < moment)
        with self._session("read") as session:
            return session.scalar(query.order_by(Cycle.scheduled_at.desc()).limit(1))

    def requests(self, site: str) -> tuple[BoostRow | None, ReadyByRow | None, DimmingRow | None]:
        """The active boost, departure and limit of the site."""
        with self._session("read") as session:
            active = under_way(session, site)
        return (
            self.boosts.under_way(site) if BoostRow.__tablename__ in active else None,
            self.departures.under_way(site) if ReadyByRow.__tablename__ in active else None,
            self.dimmings.under_way(site) if DimmingRow.__tablename__ in active else None,
        )

    def parts(self, site: str) -> list[str]:
        """Under which names the cycles of each charger are stored where the site has several."""
        query = select(LastCycle.site).where(LastCycle.site.startswith(f"{site}/", autoescape=True))
        with self._session("read") as session:
            return list(session.scalars(query.order_by(LastCycle.site)))

    def began(self, site: str) -> datetime | None:
        """When the first cycle of the site ran."""
        with self._session("read") as session:
            query = select(Cycle.at).where(Cycle.site == site).order_by(Cycle.at)
            return session.scalar(query.limit(1))

    def delete_cycles(self, site: str, before: datetime) -> int:
        """Delete cycles of the site and its chargers that were read before then; their number.

        A month of them at most, day by day: others write in between, and the next night goes on.
        """
        mine = Cycle.site.in_([site, *self.parts(site)])
        deleted = 0
        for _ in range(_DELETED_DAYS):
            with self._session("written") as session:
                oldest = session.scalar(select(func.min(Cycle.at)).where(mine))
                if oldest is None or oldest >= before:
                    break
                end = min(before, oldest + timedelta(days=1))
                day = delete(Cycle).where(mine, Cycle.at < end).returning(Cycle.scheduled_at)
                deleted += len(session.scalars(day).all())
                session.commit()
        return deleted

    def cycles(
        self, site: str, start: datetime, end: datetime, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Cycles with start <= at < end, by time: one row each, columns as in the table.

        Numbers are floats, NaN is unknown. Without `columns`: all but the controller state.
        """
        table = Cycle.__table__.columns
        wanted = [table[name] for name in columns or table.keys() if name != "memory"]
        query = select(*wanted).where(Cycle.site == site, Cycle.at >= start, Cycle.at < end)
        with self._database.used("read") as engine, engine.connect() as connection:
            # raw values of the driver: converting millions of rows one by one takes minutes
            cursor: DBAPICursor = connection.execute(query.order_by(Cycle.at)).cursor
            rows = cursor.fetchall()
        # pandas takes 45 MB, which a worker that only runs cycles can do without
        from easee_load_balancer.history.frames import frame

        return frame(wanted, rows)

    def values(
        self, site: str, start: datetime, end: datetime, columns: Sequence[str]
    ) -> Sequence[Sequence[Any]]:
        """The same rows as tuples of these columns, without pandas; None is unknown."""
        wanted = [Cycle.__table__.columns[name] for name in columns]
        query = select(*wanted).where(Cycle.site == site, Cycle.at >= start, Cycle.at < end)
        with self._session("read") as session:
            return session.execute(query.order_by(Cycle.at)).tuples().all()

    def record_days(self, rows: Iterable[DailyEnergy]) -> None:
        """Store the totals of days; storing a day again replaces it."""
        with self._session("written") as session:
            for row in rows:
                session.merge(row)
            session.commit()

    def day(self, site: str, day: date, time_zone: str) -> DailyEnergy | None:
        """The stored totals of a local day."""
        with self._session("read") as session:
            return session.get(DailyEnergy, (site, day, time_zone))

    def cloud_calls(self, site: str, start: datetime, end: datetime) -> dict[str, int]:
        """Calls to the Easee cloud with start <= time < end, by endpoint."""
        query = (
            select(CloudCalls.endpoint, func.sum(CloudCalls.calls))
            .where(CloudCalls.site == site, CloudCalls.since >= start, CloudCalls.since < end)
            .group_by(CloudCalls.endpoint)
            .order_by(CloudCalls.endpoint)
        )
        with self._session("read") as session:
            return {endpoint: int(calls) for endpoint, calls in session.execute(query)}

    @contextmanager
    def _session(self, verb: str) -> Iterator[Session]:
        with (
            self._database.used(verb) as engine,
            Session(engine, expire_on_commit=False) as session,
        ):
            yield session


def _ran_last(session: Session, cycle: Cycle) -> None:
    before = session.get(LastCycle, cycle.site)
    if before is not None and cycle.outdates_state_of(before.scheduled_at):
        key = (Cycle.site == cycle.site, Cycle.scheduled_at == before.scheduled_at)
        outdated = update(Cycle).where(*key).values(controller_state={})
        session.execute(outdated, execution_options={"synchronize_session": False})
    session.merge(LastCycle(site=cycle.site, scheduled_at=cycle.scheduled_at))


@cache
def open_history(url: str) -> History:
    """The history at that URL, opened once per process."""
    return History(url)
