"""The tables of the history. Signs and units as in the measurements; NULL is unknown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, date, datetime
from typing import Any, ClassVar, get_type_hints

from sqlalchemy import DateTime, Dialect, Float, Index, Integer
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedColumn, composite, mapped_column
from sqlalchemy.types import JSON, TypeDecorator

from easee_load_balancer.control.boost import Boost
from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.departures import ReadyBy
from easee_load_balancer.control.dimming import Dimming
from easee_load_balancer.energy.totals import Energy
from easee_load_balancer.measurements import ChargerState, InverterReading
from easee_load_balancer.periods import quarter_of

_FROM_INVERTER = (
    *("pv_w", "inverter_ac_w", "grid_export_w", "battery_charge_w", "battery_soc_pct"),
    *("exported_kwh", "imported_kwh", "charged_kwh", "discharged_kwh"),
)
_STORED_NAMES = {"car_from_solar_kwh": "car_from_sun_kwh"}
"""Fields whose column has an older name."""


class UtcDateTime(TypeDecorator[datetime]):
    """A timezone-aware UTC datetime in any database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC; SQLite stores no zone."""
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """All tables of the history."""


class SchemaVersion(Base):
    """One row: the version of the database's schema."""

    __tablename__ = "schema_version"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Cycle(Base):
    """One control cycle."""

    __tablename__ = "cycles"
    __table_args__ = (Index("ix_cycles_site_at", "site", "at"),)

    site: Mapped[str] = mapped_column(primary_key=True)
    scheduled_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    """When the cycle was due."""
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When the house was read."""
    run_id: Mapped[str]
    outcome: Mapped[str]
    """failed, attention, asleep, pushed or held: the first that is true."""
    reason: Mapped[str]
    mode: Mapped[str | None]
    pv_w: Mapped[float | None]
    inverter_ac_w: Mapped[float | None]
    grid_export_w: Mapped[float | None]
    battery_charge_w: Mapped[float | None]
    battery_soc_pct: Mapped[float | None]
    car_w: Mapped[float | None]
    car_age_s: Mapped[float | None]
    """Age of `car_w` at the time of the reading."""
    car_phases: Mapped[int | None]
    """Phases on which the charger supplies current; 0 while it supplies none."""
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
        """Whether this cycle makes one that was due at `scheduled_at` superfluous.

        A cycle from the future replaces nothing: the clock has been set back since.
        """
        return scheduled_at <= self.scheduled_at <= started_at

    def outdates_state_of(self, scheduled_at: datetime) -> bool:
        """Whether the state of the site's last cycle, due then, is not needed after this one.

        It takes ten times the space of all else. A backtest begins with the last of a quarter-hour.
        """
        same_quarter = quarter_of(scheduled_at) == quarter_of(self.scheduled_at)
        return same_quarter and scheduled_at != self.scheduled_at

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
        """The row for a cycle; `failure` is the reason if it failed."""
        setpoint = decision.setpoint
        return cls(
            site=site,
            scheduled_at=scheduled_at,
            at=at,
            run_id=run_id,
            outcome="failed" if failure else _outcome(inverter, decision),
            reason=failure or decision.reason,
            mode=mode,
            **{name: getattr(inverter, name) for name in _FROM_INVERTER},
            car_w=charger.car_w,
            car_age_s=charger.age_s("car_w"),
            car_phases=charger.output_phases,
            charger_mode=charger.mode,
            surplus_w=decision.surplus_w,
            setpoint_a=setpoint.current_a if setpoint else None,
            setpoint_phases=setpoint.phases if setpoint else None,
            session_kwh=charger.session_kwh,
            controller_state=decision.state.model_dump(mode="json"),
        )


class LastCycle(Base):
    """Which cycle of a site ran last; the newest time is wrong after the clock was set back."""

    __tablename__ = "last_cycles"

    site: Mapped[str] = mapped_column(primary_key=True)
    scheduled_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Request:
    """Something that a flow run asked for; active until `ended_at` is set."""

    run_id: Mapped[str] = mapped_column(primary_key=True)
    """The flow run that started it."""
    site: Mapped[str] = mapped_column(index=True)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_by: Mapped[str | None]
    """Why it ended."""
    state: Mapped[dict[str, Any]] = mapped_column(JSON)

    what: ClassVar[str]
    """What it is called in messages."""
    superseded: ClassVar[str]
    """Why it ends when another one begins."""


class BoostRow(Request, Base):
    """One boost."""

    __tablename__ = "boosts"
    what = "boost"
    superseded = "another boost began"

    @property
    def request(self) -> Boost:
        """The boost as last recorded."""
        return Boost.model_validate(self.state)


class ReadyByRow(Request, Base):
    """One departure that was asked for."""

    __tablename__ = "ready_by"
    what = "departure"
    superseded = "another departure was asked for"

    @property
    def request(self) -> ReadyBy:
        """The departure as last recorded."""
        return ReadyBy.model_validate(self.state)


class DimmingRow(Request, Base):
    """One limit of the car's power for a time."""

    __tablename__ = "dimmings"
    what = "limit"
    superseded = "another limit began"

    @property
    def request(self) -> Dimming:
        """The limit as last recorded."""
        return Dimming.model_validate(self.state)


