"""The connections to the history's database, with the schema of this version.

An SQLite file that has been replaced or deleted is opened again; otherwise everything would go on
into the old file, which ends with its last connection.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history.migrations import upgrade
from easee_load_balancer.system.silence import CLIENT_SIDE, SERVER_SIDE

_SQLITE_BUSY_S = 5
"""How long to wait for a locked database; the charger is waiting meanwhile."""

_FileId = tuple[int, int]


class Database:
    """The history's database. Raises HistoryError if it cannot be opened or used."""

    def __init__(self, url: str) -> None:
        self._url = _parsed(url)
        self._where = self._url.set(query={}).render_as_string(hide_password=True)
        self._lock = Lock()
        self._log: _FileId | None = None
        with self._errors("opened"):
            self._engine = self._open()

    @contextmanager
    def used(self, verb: str) -> Iterator[Engine]:
        """The engine for one use; `verb` says in an error what could not be done."""
        with self._errors("opened"), self._lock:
            if self._replaced():
                self._engine.dispose()
                self._remove_old_log()
                self._engine = self._open()
            self._log = _file_id(self._log_path("wal"))
        with self._errors(verb):
            yield self._engine

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _open(self) -> Engine:
        sqlite = self._url.get_backend_name() == "sqlite"
        engine = _sqlite(self._url) if sqlite else _server(self._url)
        with engine.connect() as connection:
            try:
                upgrade(connection, self._where)
            except DBAPIError:  # another process has just upgraded it
                connection.rollback()
                upgrade(connection, self._where)
            connection.commit()
        self._path = Path(self._url.database) if sqlite and self._url.database else None
        self._file = _file_id(self._path)
        return engine

    def _replaced(self) -> bool:
        """Whether the path leads to another file than the one in use, or to none."""
        return self._path is not None and _file_id(self._path) != self._file

    def _remove_old_log(self) -> None:
        """Remove the write-ahead log of the old file: SQLite would apply it to the new one."""
        log = self._log_path("wal")
        if log is not None and self._log is not None and _file_id(log) == self._log:
            for path in (log, self._log_path("shm")):
                if path is not None:
                    path.unlink(missing_ok=True)

    def _log_path(self, suffix: str) -> Path | None:
        return self._path and self._path.with_name(f"{self._path.name}-{suffix}")

    @contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        errors = (SQLAlchemyError, OSError, ImportError, sqlite3.Error)
        try:
            yield
        except errors as error:
            raise _failure(self._where, verb, getattr(error, "orig", None) or error) from error


def _file_id(path: Path | None) -> _FileId | None:
    """Device and inode; None where there is no file."""
    try:
        found = path and path.stat()
    except FileNotFoundError:
        return None
    return (found.st_dev, found.st_ino) if found else None


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        parsed.get_backend_name()
    except (SQLAlchemyError, ValueError):
        raise HistoryError(
            "The URL of the history is not valid. Write postgresql://user:password@host/database, "
            "with special characters of the password encoded: %40 for @."
        ) from None
    return parsed


def _server(url: URL) -> Engine:
    options = CLIENT_SIDE | {"connect_timeout": 5}
    engine = create_engine(url, pool_pre_ping=True, connect_args=options)
    server_side = "; ".join(f"SET {name} = {value}" for name, value in SERVER_SIDE.items())

    @event.listens_for(engine, "connect")
    def notice_silence(connection: Any, record: Any) -> None:
        # not as the parameter `options`, which some poolers refuse
        with connection.cursor() as cursor:
            cursor.execute(server_side)
        connection.commit()

    return engine


def _sqlite(url: URL) -> Engine:
    if url.database:
        os.close(os.open(url.database, os.O_RDWR | os.O_CREAT, 0o600))
    engine = create_engine(url, connect_args={"timeout": _SQLITE_BUSY_S})

    @event.listens_for(engine, "connect")
    def survive_power_cuts(connection: Any, record: Any) -> None:
        with suppress(sqlite3.OperationalError):  # locked: another process is setting it
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")  # a recorded cycle is on the disk

    return engine


def _failure(where: str, verb: str, cause: BaseException) -> HistoryError:
    message, _, _ = str(cause).partition("\n")
    return HistoryError(
        f"The history at {where} could not be {verb} ({type(cause).__name__}: {message}). "
        "Is the disk full, or the database down?"
    )
