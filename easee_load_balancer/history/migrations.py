"""The history's schema version, and the way from an older schema to this one.

New tables, columns and indexes are simply created. Before an older SQLite file is changed, a copy
of it is kept beside it.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history.tables import Base, Cycle, SchemaVersion

VERSION = 6
"""Goes up with every change of the schema. Databases without a number have version 1."""


def upgrade(connection: Connection, where: str) -> None:
    """Bring the schema to this version, in one transaction.

    Raises HistoryError for the schema of a newer version, OSError if no copy can be kept.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # one process at a time
    found = _version(connection)
    if found is not None and found > VERSION:
        raise HistoryError(
            f"The history at {where} was written by a newer version of this program (schema "
            f"{found}, this version knows {VERSION}). Install that version again, or set another "
            "EASEE_BALANCER_DATA_FOLDER or EASEE_BALANCER_HISTORY_URL."
        )
    if found is not None and found < VERSION:
        _keep_copy(connection, found)
    _create_what_is_missing(connection)
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
    return 1 if Cycle.__tablename__ in tables else None


def _keep_copy(connection: Connection, version: int) -> None:
    """Copy an SQLite file beside itself; a database server has its own backups."""
    database = connection.engine.url.database
    if connection.dialect.name != "sqlite" or not database:
        return
    copy = Path(f"{database}.version-{version}")
    unfinished = copy.with_name(f"{copy.name}.part")
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    try:
        with (
            closing(sqlite3.connect(database)) as source,
            closing(sqlite3.connect(unfinished)) as target,
        ):
            source.backup(target)
        unfinished.replace(copy)
    finally:
        unfinished.unlink(missing_ok=True)  # one that did not fit would keep the disk full


def _create_what_is_missing(connection: Connection) -> None:
    Base.metadata.create_all(connection)
    for table in Base.metadata.sorted_tables:
        known = {column["name"] for column in inspect(connection).get_columns(table.name)}
        for column in table.columns:
            if column.name not in known:
                kind = column.type.compile(connection.dialect)
                if not column.nullable:  # only totals of days: those of earlier versions are 0
                    kind += " DEFAULT 0 NOT NULL"
                connection.execute(text(f"ALTER TABLE {table.name} ADD {column.name} {kind}"))
        for index in table.indexes:
            index.create(connection, checkfirst=True)
