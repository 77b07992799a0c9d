"""Histories of other versions: older ones are upgraded with a copy kept, newer ones refused."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.energy.totals import Energy
from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history.migrations import VERSION
from easee_load_balancer.history.store import History
from easee_load_balancer.measurements import Setpoint
from tests.support.history import HOUR, MINUTE, NOON, cycle, execute, last_cycle, opened

VERSIONS = Path(__file__).parent / "versions"
"""Histories as those versions wrote them."""
DAY, ZONE = date(2026, 6, 20), "Europe/Stockholm"


def written_by(version: str, folder: Path) -> Path:
    """The history file of an earlier version."""
    file = folder / "history.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript((VERSIONS / f"{version}.sql").read_text())
    return file


def dump(file: Path) -> str:
    """Everything in an SQLite file."""
    with closing(sqlite3.connect(file)) as connection:
        return "\n".join(connection.iterdump())


@pytest.mark.parametrize("version", ["first", "version-1"])
def test_upgrades_an_older_file_and_keeps_a_copy(version: str, tmp_path: Path) -> None:
    file = written_by(version, tmp_path)
    before = dump(file)
    for minute in (3, 4):
        with opened(f"sqlite:///{file}") as history:
            history.record(cycle(minute), calls={"observations": 1})
    with opened(f"sqlite:///{file}") as history:
        assert list(history.cycles("home", NOON, NOON + HOUR)["pv_w"])[:3] == [8000, 8001, 8002]
        assert history.cloud_calls("home", NOON, NOON + HOUR) == {"observations": 2}
        stored = history.day("home", DAY, ZONE)
    assert (stored.energy.pv_kwh if stored else None) == (None if version == "first" else 42.5)
    assert f'INSERT INTO "schema_version" VALUES({VERSION})' in dump(file)
    (copy,) = tmp_path.glob("*.version-*")
    assert copy.name == "history.db.version-1"
    assert dump(copy) == before
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert not list(tmp_path.glob("*.part"))


def test_opens_the_history_of_version_4_with_all_that_is_in_it(tmp_path: Path) -> None:
    """Version 4 said sun and memory where we say solar and controller state."""
    with opened(f"sqlite:///{written_by('version-4', tmp_path)}") as history:
        frame = history.cycles("home", NOON, NOON + HOUR)
        assert list(frame["setpoint_a"]) == [0, 10, 10, 11]
        assert list(frame["car_w"]) == [0, 0, 0, 6200]
        assert history.cloud_calls("home", NOON, NOON + HOUR) == {"observations": 4}
        stored = history.day("home", DAY, ZONE)
        boost, ended = history.boosts.under_way("home"), history.boosts.of_run("boost run 1")
        state = ControllerState.model_validate(last_cycle(history).controller_state)
    assert stored is not None
    assert stored.currency == "SEK"
    assert stored.energy == Energy(
        pv_kwh=42.5, import_kwh=1.5, house_kwh=10.0, car_kwh=20.0, export_kwh=14.0,
        car_from_solar_kwh=18.5, car_from_grid_kwh=1.5, period_s=86_400, measured_s=86_370,
        cycles=2880, starts=3, meter_import_kwh=1.5, import_sampled_kwh=1.4, saved=27.75,
    )  # fmt: skip
    assert boost is not None
    assert (boost.run_id, boost.request.energy_kwh) == ("boost run 2", 10)
    assert ended is not None
    assert ended.ended_at == NOON + 5 * MINUTE
    assert state.setpoint == Setpoint(11, 3)
    assert state.started_at is not None
    assert state.pv_w == 8003


def test_understands_the_controller_state_of_the_first_version(tmp_path: Path) -> None:
    with opened(f"sqlite:///{written_by('first', tmp_path)}") as history:
        state = ControllerState.model_validate(last_cycle(history).controller_state)
    assert state.setpoint_a == 11


def test_adds_missing_tables_columns_and_indexes(url: str) -> None:
    with opened(url) as history:
        history.record(cycle(0))
    execute(url, "DROP INDEX ix_cycles_site_at")
    execute(url, "ALTER TABLE cycles DROP COLUMN car_phases")
    for table in ("schema_version", "cloud_calls", "daily_energy"):
        execute(url, f"DROP TABLE {table}")
    with opened(url) as history:
        history.record(cycle(1), calls={"login": 1})
        assert history.cycles("home", NOON, NOON + HOUR)["car_phases"].isna().all()
        assert history.day("home", DAY, "UTC") is None
    assert execute(url, "SELECT version FROM schema_version") == VERSION
    execute(url, "DROP INDEX ix_cycles_site_at")


def test_a_new_history_needs_no_copy(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path / 'history.db'}"):
        assert not list(tmp_path.glob("*.version-*"))


def test_refuses_a_newer_history_and_leaves_it_alone(url: str) -> None:
    with opened(url):
        execute(url, "UPDATE schema_version SET version = 99")
    with pytest.raises(HistoryError, match=r"newer version .*schema 99, this version knows"):
        History(url)
    assert execute(url, "SELECT version FROM schema_version") == 99


def test_changes_nothing_if_no_copy_can_be_kept(tmp_path: Path) -> None:
    file = written_by("version-1", tmp_path)
    before = dump(file)
    (tmp_path / "history.db.version-1").mkdir()
    with pytest.raises(HistoryError, match="could not be opened"):
        History(f"sqlite:///{file}")
    assert dump(file) == before
    assert not list(tmp_path.glob("*.part"))
