"""Prefect servers of the tests' own, started on a database that has its tables already."""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import prefect
import pytest
from prefect.settings import PREFECT_API_URL

from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from tests.support.paths import PROJECT
from tests.support.prefect_client import talking_to

_CACHE = PROJECT / ".pytest_cache"

UNUSED_SERVICES = {
    f"PREFECT_SERVER_SERVICES_{service}_ENABLED": "false"
    for service in (
        *("EVENT_PERSISTER", "TASK_RUN_RECORDER", "TRIGGERS"),
        *("SCHEDULER", "LATE_RUNS", "FOREMAN"),
    )
}
"""They contend for the server's SQLite database, which can then be locked for a minute."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectStack]:
    """A server for all tests of a file."""
    often = {"PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S"}
    with a_server(tmp_path_factory.mktemp("prefect"), **often) as running:
        yield running


@contextmanager
def a_server(folder: Path, **env: str) -> Iterator[PrefectStack]:
    """A running server; this process talks to it as long as it lasts."""
    stack = PrefectStack(prepared(folder), PROJECT)
    stack.env |= env
    with stack, talking_to({PREFECT_API_URL: stack.api_url}):
        yield stack


def prepared(folder: Path) -> Path:
    """The folder of a stack that finds its tables; creating them is most of a server's start."""
    (folder / "prefect").mkdir(mode=0o700)
    shutil.copy(_new_database(), folder / "prefect" / "prefect.db")
    return folder


def _new_database() -> Path:
    """The database of a server that has just started for the first time."""
    database = _CACHE / f"prefect-{prefect.__version__}.db"
    _CACHE.mkdir(exist_ok=True)
    with (_CACHE / "prefect.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other process of the tests wants it too
        if not database.exists():
            with tempfile.TemporaryDirectory() as folder:
                with PrefectStack(Path(folder), PROJECT):
                    pass
                unfinished = database.with_suffix(".part")
                unfinished.unlink(missing_ok=True)
                with (
                    closing(sqlite3.connect(f"{folder}/prefect/prefect.db")) as source,
                    closing(sqlite3.connect(unfinished)) as target,
                ):
                    source.backup(target)
                unfinished.replace(database)
    return database
