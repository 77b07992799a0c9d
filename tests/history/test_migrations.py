"""Histories of other versions: older ones are upgraded with a copy kept, newer ones refused."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text

from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history import migrations as schema
from easee_load_balancer.history.migrations import VERSION
from easee_load_balancer.history.store import Cycle, History
from tests.support.postgres import Postgres

NOON = datetime(2026, 6, 21, 12, 0, tzinfo=UTC)
WRITTEN_BY = Path(__file__).parent / "versions"
"""Three cycles each, as those versions wrote them."""


def a_file(folder: Path, written_by: str) -> Path:
    """The history of an earlier version."""
    file = folder / "history.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript((WRITTEN_BY / f"{written_by}.sql").read_text())
    return file


def dump(file: Path) -> str:
    """All that is in an SQLite file."""
    with closing(sqlite3.connect(file)) as connection:
        return "\n".join(connection.iterdump())


def a_cycle(minute: int) -> Cycle:
    """A cycle so many minutes after noon."""
    at = NOON + timedelta(minutes=minute)
    return Cycle(
        site="home",
        scheduled_at=at,
        at=at,
        run_id="",
        outcome="held",
        reason="",
        controller_state={},
    )


@pytest.mark.parametrize("written_by", ["first", "version-1"])
def test_an_older_file_is_upgraded_and_a_copy_of_it_kept(written_by: str, tmp_path: Path) -> None:
    file = a_file(tmp_path, written_by)
    before = dump(file)
    for minute in (3, 4):
        history = History(f"sqlite:///{file}")
        history.record(a_cycle(minute), calls={"observations": 1})
        history.close()
    history = History(f"sqlite:///{file}")
    frame = history.cycles("home", NOON, NOON + timedelta(hours=1))
    assert list(frame["pv_w"])[:3] == [8000, 8001, 8002]
    assert len(frame) == 5
    assert history.cloud_calls("home", NOON, NOON + timedelta(hours=1)) == {"observations": 2}
    stored = history.day("home", date(2026, 6, 20), "Europe/Stockholm")
    assert (stored.energy.pv_kwh if stored else None) == (42.5 if written_by != "first" else None)
    history.close()
    assert f'INSERT INTO "schema_version" VALUES({VERSION})' in dump(file)
    (copy,) = tmp_path.glob("*.version-*")
    assert copy.name == "history.db.version-1"
    assert dump(copy) == before
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert not list(tmp_path.glob("*.part"))


def test_what_an_older_version_remembered_is_understood(tmp_path: Path) -> None:
    history = History(f"sqlite:///{a_file(tmp_path, 'first')}")
    last = history.last_cycle("home")
    history.close()
    assert last is not None
    assert ControllerState.model_validate(last.controller_state).setpoint_a == 11


def test_a_new_history_needs_no_copy(tmp_path: Path) -> None:
    History(f"sqlite:///{tmp_path / 'history.db'}").close()
    assert not list(tmp_path.glob("*.version-*"))


def test_a_newer_history_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "history.db"
    History(f"sqlite:///{file}").close()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE schema_version SET version = 99")
    before = dump(file)
    with pytest.raises(HistoryError, match=r"newer version .*schema 99, this one knows"):
        History(f"sqlite:///{file}")
    assert dump(file) == before


def test_without_a_copy_nothing_is_changed(tmp_path: Path) -> None:
    file = a_file(tmp_path, "version-1")
    before = dump(file)
    (tmp_path / "history.db.version-1.part").mkdir()
    with pytest.raises(HistoryError, match="could not be opened"):
        History(f"sqlite:///{file}")
    assert dump(file) == before


def _double(connection: Connection) -> None:
    connection.execute(text("UPDATE cycles SET pv_w = 2 * pv_w"))


def _fail(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE half_way (x INTEGER)"))
    connection.execute(text("SELECT nonsense"))


def test_steps_are_taken_once_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = a_file(tmp_path, "version-1")
    History(f"sqlite:///{file}").close()
    before = dump(file)
    monkeypatch.setattr(schema, "VERSION", VERSION + 2)
    monkeypatch.setattr(schema, "STEPS", {VERSION + 1: _double, VERSION + 2: _fail})
    with pytest.raises(HistoryError):
        History(f"sqlite:///{file}")
    assert dump(file) == before
    monkeypatch.setattr(schema, "STEPS", {VERSION + 1: _double})
    for _ in range(2):
        history = History(f"sqlite:///{file}")
        frame = history.cycles("home", NOON, NOON + timedelta(hours=1))
        history.close()
        assert list(frame["pv_w"]) == [16000, 16002, 16004]


def test_postgresql_is_upgraded_and_refused_alike(postgres: Postgres) -> None:
    url = postgres.empty_database()
    history = History(url)
    history.record(a_cycle(0))
    history.close()
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE schema_version, cloud_calls"))
        connection.execute(text("ALTER TABLE cycles DROP COLUMN car_phases"))
    history = History(url)
    history.record(a_cycle(1), calls={"login": 1})
    assert len(history.cycles("home", NOON, NOON + timedelta(hours=1))) == 2
    history.close()
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT version FROM schema_version")) == VERSION
        connection.execute(text("UPDATE schema_version SET version = 99"))
    with pytest.raises(HistoryError, match="newer version"):
        History(url)
    engine.dispose()


def test_calls_add_up_within_a_day_that_begins_at_any_quarter(tmp_path: Path) -> None:
    history = History(f"sqlite:///{tmp_path / 'history.db'}")
    for minute in (0, 14, 15, 29, 30):
        calls = {"observations": 1} | ({"login": 2} if not minute else {})
        history.record(a_cycle(minute), calls=calls)
    quarter = timedelta(minutes=15)
    assert history.cloud_calls("home", NOON, NOON + quarter) == {"login": 2, "observations": 2}
    assert history.cloud_calls("home", NOON + quarter, NOON + 3 * quarter) == {"observations": 3}
    assert history.cloud_calls("cabin", NOON, NOON + quarter) == {}
    history.close()
