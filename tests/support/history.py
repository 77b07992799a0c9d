"""Histories in SQLite and PostgreSQL, empty or filled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from easee_load_balancer.history.store import History
from easee_load_balancer.history.tables import Cycle
from tests.support.postgres import Postgres

NOON = datetime(2026, 6, 21, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def cycle(minute: float = 0, site: str = "home", **columns: Any) -> Cycle:
    """A cycle this many minutes after noon; all but the given columns is unknown."""
    at = NOON + minute * MINUTE
    known = {"run_id": "run", "outcome": "held", "reason": "", "controller_state": {}}
    return Cycle(site=site, **({"scheduled_at": at, "at": at} | known | columns))


def measured(minutes: int, since: datetime = NOON) -> Iterator[Cycle]:
    """Cycles every 30 s with 5 kW of PV, all of it exported."""
    for number in range(2 * minutes):
        at = since + number * MINUTE / 2
        powers: dict[str, Any] = {"pv_w": 5000.0, "inverter_ac_w": 5000.0, "grid_export_w": 5000.0}
        yield cycle(scheduled_at=at, at=at, battery_charge_w=0.0, **powers)


@contextmanager
def opened(url: str) -> Iterator[History]:
    """A history that is closed at the end."""
    history = History(url)
    try:
        yield history
    finally:
        history.close()


def insert(url: str, cycles: Iterable[Cycle]) -> None:
    """Store many new cycles at once."""
    with opened(url), _engine(url) as engine, Session(engine) as session:
        session.add_all(cycles)
        session.commit()


def execute(url: str, statement: str) -> Any:
    """The first value that a statement of plain SQL returns, if any."""
    with _engine(url) as engine, engine.begin() as connection:
        result = connection.execute(text(statement))
        return result.scalar() if result.returns_rows else None


def last_cycle(history: History, site: str = "home") -> Cycle:
    """The cycle that ran last; there is one."""
    last = history.last_cycle(site)
    assert last is not None
    return last


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        yield engine
    finally:
        engine.dispose()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A new SQLite file."""
    return f"sqlite:///{tmp_path / 'history.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, sqlite_url: str) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return sqlite_url
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.empty_database()


@pytest.fixture
def history(url: str) -> Iterator[History]:
    """An empty history in each kind of database."""
    with opened(url) as empty:
        yield empty
