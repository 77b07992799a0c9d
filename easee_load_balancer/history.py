"""What was read and decided, one row a cycle, in SQLite or PostgreSQL."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Index,
    String,
    create_engine,
    event,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.types import JSON, TypeDecorator

from easee_load_balancer.control import Decision
from easee_load_balancer.energy import Energy
from easee_load_balancer.errors import HistoryError
from easee_load_balancer.readings import ChargerState, InverterReading

_SQLITE_BUSY_S = 5
"""How long to wait for a database that another process has locked; the charger waits for us."""


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


class _LastCycle(_Base):
    """Which cycle of a site ran last: by its time alone that could be one from before the clock
    was set back."""

    __tablename__ = "last_cycles"

    site: Mapped[str] = mapped_column(primary_key=True)
    scheduled_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Cycle(_Base):
    """One control cycle; NULL is unknown. Signs and units as in the readings."""

    __tablename__ = "cycles"
    __table_args__ = (Index("ix_cycles_site_at", "site", "at"),)

    site: Mapped[str] = mapped_column(primary_key=True)
    scheduled_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    """When the cycle was due; a cycle cannot be in here twice."""
    at: Mapped[datetime] = mapped_column(UtcDateTime)
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
    car_phases: Mapped[int | None]
    """Phases on which the charger gives current; 0 while it gives none."""
    charger_mode: Mapped[int | None]
    surplus_w: Mapped[float | None]
    setpoint_a: Mapped[int | None]
    setpoint_phases: Mapped[int | None]
    exported_kwh: Mapped[float | None]
    imported_kwh: Mapped[float | None]
    session_kwh: Mapped[float | None]
    memory: Mapped[dict[str, Any]] = mapped_column(JSON)

    def replaces(self, scheduled_at: datetime, started_at: datetime) -> bool:
        """Whether a cycle that was due then, and starts now, is not needed after this one.

        One from the future replaces nothing: the clock has been set back since.
        """
        return scheduled_at <= self.scheduled_at <= started_at

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
            car_phases=charger.output_phases,
            charger_mode=charger.mode,
            surplus_w=decision.surplus_w,
            setpoint_a=setpoint.current_a if setpoint else None,
            setpoint_phases=setpoint.phases if setpoint else None,
            exported_kwh=inverter.exported_kwh,
            imported_kwh=inverter.imported_kwh,
            session_kwh=charger.session_kwh,
            memory=decision.memory.model_dump(mode="json"),
        )


class DailyEnergy(_Base):
    """The accounts of one local day; NULL is unknown. Columns and units as in `Energy`."""

    __tablename__ = "daily_energy"

    site: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    time_zone: Mapped[str] = mapped_column(primary_key=True)
    """Decides when the day begins."""
    currency: Mapped[str | None]
    pv_kwh: Mapped[float]
    import_kwh: Mapped[float]
    discharge_kwh: Mapped[float]
    house_kwh: Mapped[float]
    car_kwh: Mapped[float]
    export_kwh: Mapped[float]
    charge_kwh: Mapped[float]
    losses_kwh: Mapped[float]
    car_from_sun_kwh: Mapped[float]
    car_from_battery_kwh: Mapped[float]
    car_from_grid_kwh: Mapped[float]
    period_s: Mapped[float]
    measured_s: Mapped[float]
    grid_unknown_s: Mapped[float]
    car_unknown_s: Mapped[float]
    charging_s: Mapped[float]
    longest_gap_s: Mapped[float]
    starts: Mapped[int]
    phase_changes: Mapped[int]
    cycles: Mapped[int]
    cycles_failed: Mapped[int]
    cycles_missed: Mapped[int]
    meter_import_kwh: Mapped[float | None]
    meter_import_gaps_kwh: Mapped[float | None]
    meter_export_kwh: Mapped[float | None]
    meter_export_gaps_kwh: Mapped[float | None]
    charger_session_kwh: Mapped[float | None]
    charger_session_gaps_kwh: Mapped[float | None]
    import_cost: Mapped[float | None]
    export_income: Mapped[float | None]
    car_grid_cost: Mapped[float | None]
    saved: Mapped[float | None]

    @property
    def energy(self) -> Energy:
        """The accounts of the day."""
        return Energy(**{field.name: getattr(self, field.name) for field in fields(Energy)})


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
                _bring_up_to_date(connection)
            except DBAPIError:  # another process has just done the same
                connection.rollback()
                _bring_up_to_date(connection)
            connection.commit()

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def record(self, *cycles: Cycle) -> None:
        """Store cycles in the order in which they ran; storing the same one again replaces it."""
        with self._errors("written"), Session(self._engine) as session:
            for cycle in cycles:
                session.merge(cycle)
                session.merge(_LastCycle(site=cycle.site, scheduled_at=cycle.scheduled_at))
            session.commit()

    def record_all(self, cycles: Iterable[Cycle]) -> None:
        """Store cycles that are not there yet, all or none."""
        with self._errors("written"), Session(self._engine) as session:
            session.add_all(cycles)
            session.commit()

    def last_cycle(self, site: str) -> Cycle | None:
        """The cycle of the site that ran last, also when the clock was set back since."""
        query = select(Cycle).where(Cycle.site == site).order_by(Cycle.scheduled_at.desc())
        with self._errors("read"), Session(self._engine) as session:
            last = session.get(_LastCycle, site)
            cycle = session.get(Cycle, (site, last.scheduled_at)) if last else None
            return cycle or session.scalar(query.limit(1))

    def cycles(
        self, site: str, start: datetime, end: datetime, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Cycles with start <= at < end, by time: one row each, columns as in the table.

        Numbers are floats with NaN for unknown. Without `columns` there are all but the memory.
        """
        table = Cycle.__table__.columns
        wanted = [table[name] for name in columns or table.keys() if name != "memory"]
        query = select(*wanted).where(Cycle.site == site, Cycle.at >= start, Cycle.at < end)
        with self._errors("read"), self._engine.connect() as connection:
            # as the driver gives them: converting millions of rows one by one takes minutes
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
        """Store the accounts of days; storing them again replaces them."""
        with self._errors("written"), Session(self._engine) as session:
            for row in rows:
                session.merge(row)
            session.commit()

    def day(self, site: str, day: date, time_zone: str) -> DailyEnergy | None:
        """The stored accounts of a local day."""
        with self._errors("read"), Session(self._engine) as session:
            return session.get(DailyEnergy, (site, day, time_zone))

    @contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error) as error:
            raise _failure(self._where, verb, getattr(error, "orig", None) or error) from error


@cache
def open_history(url: str) -> History:
    """The history at that URL, opened once per process."""
    return History(url)


def _bring_up_to_date(connection: Connection) -> None:
    """Create what is missing: tables, and columns and indexes of an earlier version's tables."""
    _Base.metadata.create_all(connection)
    for table in _Base.metadata.sorted_tables:
        known = {column["name"] for column in inspect(connection).get_columns(table.name)}
        for column in table.columns:
            if column.name not in known:
                kind = column.type.compile(connection.dialect)
                connection.execute(text(f"ALTER TABLE {table.name} ADD {column.name} {kind}"))
        for index in table.indexes:
            index.create(connection, checkfirst=True)


def _series(column: ColumnElement[Any], values: Sequence[Any]) -> pd.Series:
    if isinstance(column.type, UtcDateTime):
        if values and not isinstance(values[0], str):  # only SQLite keeps times as text
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
