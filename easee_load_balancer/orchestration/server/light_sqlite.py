"""Prefect's SQLite database, set up to write little.

Each change of a flow run touches some 25 indexes, and SQLite writes a whole page for each: with
pages of 1 kB it writes a quarter of what it writes with 4 kB. Changes go to the write-ahead log and
from there to the database; the later, the more changes of one page are written once.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from prefect.server.database import provide_database_interface
from starlette.types import ASGIApp, Receive, Scope, Send

_PAGE_BYTES = 1024
_LOG_PAGES = 24_000
"""The log is applied to the database when it is this long (24 MB)."""
_CACHE_KB = 2_000
"""For each of up to 15 connections; Prefect's own setting lets each keep 80 MB."""


class WithLightSqlite:
    """An ASGI application that sets up the database before the server's starts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; before the start, set up the database."""
        if scope["type"] == "lifespan":
            await set_up()
        await self._app(scope, receive, send)


async def set_up() -> None:
    """Give the database small pages, and set up each connection that is opened later.

    Uses the database of Prefect's settings; does nothing if that is not a file of SQLite.
    """
    engine = await provide_database_interface().engine()
    path = engine.url.database
    if engine.dialect.name != "sqlite" or not path or engine.url.query or path == ":memory:":
        return
    give_small_pages(Path(path))
    sa.event.listen(engine.sync_engine, "connect", _set_up_connection)


def give_small_pages(path: Path) -> None:
    """Create the database with small pages, or rewrite one of an earlier version once.

    SQLite rewrites it as a whole or not at all. One that is in use, or for which the disk has no
    room, stays as it is until the next start.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        if connection.execute("PRAGMA page_size").fetchone() != (_PAGE_BYTES,):
            with suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA journal_mode = DELETE")  # a log fixes the page size
                connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
                connection.execute("VACUUM")
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")


def _set_up_connection(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
    cursor.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
    cursor.close()
