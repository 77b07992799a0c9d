"""Cycles that cannot be written at once."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history import database
from easee_load_balancer.history.store import open_history
from easee_load_balancer.history.write_buffer import WriteBuffer
from tests.support.history import HOUR, MINUTE, NOON, cycle

Lockable = tuple[str, sqlite3.Connection]


@pytest.fixture
def locked(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lockable]:
    """A history, and a connection of another process that can lock it."""
    monkeypatch.setattr(database, "_SQLITE_BUSY_S", 0.1)
    WriteBuffer(sqlite_url).record(cycle(0))
    other = sqlite3.connect(tmp_path / "history.db", isolation_level=None)
    yield sqlite_url, other
    other.close()
    open_history(sqlite_url).close()


def test_writes_later_what_could_not_be_written(locked: Lockable) -> None:
    url, other = locked
    buffer = WriteBuffer(url)
    other.execute("BEGIN IMMEDIATE")
    for minute in (1, 2):
        with pytest.raises(HistoryError, match=f"locked.*kept in memory: {minute}"):
            buffer.record(cycle(minute))
    last = buffer.last_cycle("home")
    assert last is not None
    assert last.scheduled_at == NOON + 2 * MINUTE
    other.execute("ROLLBACK")
    buffer.record(cycle(3))
    kept = open_history(url).cycles("home", NOON, NOON + HOUR)["scheduled_at"]
    assert [at.minute for at in kept] == [0, 1, 2, 3]


def test_sees_what_other_processes_recorded(locked: Lockable) -> None:
    url, _ = locked
    buffer, another = WriteBuffer(url), WriteBuffer(url)
    buffer.record(cycle(1))
    another.record(cycle(2))
    last = buffer.last_cycle("home")
    assert last is not None
    assert last.scheduled_at == NOON + 2 * MINUTE


def test_knows_its_own_cycles_while_the_history_cannot_be_opened(tmp_path: Path) -> None:
    buffer = WriteBuffer(f"sqlite:///{tmp_path / 'missing' / 'history.db'}")
    with pytest.raises(HistoryError, match="could not be opened"):
        buffer.last_cycle("home")
    assert buffer.last_known("home") is None
    with pytest.raises(HistoryError):
        buffer.record(cycle(1))
    known = buffer.last_known("home")
    assert known is not None
    assert known is buffer.last_cycle("home")


def replaced(path: Path, copy: Path) -> None:
    """Moved over the file, as a file manager does; the log of the old file stays."""
    copy.replace(path)


def deleted_and_copied(path: Path, copy: Path) -> None:
    """All files of the history removed, then the copy put in their place."""
    deleted(path, copy)
    shutil.copy(copy, path)


def deleted(path: Path, _: Path) -> None:
    """All files of the history removed."""
    for file in path.parent.glob("history.db*"):
        file.unlink()


def restored(path: Path, copy: Path) -> None:
    """Restored by SQLite into the same file, as `deployments/README.md` says."""
    with closing(sqlite3.connect(copy)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)


@pytest.mark.parametrize("replace", [replaced, deleted_and_copied, deleted, restored])
def test_loses_no_cycle_when_the_history_is_replaced_while_the_worker_runs(
    tmp_path: Path, sqlite_url: str, replace: Callable[[Path, Path], None]
) -> None:
    path, copy = tmp_path / "history.db", tmp_path / "copy.db"
    buffer = WriteBuffer(sqlite_url)
    for minute in range(5):
        buffer.record(cycle(minute, reason="x" * 5000))
    restored(copy, path)
    for minute in range(5, 10):
        buffer.record(cycle(minute, reason="x" * 5000))
    replace(path, copy)
    last = buffer.last_cycle("home")
    assert last is not None, "the state of the last cycle is still known"
    assert last.scheduled_at == NOON + 9 * MINUTE
    for minute in range(10, 20):
        buffer.record(cycle(minute))
    with closing(sqlite3.connect(path)) as there:
        assert there.execute("SELECT count(*) FROM cycles").fetchall() == [(20,)]
        assert there.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    open_history(sqlite_url).close()


def test_of_the_remembered_states_the_last_of_each_quarter_hour_are_kept(
    tmp_path: Path, sqlite_url: str
) -> None:
    buffer = WriteBuffer(sqlite_url)
    for minute in range(13, 18):
        buffer.record(cycle(minute, controller_state={"setpoint_a": minute}))
    open_history(sqlite_url).close()
    (tmp_path / "history.db").unlink()
    buffer.record(cycle(18, controller_state={"setpoint_a": 18}))
    history = open_history(sqlite_url)
    befores = [history.cycle_before("home", NOON + minute * MINUTE) for minute in range(14, 20)]
    states = [one.controller_state for one in befores if one is not None]
    assert states == [{}, {"setpoint_a": 14}, {}, {}, {}, {"setpoint_a": 18}]


def test_a_worker_that_comes_back_goes_on_where_another_has_stopped(locked: Lockable) -> None:
    """Its own last cycle, which waits in its memory, is older and is stored late."""
    url, third = locked
    away, other = WriteBuffer(url), WriteBuffer(url)
    third.execute("BEGIN IMMEDIATE")
    with pytest.raises(HistoryError):
        away.record(cycle(1))
    third.execute("ROLLBACK")
    other.record(cycle(2))
    other.record(cycle(3))
    last = away.last_cycle("home", shared=True)
    assert last is not None
    assert last.scheduled_at == NOON + 3 * MINUTE
    assert open_history(url).has(cycle(1))
    third.execute("BEGIN IMMEDIATE")
    with pytest.raises(HistoryError):
        away.record(cycle(4))
    third.execute("ROLLBACK")
    other.record(cycle(5))
    away.record(cycle(5, site="cabin"))
    last = other.last_cycle("home", shared=True)
    assert last is not None
    assert last.scheduled_at == NOON + 5 * MINUTE


def test_calls_count_where_another_sites_cycle_has_stored_this_one(sqlite_url: str) -> None:
    """Two threads: the one that comes second finds nothing waiting any more."""
    buffer, history = WriteBuffer(sqlite_url), open_history(sqlite_url)
    with buffer._lock, ThreadPoolExecutor() as threads:
        done = threads.submit(buffer.record, cycle(1), calls={"login": 2})
        while not buffer._waiting:
            time.sleep(0.01)
        history.record(buffer._waiting.popleft())
        buffer._lock.release()
        done.result(20)
        buffer._lock.acquire()
    assert history.cloud_calls("home", NOON, NOON + HOUR) == {"login": 2}
    history.close()
