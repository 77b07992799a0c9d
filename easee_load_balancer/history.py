"""What was read and decided, one row a cycle, in SQLite or PostgreSQL."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pandas as pd
from sqlalchemy import (
    URL,
    DateTime,
    Dialect,
    Engine,
    String,
    create_engine,
    event,
    make_url,
    select,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.types import JSON, TypeDecorator

from easee_load_balancer.control import Decision
from easee_load_balancer.errors import HistoryError
from easee_load_balancer.readings import ChargerState, InverterReading

_SQLITE_BUSY_S = 10
_TIME = "datetime64[us, UTC]"


class UtcDateTime(TypeDecorator[datetime]):
    """A timezone-aware UTC datetime in every database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC; SQLite stores no zone."""
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give UTC back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class _Base(DeclarativeBase):
    pass


class Cycle(_Base):
    """One control cycle; NULL is unknown. Signs and units as in the readings."""

    __tablename__ = "cycles"

    site: Mapped[str] = mapped_column(primary_key=True)
    scheduled_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    """When the cycle was due; a cycle cannot be in here twice."""
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    """When the house was read."""
    run_id: Mapped[str]
    outcome: Mapped[str]
    """pushed, held, asleep or failed."""
    reason: Mapped[str]
    mode: Mapped[str | None]
    pv_w: Mapped[float | None]
    inverter_ac_w: Mapped[float | None]
    grid_export_w: Mapped[float | None]
    battery_charge_w: Mapped[float | None]
    battery_soc_pct: Mapped[float | None]
    car_w: Mapped[float | None]
    charger_mode: Mapped[int | None]
    surplus_w: Mapped[float | None]
    setpoint_a: Mapped[int | None]
    setpoint_phases: Mapped[int | None]
    exported_kwh: Mapped[float | None]
    imported_kwh: Mapped[float | None]
    session_kwh: Mapped[float | None]
    memory: Mapped[dict[str, Any]] = mapped_column(JSON)

    @classmethod
    def of(
        cls,
        *,
        site: str,
        scheduled_at: datetime,
        at: datetime,
        run_id: str,
        mode: str,
        inverter: InverterReading,
        charger: ChargerState,
        decision: Decision,
        failure: str | None = None,
    ) -> Cycle:
        """The row for a cycle; `failure` says why it failed, if it did."""
        setpoint = decision.setpoint
        return cls(
            site=site,
            scheduled_at=scheduled_at,
            at=at,
            run_id=run_id,
            outcome="failed" if failure else _outcome(inverter, decision),
            reason=failure or decision.reason,
            mode=mode,
            pv_w=inverter.pv_w,
            inverter_ac_w=inverter.inverter_ac_w,
            grid_export_w=inverter.grid_export_w,
            battery_charge_w=inverter.battery_charge_w,
            battery_soc_pct=inverter.battery_soc_pct,
            car_w=charger.car_w,
            charger_mode=charger.mode,
            surplus_w=decision.surplus_w,
            setpoint_a=setpoint.current_a if setpoint else None,
            setpoint_phases=setpoint.phases if setpoint else None,
            exported_kwh=inverter.exported_kwh,
            imported_kwh=inverter.imported_kwh,
            session_kwh=charger.session_kwh,
            memory=decision.memory.model_dump(mode="json"),
        )


def _outcome(inverter: InverterReading, decision: Decision) -> str:
    if inverter.asleep:
        return "asleep"
    return "pushed" if decision.push else "held"


class History:
    """The database of cycles. Every method raises HistoryError when the database does not work."""

    def __init__(self, url: str) -> None:
        self._where, self._engine = _engine(url)
        with self._errors("opened"), self._engine.connect() as connection:
            try:
                _Base.metadata.create_all(connection)
            except DBAPIError:  # another process has just done the same
                connection.rollback()
                _Base.metadata.create_all(connection)
            connection.commit()

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def record(self, cycle: Cycle) -> None:
        """Store a cycle; storing the same one again replaces it."""
        with self._errors("written"), Session(self._engine) as session:
            session.merge(cycle)
            session.commit()

    def last_cycle(self, site: str) -> Cycle | None:
        """The newest cycle of the site."""
        query = select(Cycle).where(Cycle.site == site).order_by(Cycle.scheduled_at.desc())
        with self._errors("read"), Session(self._engine) as session:
            return session.scalar(query.limit(1))

    def cycles(self, site: str, start: datetime, end: datetime) -> pd.DataFrame:
        """Cycles with start <= at < end, by time: one row each, columns as in the table.

        Numbers are floats, NaN where they are unknown; times are in UTC.
        """
        columns = [column for column in Cycle.__table__.columns if column.key != "memory"]
        query = select(*columns).where(Cycle.site == site, Cycle.at >= start, Cycle.at < end)
        with self._errors("read"), self._engine.connect() as connection:
            rows = connection.execute(query.order_by(Cycle.at)).all()
        frame = pd.DataFrame(rows, columns=[column.key for column in columns])
        return frame.astype(
            {
                column.key: _TIME if isinstance(column.type, UtcDateTime) else "float64"
                for column in columns
                if not isinstance(column.type, String)
            }
        )

    @contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise _failure(self._where, verb, getattr(error, "orig", None) or error) from error


@cache
def open_history(url: str) -> History:
    """The history at that URL, opened once per process."""
    return History(url)


def _engine(url: str) -> tuple[str, Engine]:
    """Where the database is, without secrets, and the engine for it."""
    try:
        parsed = make_url(url)
    except (SQLAlchemyError, ValueError):
        raise HistoryError(
            "The history's URL cannot be understood. It is like postgresql://user:password@host/"
            "database; special characters in the password are written as %40 and the like."
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
        with suppress(sqlite3.OperationalError):  # locked: another process is doing it
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine


def _failure(where: str, verb: str, cause: BaseException) -> HistoryError:
    said, _, _ = str(cause).partition("\n")
    return HistoryError(
        f"The history at {where} could not be {verb} ({type(cause).__name__}: {said}). "
        "Is the disk full, or the database down?"
    )
