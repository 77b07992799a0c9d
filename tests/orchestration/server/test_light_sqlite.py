"""The database that the server sets up writes little, also one of an earlier version."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from prefect.server.database import provide_database_interface
from prefect.server.database.dependencies import temporary_database_config
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, temporary_settings

from easee_load_balancer.orchestration.server.light_sqlite import give_small_pages, set_up


def _pragma(path: Path, name: str) -> object:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]


def _older(path: Path) -> sqlite3.Connection:
    """A database of an earlier version, with a row; the connection to it."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    with connection:
        connection.execute("CREATE TABLE kept (value INTEGER)")
        connection.execute("INSERT INTO kept VALUES (7)")
    return connection


def _rows(path: Path) -> list[tuple[int]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT value FROM kept").fetchall()


def test_a_new_database_has_small_pages_and_a_log(tmp_path: Path) -> None:
    path = tmp_path / "new" / "prefect.db"
    give_small_pages(path)
    assert (_pragma(path, "page_size"), _pragma(path, "journal_mode")) == (1024, "wal")


def test_a_database_of_an_earlier_version_gets_small_pages_and_keeps_its_rows(
    tmp_path: Path,
) -> None:
    path = tmp_path / "prefect.db"
    _older(path).close()
    assert _pragma(path, "page_size") == 4096
    give_small_pages(path)
    assert (_pragma(path, "page_size"), _pragma(path, "journal_mode")) == (1024, "wal")
    assert _rows(path) == [(7,)]


def test_a_database_in_use_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "prefect.db"
    with closing(_older(path)) as user:
        user.execute("SELECT value FROM kept").fetchone()
        give_small_pages(path)
    assert (_pragma(path, "page_size"), _pragma(path, "journal_mode")) == (4096, "wal")
    assert _rows(path) == [(7,)]


def test_every_connection_of_the_server_is_set_up(tmp_path: Path) -> None:
    async def settings_of_a_connection() -> list[int]:
        await set_up()
        engine = await provide_database_interface().engine()
        async with engine.connect() as connection:
            names = ("page_size", "cache_size", "wal_autocheckpoint", "foreign_keys")
            found = [await connection.scalar(sa.text(f"PRAGMA {name}")) for name in names]
        await engine.dispose()
        return [int(one) for one in found]

    url = f"sqlite+aiosqlite:///{tmp_path}/prefect.db"
    database = {PREFECT_API_DATABASE_CONNECTION_URL: url}
    with temporary_settings(database), temporary_database_config(None):
        assert asyncio.run(settings_of_a_connection()) == [1024, -2000, 24_000, 1]


def test_a_database_in_memory_is_left_alone() -> None:
    url = "sqlite+aiosqlite:///:memory:"
    database = {PREFECT_API_DATABASE_CONNECTION_URL: url}
    with temporary_settings(database), temporary_database_config(None):
        asyncio.run(set_up())
    assert not Path(":memory:").exists()
