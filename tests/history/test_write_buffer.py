"""Cycles that cannot be written at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history import store as history
from easee_load_balancer.history.store import open_history
from easee_load_balancer.history.write_buffer import WriteBuffer
from tests.support.history import HOUR, MINUTE, NOON, cycle

Lockable = tuple[str, sqlite3.Connection]


@pytest.fixture
def locked(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lockable]:
    """A history, and a connection of another process that can lock it."""
    monkeypatch.setattr(history, "_SQLITE_BUSY_S", 0.1)
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
