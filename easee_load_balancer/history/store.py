"""The history of readings and decisions, one row per cycle, in SQLite or PostgreSQL."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import (
    URL,
    ColumnElement,
    Engine,
    String,
    create_engine,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history.boosts import Boosts
from easee_load_balancer.history.migrations import upgrade
from easee_load_balancer.history.tables import (
    CloudCalls,
    Cycle,
    DailyEnergy,
    LastCycle,
    UtcDateTime,
)

_SQLITE_BUSY_S = 5
"""How long to wait for a locked database; the charger is waiting meanwhile."""


class History:
    """The database of cycles. Every method raises HistoryError if the database fails."""

    def __init__(self, url: str) -> None:
        self._where, self._engine = _engine(url)
        self.boosts = Boosts(self._session)
        with self._errors("opened"), self._engine.connect() as connection:
            try:
                upgrade(connection, self._where)
            except DBAPIError:  # another process has just upgraded it
                connection.rollback()
                upgrade(connection, self._where)
            connection.commit()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def record(self, *cycles: Cycle, calls: Mapping[str, int] | None = None) -> None:
        """Store cycles in the order in which they ran, and the number of calls to the cloud.

        Storing a cycle again replaces it; calls are added up.
        """
        site, since = cycles[-1].site, _quarter(cycles[-1].at)
        with self._errors("written"), Session(self._engine) as session:
            for cycle in cycles:
                session.merge(cycle)
                session.merge(LastCycle(site=cycle.site, scheduled_at=cycle.scheduled_at))
            for endpoint, count in (calls or {}).items():
                known = session.get(CloudCalls, (site, since, endpoint))
                before = known.calls if known else 0
                session.merge(
                    CloudCalls(site=site, since=since, endpoint=endpoint, calls=before + count)
                )
            session.commit()

    def last_cycle(self, site: str) -> Cycle | None:
        """The cycle of the site that ran last, even if the clock has been set back since."""
        query = select(Cycle).where(Cycle.site == site).order_by(Cycle.scheduled_at.desc())
        with self._errors("read"), Session(self._engine) as session:
            last = session.get(LastCycle, site)
            cycle = session.get(Cycle, (site, last.scheduled_at)) if last else None
            return cycle or session.scalar(query.limit(1))

    def cycle_before(self, site: str, moment: datetime) -> Cycle | None:
        """The newest cycle of the site that was due before that moment."""
        query = select(Cycle).where(Cycle.site == site, Cycle.scheduled_at < moment)
        with self._errors("read"), Session(self._engine) as session:
            return session.scalar(query.order_by(Cycle.scheduled_at.desc()).limit(1))

    def began(self, site: str) -> datetime | None:
        """When the first cycle of the site ran."""
        with self._errors("read"), Session(self._engine) as session:
            query = select(Cycle.at).where(Cycle.site == site).order_by(Cycle.at)
            return session.scalar(query.limit(1))

    def cycles(
        self, site: str, start: datetime, end: datetime, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Cycles with start <= at < end, by time: one row each, columns as in the table.

        Numbers are floats, NaN is unknown. Without `columns`: all but the controller state.
        """
        table = Cycle.__table__.columns
        wanted = [table[name] for name in columns or table.keys() if name != "memory"]
        query = select(*wanted).where(Cycle.site == site, Cycle.at >= start, Cycle.at < end)
        with self._errors("read"), self._engine.connect() as connection:
            # raw values of the driver: converting millions of rows one by one takes minutes
            cursor: DBAPICursor = connection.execute(query.order_by(Cycle.at)).cursor
            rows = cursor.fetchall()
        values = list(zip(*rows, strict=True)) or [()] * len(wanted)
        return pd.DataFrame(
            {
                column.key: _series(column, value)
                for column, value in zip(wanted, values, strict=True)
            }
        )

    def record_days(self, rows: Iterable[DailyEnergy]) -> None:
        """Store the totals of days; storing a day again replaces it."""
        with self._errors("written"), Session(self._engine) as session:
            for row in rows:
                session.merge(row)
            session.commit()

    def day(self, site: str, day: date, time_zone: str) -> DailyEnergy | None:
        """The stored totals of a local day."""
        with self._errors("read"), Session(self._engine) as session:
            return session.get(DailyEnergy, (site, day, time_zone))

    def cloud_calls(self, site: str, start: datetime, end: datetime) -> dict[str, int]:
        """Calls to the Easee cloud with start <= time < end, by endpoint."""
        query = (
            select(CloudCalls.endpoint, func.sum(CloudCalls.calls))
            .where(CloudCalls.site == site, CloudCalls.since >= start, CloudCalls.since < end)
            .group_by(CloudCalls.endpoint)
            .order_by(CloudCalls.endpoint)
        )
        with self._errors("read"), self._engine.connect() as connection:
            return {endpoint: int(calls) for endpoint, calls in connection.execute(query)}

    @contextmanager
    def _session(self, verb: str) -> Iterator[Session]:
        with self._errors(verb), Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError, self._engine.dialect.loaded_dbapi.Error) as error:
            raise _failure(self._where, verb, getattr(error, "orig", None) or error) from error


@cache
def open_history(url: str) -> History:
    """The history at that URL, opened once per process."""
    return History(url)


def _quarter(moment: datetime) -> datetime:
    """The start of the quarter of an hour, in UTC."""
    moment = moment.astimezone(UTC)
    return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)


def _series(column: ColumnElement[Any], values: Sequence[Any]) -> pd.Series:
    if isinstance(column.type, UtcDateTime):
        if values and not isinstance(values[0], str):  # only SQLite stores times as text
            return pd.Series(pd.to_datetime(values, utc=True)).dt.as_unit("us")
        return pd.Series(np.array(values, dtype="datetime64[us]")).dt.tz_localize(UTC)
    if isinstance(column.type, String):
        return pd.Series(values, dtype="str")
    return pd.Series(np.array(values, dtype="float64"))


def _engine(url: str) -> tuple[str, Engine]:
    """Where the database is, without secrets, and the engine for it."""
    try:
        parsed = make_url(url)
    except (SQLAlchemyError, ValueError):
        raise HistoryError(
            "The URL of the history is not valid. Write postgresql://user:password@host/database, "
            "with special characters of the password encoded: %40 for @."
        ) from None
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    where = parsed.set(query={}).render_as_string(hide_password=True)
    try:
        sqlite = parsed.get_backend_name() == "sqlite"
        return where, _sqlite(parsed) if sqlite else _server(parsed)
    except (SQLAlchemyError, ImportError, OSError) as error:
        raise _failure(where, "opened", error) from error


def _server(url: URL) -> Engine:
    return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 5})


def _sqlite(url: URL) -> Engine:
    if url.database:
        os.close(os.open(url.database, os.O_RDWR | os.O_CREAT, 0o600))
    engine = create_engine(url, connect_args={"timeout": _SQLITE_BUSY_S})

    @event.listens_for(engine, "connect")
    def survive_power_cuts(connection: Any, record: Any) -> None:
        with suppress(sqlite3.OperationalError):  # locked: another process is setting it
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine


def _failure(where: str, verb: str, cause: BaseException) -> HistoryError:
    message, _, _ = str(cause).partition("\n")
    return HistoryError(
        f"The history at {where} could not be {verb} ({type(cause).__name__}: {message}). "
        "Is the disk full, or the database down?"
    )
