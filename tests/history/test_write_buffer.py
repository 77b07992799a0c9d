"""Cycles that the history does not take at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history import store as history
from easee_load_balancer.history.store import Cycle, open_history
from easee_load_balancer.history.write_buffer import WriteBuffer

Lockable = tuple[str, sqlite3.Connection]
NOON = datetime(2026, 6, 21, 12, 0, tzinfo=UTC)


def cycle(minute: int) -> Cycle:
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


@pytest.fixture
def locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, sqlite3.Connection]]:
    """A history, and a connection of another process that can lock it."""
    monkeypatch.setattr(history, "_SQLITE_BUSY_S", 0.1)
    url = f"sqlite:///{tmp_path / 'history.db'}"
    WriteBuffer(url).record(cycle(0))
    other = sqlite3.connect(tmp_path / "history.db", isolation_level=None)
    yield url, other
    other.close()
    open_history(url).close()


def test_what_could_not_be_written_is_written_later(locked: Lockable) -> None:
    url, other = locked
    journal = WriteBuffer(url)
    other.execute("BEGIN IMMEDIATE")
    for minute in (1, 2):
        with pytest.raises(HistoryError, match=f"locked.*works again: {minute}"):
            journal.record(cycle(minute))
    last = journal.last_cycle("home")
    assert last is not None
    assert last.scheduled_at == NOON + timedelta(minutes=2)
    other.execute("ROLLBACK")
    journal.record(cycle(3))
    ends = NOON + timedelta(hours=1)
    kept = open_history(url).cycles("home", NOON, ends, ["scheduled_at"])["scheduled_at"]
    assert [at.minute for at in kept] == [0, 1, 2, 3]


def test_what_others_recorded_is_seen(locked: Lockable) -> None:
    url, _ = locked
    journal, another = WriteBuffer(url), WriteBuffer(url)
    journal.record(cycle(1))
    another.record(cycle(2))
    last = journal.last_cycle("home")
    assert last is not None
    assert last.scheduled_at == NOON + timedelta(minutes=2)


def test_a_history_that_cannot_be_opened_leaves_what_is_known(tmp_path: Path) -> None:
    journal = WriteBuffer(f"sqlite:///{tmp_path / 'missing' / 'history.db'}")
    with pytest.raises(HistoryError, match="could not be opened"):
        journal.last_cycle("home")
    assert journal.last_known("home") is None
    with pytest.raises(HistoryError):
        journal.record(cycle(1))
    known = journal.last_known("home")
    assert known is not None
    assert known is journal.last_cycle("home")
