"""The history's schema: its version, and the way from an older one to this one.

Tables, columns and indexes that are new are simply created. A change of what is already there
is a function in `STEPS`. Before an older SQLite file is changed, a copy of it is kept beside it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, DateTime, Dialect, inspect, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from easee_load_balancer.errors import HistoryError

VERSION = 4
"""Goes up with every change of the schema.

1: cycles and daily energies, without a number. 2: calls to the cloud, and this number. 3: the
battery's counters, the age of the car's power, and what samples alone say. 4: which cycle ran
last, and boosts.
"""

STEPS: Mapping[int, Callable[[Connection], None]] = {}
"""By the version that it leads to: what has to be done beyond creating what is new."""

_FIRST_TABLE = "cycles"


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


class Base(DeclarativeBase):
    """All tables of the history."""


class SchemaVersion(Base):
    """The one row says which version's schema the database has."""

    __tablename__ = "schema_version"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class LastCycle(Base):
    """Which cycle of a site ran last: by its time alone that could be one from before the clock
    was set back."""

    __tablename__ = "last_cycles"

    site: Mapped[str] = mapped_column(primary_key=True)
    scheduled_at: Mapped[datetime] = mapped_column(UtcDateTime)


def bring_up_to_date(connection: Connection, where: str) -> None:
    """Make the schema that of this version, in one transaction.

    Raises HistoryError for the schema of a newer version, OSError where no copy can be kept.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # nobody else does the same meanwhile
    found = _version(connection)
    if found is not None and found > VERSION:
        raise HistoryError(
            f"The history at {where} was written by a newer version of this program (schema "
            f"{found}, this one knows {VERSION}). Install that version again, or set another "
            "EASEE_BALANCER_DATA_FOLDER or EASEE_BALANCER_HISTORY_URL."
        )
    if found is not None and found < VERSION:
        _keep_copy(connection, found)
    _create_what_is_missing(connection)
    for version in range((found or VERSION) + 1, VERSION + 1):
        if version in STEPS:
            STEPS[version](connection)
    if found != VERSION:
        connection.execute(text("DELETE FROM schema_version"))
        connection.execute(text("INSERT INTO schema_version VALUES (:new)"), {"new": VERSION})


def _version(connection: Connection) -> int | None:
    """The version of the schema; None for an empty database."""
    tables = inspect(connection).get_table_names()
    if SchemaVersion.__tablename__ in tables:
        found = connection.scalar(text("SELECT max(version) FROM schema_version"))
        if found is not None:
            return int(found)
    return 1 if _FIRST_TABLE in tables else None


def _keep_copy(connection: Connection, version: int) -> None:
    """Copy an SQLite file to one that bears the version; a database server has its own means."""
    database = connection.engine.url.database
    if connection.dialect.name != "sqlite" or not database:
        return
    copy = Path(f"{database}.version-{version}")
    unfinished = copy.with_name(f"{copy.name}.part")
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    with closing(sqlite3.connect(database)) as here, closing(sqlite3.connect(unfinished)) as there:
        here.backup(there)
    unfinished.replace(copy)


def _create_what_is_missing(connection: Connection) -> None:
    Base.metadata.create_all(connection)
    for table in Base.metadata.sorted_tables:
        known = {column["name"] for column in inspect(connection).get_columns(table.name)}
        for column in table.columns:
            if column.name not in known:
                kind = column.type.compile(connection.dialect)
                connection.execute(text(f"ALTER TABLE {table.name} ADD {column.name} {kind}"))
        for index in table.indexes:
            index.create(connection, checkfirst=True)
