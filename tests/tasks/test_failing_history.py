"""What a cycle goes on with while the history fails."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from easee_load_balancer.control.boost import Boost
from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history.store import History, open_history
from easee_load_balancer.orchestration.worker.offline import offline
from easee_load_balancer.system.settings import Settings
from tasks import history as tasks_history
from tasks.boost import present_boost
from tasks.failures import Failures
from tasks.history import StoredState, in_time, load_state, state_in_memory
from tests.support.control_readings import charger

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of its own."""
    monkeypatch.setenv("EASEE_BALANCER_DATA_FOLDER", str(tmp_path))
    return tmp_path


@contextmanager
def failing(folder: Path) -> Iterator[None]:
    """The history cannot be opened meanwhile."""
    there, away = folder / "history.db", folder / "away.db"
    open_history(Settings().database_url).close()  # all that is in the log goes to the file
    there.rename(away)
    there.mkdir()
    yield
    there.rmdir()
    away.rename(there)


async def in_memory() -> StoredState:
    """What a cycle has that cannot load the state."""
    with pytest.raises(HistoryError):
        await load_state("home")
    return state_in_memory("home")


async def test_a_boost_holds_counts_and_ends_by_itself(folder: Path) -> None:
    boosts = open_history(Settings().database_url).boosts
    asked = Boost.asked(10, "0.5 kWh", "UTC", NOW)
    boosts.begin("home", "a run", asked)
    with offline(NOW):
        await load_state("home")
        with failing(folder):
            past, failures = await in_memory(), Failures()
            boost = await present_boost(past, NOW + MINUTE, charger(10.0), failures)
            assert boost is not None
            assert boost.current_a == 10
            assert "could not be opened" in str(failures)
            past = await in_memory()
            boost = await present_boost(past, NOW + 4 * MINUTE, charger(10.0), failures)
            assert boost is not None
            assert boost.charged_kwh == pytest.approx(6.9 / 15)
            for minute in (9, 13):  # not again once it is over
                past = await in_memory()
                assert not await present_boost(past, NOW + minute * MINUTE, charger(10), failures)
        past = await load_state("home")
        assert past.boost is not None, "nobody could store its end"
        assert not await present_boost(past, NOW + 14 * MINUTE, charger(10.0), failures)
        assert boosts.under_way("home") is None


async def test_after_a_slow_failure_the_rest_of_the_cycle_does_not_ask_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks_history, "_TIMEOUT_S", 0.1)
    monkeypatch.setattr(tasks_history, "_SLOW_S", 0.05)
    monkeypatch.setattr(tasks_history, "_REST_S", 0.5)
    monkeypatch.setattr(History, "requests", lambda *_: time.sleep(0.2))
    asked: list[History] = []
    with offline(NOW):
        with pytest.raises(HistoryError, match="did not respond"):
            await load_state("home")
        with pytest.raises(HistoryError, match="did not respond"):
            await in_time("home", asked.append)
    await in_time("cabin", asked.append)
    assert len(asked) == 1
    time.sleep(0.5)  # noqa: ASYNC251
    await in_time("home", asked.append)
    assert len(asked) == 2
