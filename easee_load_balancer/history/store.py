"""What was read and decided, one row a cycle, in SQLite or PostgreSQL."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    Engine,
    Index,
    String,
    create_engine,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Mapped, Session, mapped_column
from sqlalchemy.types import JSON

from easee_load_balancer.control.decision import Decision
from easee_load_balancer.energy.accounting import Energy
from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history.boosts import Boosts
from easee_load_balancer.history.migrations import Base, LastCycle, UtcDateTime, bring_up_to_date
from easee_load_balancer.measurements import ChargerState, InverterReading

_SQLITE_BUSY_S = 5
"""How long to wait for a database that another process has locked; the charger waits for us."""


class Cycle(Base):
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
    car_age_s: Mapped[float | None]
    """How long before the reading the charger observed `car_w`."""
    car_phases: Mapped[int | None]
    """Phases on which the charger gives current; 0 while it gives none."""
    charger_mode: Mapped[int | None]
    surplus_w: Mapped[float | None]
    setpoint_a: Mapped[int | None]
    setpoint_phases: Mapped[int | None]
    exported_kwh: Mapped[float | None]
    imported_kwh: Mapped[float | None]
    charged_kwh: Mapped[float | None]
    discharged_kwh: Mapped[float | None]
    session_kwh: Mapped[float | None]
    controller_state: Mapped[dict[str, Any]] = mapped_column("memory", JSON)

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
            car_age_s=charger.age_s("car_w"),
            car_phases=charger.output_phases,
            charger_mode=charger.mode,
            surplus_w=decision.surplus_w,
            setpoint_a=setpoint.current_a if setpoint else None,
            setpoint_phases=setpoint.phases if setpoint else None,
            exported_kwh=inverter.exported_kwh,
            imported_kwh=inverter.imported_kwh,
            charged_kwh=inverter.charged_kwh,
            discharged_kwh=inverter.discharged_kwh,
            session_kwh=charger.session_kwh,
            controller_state=decision.state.model_dump(mode="json"),
        )


class DailyEnergy(Base):
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
    battery_charged_kwh: Mapped[float | None]
    battery_charged_gaps_kwh: Mapped[float | None]
    battery_discharged_kwh: Mapped[float | None]
    battery_discharged_gaps_kwh: Mapped[float | None]
    import_sampled_kwh: Mapped[float | None]
    export_sampled_kwh: Mapped[float | None]
    charge_sampled_kwh: Mapped[float | None]
    discharge_sampled_kwh: Mapped[float | None]
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


class CloudCalls(Base):
    """How often an endpoint of the Easee cloud was called in a quarter of an hour.

    Every time zone's days begin with one.
    """

    __tablename__ = "cloud_calls"

    site: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    endpoint: Mapped[str] = mapped_column(primary_key=True)
    calls: Mapped[int]


def _outcome(inverter: InverterReading, decision: Decision) -> str:
    if inverter.asleep:
        return "asleep"
    return "pushed" if decision.push else "held"


class History:
    """The database of cycles. Every method raises HistoryError when the database does not work."""

    def __init__(self, url: str) -> None:
        self._where, self._engine = _engine(url)
        self.boosts = Boosts(self._session)
        with self._errors("opened"), self._engine.connect() as connection:
            try:
                bring_up_to_date(connection, self._where)
            except DBAPIError:  # another process has just done the same
                connection.rollback()
                bring_up_to_date(connection, self._where)
            connection.commit()

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def record(self, *cycles: Cycle, calls: Mapping[str, int] | None = None) -> None:
        """Store cycles in the order in which they ran, and the calls to the cloud since before.

        Storing the same cycle again replaces it; the calls add up.
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

    def record_all(self, cycles: Iterable[Cycle]) -> None:
        """Store cycles that are not there yet, all or none."""
        with self._errors("written"), Session(self._engine) as session:
            session.add_all(cycles)
            session.commit()

    def last_cycle(self, site: str) -> Cycle | None:
        """The cycle of the site that ran last, also when the clock was set back since."""
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
        """When the first cycle of the site was."""
        with self._errors("read"), Session(self._engine) as session:
            query = select(Cycle.at).where(Cycle.site == site).order_by(Cycle.at)
            return session.scalar(query.limit(1))

    def cycles(
        self, site: str, start: datetime, end: datetime, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Cycles with start <= at < end, by time: one row each, columns as in the table.

        Numbers are floats with NaN for unknown. Without `columns`: all but the
        controller state.
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
    """The beginning of the quarter of an hour, in UTC."""
    moment = moment.astimezone(UTC)
    return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)


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