class QuarterRow(Base):
    """Mean powers of a quarter-hour in W, for what is planned from them."""

    __tablename__ = "quarters"

    site: Mapped[str] = mapped_column(primary_key=True)
    start: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    pv_w: Mapped[float | None]
    load_w: Mapped[float | None]
    """The house without the car."""
    import_w: Mapped[float | None]


class SolarForecastRow(Base):
    """The PV power of a quarter-hour as it was forecast last."""

    __tablename__ = "solar_forecasts"

    site: Mapped[str] = mapped_column(primary_key=True)
    start: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    pv_w: Mapped[float]
    """Before any scaling."""
    fetched_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PlanRow(Base):
    """The last charging plan of a site."""

    __tablename__ = "plans"

    site: Mapped[str] = mapped_column(primary_key=True)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    plan: Mapped[dict[str, Any]] = mapped_column(JSON)


class CloudCalls(Base):
    """How often an endpoint of the Easee cloud was called within a quarter of an hour.

    In every time zone, a day begins at a quarter of an hour.
    """

    __tablename__ = "cloud_calls"

    site: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    endpoint: Mapped[str] = mapped_column(primary_key=True)
    calls: Mapped[int]


class SpotPriceRow(Base):
    """The day-ahead price of a quarter-hour, as its source published it."""

    __tablename__ = "spot_prices"

    site: Mapped[str] = mapped_column(primary_key=True)
    start: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    price: Mapped[float]
    """Per kWh, before surcharge, fees and VAT."""
    currency: Mapped[str]
    source: Mapped[str]
    """Source and zone."""


def _energy_columns() -> Iterator[MappedColumn[Any]]:
    """A column for each field of `Energy`, in their order."""
    types = get_type_hints(Energy)
    for field in fields(Energy):
        column_type = Integer if types[field.name] is int else Float
        optional = types[field.name] == float | None
        name = _STORED_NAMES.get(field.name, field.name)
        yield mapped_column(name, column_type, nullable=optional)


class DailyEnergy(Base):
    """The energy totals of one local day; NULL is unknown."""

    __tablename__ = "daily_energy"

    site: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    time_zone: Mapped[str] = mapped_column(primary_key=True)
    """Decides when the day begins."""
    currency: Mapped[str | None]
    energy: Mapped[Energy] = composite(Energy, *_energy_columns())
    """A column for each field."""


def _outcome(inverter: InverterReading, decision: Decision) -> str:
    if decision.attention:
        return "attention"
    if inverter.asleep:
        return "asleep"
    return "pushed" if decision.push else "held"
