"""Who may command a site's devices, with locks in a real PostgreSQL database.

Machines are stood in for by data folders and by `DatabaseLocks` of their own; a network by a relay
that stops passing anything on.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from easee_load_balancer.errors import ConfigurationError, LockLost
from easee_load_balancer.system import database_locks, site_writer
from easee_load_balancer.system.database_locks import DatabaseLocks, HeldLock
from easee_load_balancer.system.locks import SiteBusy
from tests.support.postgres import Postgres


@pytest.fixture
def url(postgres: Postgres) -> str:
    """An empty database."""
    return postgres.empty_database()


@pytest.mark.parametrize("password", ["se%cret", "se/cret", "se cret", "secret"])
async def test_no_message_contains_a_part_of_the_password(password: str) -> None:
    url = f"postgresql://balancer:{password}@127.0.0.1:1/history"
    with pytest.raises(LockLost, match="Connection refused") as error:
        async with DatabaseLocks().lock(url, "home"):
            pass
    assert "cret" not in str(error.value)


def test_an_invalid_address_is_named_without_its_password() -> None:
    with pytest.raises(LockLost, match="EASEE_BALANCER_HISTORY_URL is not valid") as error:
        database_locks._conninfo("postgresql://balancer:secret@host:port/history")
    assert "secret" not in str(error.value)


class Relay:
    """Passes bytes on to the database, until its network is cut: then nothing, in silence."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._url = parts
        self._cut = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        login = self._url.netloc.rpartition("@")[0]
        self.url = self._url._replace(netloc=f"{login}@127.0.0.1:{port}").geturl()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """From now on, nothing arrives any more, in either direction."""
        self._cut.set()

    async def _connected(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, forth = await asyncio.open_connection(*self._target)
        for reader, writer in ((near, forth), (far, back)):
            task = asyncio.create_task(self._pass_on(reader, writer))
            self._tasks.add(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if not self._cut.is_set():
                    writer.write(data)
        finally:
            if not self._cut.is_set():
                writer.close()


async def is_free(locks: DatabaseLocks, url: str, site: str = "home") -> bool:
    """Whether the site's lock can be taken there."""
    async with locks.lock(url, site) as held:
        return held is not None


def owned_by_another(url: str) -> None:
    """Make the pending commands those of another process, as all tests run in one."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE pending_commands SET owner = 'another process'")


async def test_second_writer_is_refused_until_the_first_ends(url: str) -> None:
    first, second = DatabaseLocks(), DatabaseLocks()
    async with first.held(), second.held():
        async with first.lock(url, "home") as held:
            assert held is not None
            assert [await is_free(second, url), await is_free(second, url, "cabin")] == [0, 1]
        assert await is_free(second, url)
    assert await is_free(DatabaseLocks(), url)


async def test_the_next_writer_finds_what_a_killed_one_was_sending(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = DatabaseLocks(), DatabaseLocks()
    async with first.held(), second.held():
        async with first.lock(url, "home") as held:
            assert held is not None
            async with held.sending("16 A"):
                pass
        owned_by_another(url)
        assert not await is_free(second, url)  # it may still be on its way
        monkeypatch.setattr(database_locks, "SETTLED_S", 0.0)
        async with second.lock(url, "home") as held:
            assert held is not None
            assert held.pending == "16 A"
            await held.done()
        monkeypatch.undo()
        async with first.lock(url, "home") as held:
            assert held is not None
            assert held.pending == ""


async def test_a_command_that_takes_too_long_is_given_up_before_another_may_begin(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert database_locks.SEND_S + database_locks.UNACKNOWLEDGED_S < database_locks.SETTLED_S
    monkeypatch.setattr(database_locks, "SEND_S", 0.2)
    locks = DatabaseLocks()
    async with locks.held(), locks.lock(url, "home") as held:
        assert held is not None
        with pytest.raises(TimeoutError):
            async with held.sending("16 A"):
                await asyncio.sleep(60)


async def test_a_machine_that_stood_still_sends_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = False
    locks = DatabaseLocks()
    clock = iter([0.0, database_locks.SEND_S])
    async with locks.held(), locks.lock(url, "home") as held:
        assert held is not None
        monkeypatch.setattr(database_locks, "_now_s", lambda: next(clock))
        with pytest.raises(LockLost, match="stood still"):
            async with held.sending("16 A"):
                sent = True
    assert not sent


async def test_a_worker_whose_network_is_cut_sends_nothing_once_another_has_taken_over(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = False
    first, second = DatabaseLocks(), DatabaseLocks()
    async with Relay(url) as relay, second.held(), AsyncExitStack() as cycle:
        await cycle.enter_async_context(first.held())
        held = await cycle.enter_async_context(first.lock(relay.url, "home"))
        assert held is not None
        relay.cut()
        assert not await is_free(second, url)  # the database has not noticed yet
        _end_silent_sessions(url)  # as its keep-alives do after 25 s
        async with second.lock(url, "home") as other:
            assert other is not None
            monkeypatch.setattr(database_locks, "_ANSWER_S", 0.5)
            with pytest.raises(LockLost):
                async with held.sending("16 A"):
                    sent = True
            monkeypatch.undo()
            async with other.sending("6 A"):
                pass
    assert not sent
    assert first.failing


def _end_silent_sessions(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        query = "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory'"
        assert connection.execute(query).fetchall() == [(True,)]


async def test_the_database_is_to_notice_a_silent_client_within_25_s(url: str) -> None:
    locks = DatabaseLocks()
    async with locks.held(), locks.lock(url, "home"):
        [session] = locks._sessions.values()
        wanted = {"tcp_keepalives_idle": 10, "tcp_keepalives_interval": 5}
        wanted |= {"tcp_keepalives_count": 3, "tcp_user_timeout": 15000}
        rows = {
            name: await session.ask("SELECT current_setting(%(name)s)", name=name)
            for name in wanted
        }
    assert {name: int(row[0]) for name, row in rows.items() if row} == wanted


async def test_a_cancelled_cycle_leaves_no_lock(url: str) -> None:
    locks, other = DatabaseLocks(), DatabaseLocks()

    async def cycle() -> None:
        async with locks.lock(url, "home"):
            await asyncio.sleep(60)

    async with locks.held(), other.held():
        for delay_s in (0.0, 0.001, 0.003, 0.01, 0.1):
            task = asyncio.create_task(cycle())
            await asyncio.sleep(delay_s)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            assert await is_free(other, url)
        assert not locks.failing


async def test_a_database_keeps_the_first_name_that_it_was_given(url: str) -> None:
    assert await DatabaseLocks().database_id(url, "one") == "one"
    assert await DatabaseLocks().database_id(url, "two") == "one"


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A data folder."""
    monkeypatch.setenv("EASEE_BALANCER_DATA_FOLDER", str(tmp_path))
    return monkeypatch


async def sends(record: str) -> str:
    """What a cycle of `home` does that has something to send."""
    sent = "nothing"
    try:
        async with site_writer.site_writer("home") as writer, writer.sending(record):
            sent = record
    except LockLost:
        return f"{sent}, no lock"
    return sent


async def test_alone_a_worker_goes_on_without_the_database_together_it_sends_nothing(
    worker: pytest.MonkeyPatch,
) -> None:
    worker.setenv("EASEE_BALANCER_HISTORY_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert await sends("16 A") == "16 A"
    worker.setenv("EASEE_BALANCER_SHARED_POOL", "true")
    assert await sends("16 A") == "nothing, no lock"
    worker.delenv("EASEE_BALANCER_HISTORY_URL")
    with pytest.raises(ConfigurationError, match="needs a history in PostgreSQL"):
        await sends("16 A")


async def test_the_pending_command_of_another_machine_comes_from_the_database(
    worker: pytest.MonkeyPatch, url: str, tmp_path: Path
) -> None:
    worker.setenv("EASEE_BALANCER_HISTORY_URL", url)
    worker.setenv("EASEE_BALANCER_SHARED_POOL", "true")
    assert await sends("16 A") == "16 A"
    worker.setattr(database_locks, "SETTLED_S", 0.0)
    worker.setenv("EASEE_BALANCER_DATA_FOLDER", str(tmp_path / "another machine"))
    async with site_writer.site_writer("home") as writer:
        assert writer.pending == "16 A"
        with pytest.raises(SiteBusy):
            async with site_writer.site_writer("home"):
                pass
        await writer.done()
    async with site_writer.site_writer("home") as writer:
        assert writer.pending == ""


async def test_a_command_keeps_cycles_of_all_machines_away(
    worker: pytest.MonkeyPatch, url: str
) -> None:
    worker.setenv("EASEE_BALANCER_HISTORY_URL", url)
    with site_writer.no_cycle("home"):
        assert not await is_free(DatabaseLocks(), url)
    locks = DatabaseLocks()
    async with locks.held(), locks.lock(url, "home") as held:
        assert isinstance(held, HeldLock)
        with pytest.raises(SiteBusy), site_writer.no_cycle("home", within_s=0.3):
            pass
