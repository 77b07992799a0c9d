"""One writer per site across machines: advisory locks in the history's PostgreSQL database.

All locks of a process are held by one connection and end with it. A lock alone is not enough: a
process that is cut off from the database learns that its lock is gone only when it asks. Therefore:

1. Before commands are sent, the record of them is committed by the connection that holds the lock.
   That this succeeds proves that the lock was held at that moment.
2. From then on, sending may take `SEND_S` by a clock that also counts while the machine sleeps.
   The kernel drops what of it is not acknowledged after `UNACKNOWLEDGED_S`.
3. A worker that gets the lock and finds another's record, younger than `SETTLED_S` by the
   database's own clock, leaves the site alone.

So no command of a former holder is still on its way when the next one sends, whatever ended the
former's lock: its death, a cut network, an administrator or a restart of the database. Keep-alives
only decide how soon the next one may begin: the server notices a silent connection after 25 s.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, LiteralString
from uuid import uuid4

from easee_load_balancer.errors import LockLost
from easee_load_balancer.system.silence import CLIENT_SIDE, SERVER_SIDE

if TYPE_CHECKING:
    import psycopg

SEND_S = 15.0
UNACKNOWLEDGED_S = 8.0
SETTLED_S = SEND_S + UNACKNOWLEDGED_S + 2
"""2 s for clocks that run differently."""

_ANSWER_S = 4.0
"""How long the database may take to answer; the charger is waiting meanwhile."""
_AGAIN_S = 2.0
"""This long after a failure, nobody else tries to connect."""
_CLIENT_SIDE: dict[str, int | str] = {
    **CLIENT_SIDE,
    "connect_timeout": 4,
    "application_name": "easee-balancer locks",
    # the same at the other end, so that the lock of a silent client is released
    "options": " ".join(f"-c {name}={value}" for name, value in SERVER_SIDE.items()),
}
_TABLES: tuple[LiteralString, ...] = (
    "CREATE TABLE IF NOT EXISTS pending_commands"
    " (site text PRIMARY KEY, record text, owner text, began_at timestamptz)",
    "CREATE TABLE IF NOT EXISTS database_id (one int PRIMARY KEY CHECK (one = 1), id text)",
    "CREATE TABLE IF NOT EXISTS notes (name text PRIMARY KEY, note text)",
)
_OWNER = str(uuid4())
"""This process."""


def is_shared(url: str) -> bool:
    """Whether the history's URL is that of a database that several machines can use."""
    return url.startswith("postgres")


class HeldLock:
    """A site's lock in the database, for the length of a cycle."""

    def __init__(self, session: _Session, site: str) -> None:
        self._session, self._site = session, site
        self.pending = ""
        """What the previous holder was sending when it ended; empty if it finished."""
        self._recorded = self._refused = False

    async def take(self) -> bool:
        """Take the lock; False while another holds it, or may still be sending."""
        got = await self._session.ask("SELECT pg_try_advisory_lock(%(key)s)", key=_key(self._site))
        if got != (True,):
            self._refused = True
            return False
        # a statement of its own: what it sees is not older than the lock
        left = await self._session.ask(
            "SELECT record, owner, extract(epoch FROM clock_timestamp() - began_at)::float"
            " FROM pending_commands WHERE site = %(site)s AND began_at IS NOT NULL",
            site=self._site,
        )
        if left is None:
            return True
        self.pending, owner, age_s = left
        self._recorded = True
        return owner == _OWNER or not 0 <= age_s < SETTLED_S

    @asynccontextmanager
    async def sending(self, record: str) -> AsyncIterator[None]:
        """Prove that the lock is held, store the record, and limit the time within the block.

        Raises LockLost before anything is sent, or TimeoutError.
        """
        until_s = _now_s() + SEND_S
        await self._session.ask(
            "INSERT INTO pending_commands VALUES (%(site)s, %(record)s, %(owner)s,"
            " clock_timestamp()) ON CONFLICT (site) DO UPDATE SET record = excluded.record,"
            " owner = excluded.owner, began_at = excluded.began_at",
            site=self._site,
            record=record,
            owner=_OWNER,
        )
        self._recorded = True
        left_s = until_s - _now_s()
        if left_s <= 0:
            raise LockLost("The machine stood still between asking and sending: nothing was sent.")
        async with asyncio.timeout(left_s):
            yield

    async def done(self) -> None:
        """Nothing is on its way any more."""
        if self._recorded:
            with suppress(LockLost):  # then the next holder waits for a moment
                await self._session.ask(
                    "UPDATE pending_commands SET began_at = NULL, record = ''"
                    " WHERE site = %(site)s",
                    site=self._site,
                )

    async def release(self) -> None:
        """Release the lock."""
        if self._refused:
            return
        with suppress(LockLost):
            await self._session.ask("SELECT pg_advisory_unlock(%(key)s)", key=_key(self._site))


class DatabaseLocks:
    """The locks of this process."""

    def __init__(self) -> None:
        self.failing = False
        """Whether the database did not answer the last time."""
        self._sessions: dict[str, _Session] = {}
        self._opening = asyncio.Lock()
        self._failed_s: dict[str, float] = {}
        self._users = 0

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Keep the connection open between cycles; the last user closes it."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                sessions, self._sessions = self._sessions, {}
                for session in sessions.values():
                    await session.close()

    @asynccontextmanager
    async def lock(self, url: str, site: str) -> AsyncIterator[HeldLock | None]:
        """Hold the site's lock; None while another process holds it or may still be sending.

        Raises LockLost while the database cannot be reached.
        """
        async with self.held():
            held = HeldLock(await self._session(url), site)
            try:
                yield held if await held.take() else None
            finally:  # also where the cycle is cancelled while it asks
                await asyncio.shield(held.release())

    async def database_id(self, url: str, otherwise: str) -> str:
        """What the database is called among all others; `otherwise` if it has no name yet.

        Raises LockLost.
        """
        async with self.held():
            session = await self._session(url)
            await session.ask(
                "INSERT INTO database_id VALUES (1, %(id)s) ON CONFLICT DO NOTHING", id=otherwise
            )
            row = await session.ask("SELECT id FROM database_id")
        return str(row[0]) if row else otherwise

    async def note(self, url: str, name: str) -> str | None:
        """The note of that name, whichever process kept it. Raises LockLost."""
        async with self.held():
            session = await self._session(url)
            row = await session.ask("SELECT note FROM notes WHERE name = %(name)s", name=name)
        return None if row is None else str(row[0])

    async def keep_note(self, url: str, name: str, note: str) -> None:
        """Keep that in the database, where it survives this machine. Raises LockLost."""
        async with self.held():
            session = await self._session(url)
            await session.ask(
                "INSERT INTO notes VALUES (%(name)s, %(note)s)"
                " ON CONFLICT (name) DO UPDATE SET note = excluded.note",
                name=name,
                note=note,
            )

    async def _session(self, url: str) -> _Session:
        async with self._opening:
            known = self._sessions.get(url)
            if known is not None and known.is_open:
                return known
            if time.monotonic() - self._failed_s.get(url, -_AGAIN_S) < _AGAIN_S:
                raise _unreachable("it has just failed")
            try:
                session = self._sessions[url] = await _Session.open(self, url)
            except LockLost:
                self._failed_s[url] = time.monotonic()
                self.failing = True
                raise
            self.failing = False
            return session


class _Session:
    """One connection; what it holds is lost when it fails once."""

    def __init__(self, locks: DatabaseLocks, connection: psycopg.AsyncConnection) -> None:
        self._locks, self._connection = locks, connection
        self.is_open = True
        self._tasks: set[asyncio.Task[Any]] = set()

    @classmethod
    async def open(cls, locks: DatabaseLocks, url: str) -> _Session:
        """A new connection, and the tables where there are none. Raises LockLost."""
        import psycopg  # only where it is needed

        try:
            async with asyncio.timeout(_ANSWER_S + 1):
                connection = await psycopg.AsyncConnection.connect(_conninfo(url), autocommit=True)
                for table in _TABLES:
                    with suppress(psycopg.errors.UniqueViolation):  # another is creating it
                        await connection.execute(table)
        except (psycopg.Error, OSError, TimeoutError) as error:
            raise _unreachable(error) from error
        return cls(locks, connection)

    async def ask(self, query: LiteralString, **values: str | int) -> tuple[Any, ...] | None:
        """The first row. A cycle that is cancelled meanwhile does not break the connection.

        Raises LockLost, from then on every time.
        """
        if not self.is_open:
            raise _unreachable("the connection has ended")
        task = asyncio.create_task(self._ask(query, values))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _ask(
        self, query: LiteralString, values: dict[str, str | int]
    ) -> tuple[Any, ...] | None:
        import psycopg

        answer = asyncio.ensure_future(self._execute(query, values))
        if not (await asyncio.wait({answer}, timeout=_ANSWER_S))[0]:
            self._hang_up()
        try:
            return await answer
        except (psycopg.Error, OSError) as error:
            self._locks.failing = True
            await self.close()
            raise _unreachable(error) from error

    async def _execute(
        self, query: LiteralString, values: dict[str, str | int]
    ) -> tuple[Any, ...] | None:
        cursor = await self._connection.execute(query, values)
        return await cursor.fetchone() if cursor.description else None

    def _hang_up(self) -> None:
        """Fail what waits for an answer at once; psycopg would ask the server to cancel it."""
        with suppress(OSError), socket.socket(fileno=os.dup(self._connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        """Close the connection, which releases all locks."""
        self.is_open = False
        await self._connection.close()


@contextmanager
def waiting_lock(url: str, site: str, within_s: float) -> Iterator[bool]:
    """For a command: wait for the site's lock and hold it; False if it is not free in time.

    True also where the database cannot be reached: nobody can be waited for.
    """
    import psycopg

    try:
        connection = psycopg.connect(_conninfo(url), autocommit=True)
    except (psycopg.Error, LockLost):
        yield True
        return
    deadline_s, free = time.monotonic() + within_s, False
    with connection:
        while not free and time.monotonic() < deadline_s:
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", [_key(site)]).fetchone()
            free = row == (True,)
            time.sleep(0 if free else 0.2)
        yield free


def _key(site: str) -> int:
    """The number of the site's lock: 64 bits with a sign."""
    name = f"easee-balancer/{site}".encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:8], signed=True)


def _conninfo(url: str) -> str:
    """The history's URL as the history reads it, for PostgreSQL's library, with our time-outs.

    That library's own reader takes fewer passwords, and repeats parts of them in its messages.
    Raises LockLost.
    """
    from psycopg.conninfo import make_conninfo
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url).set(drivername="postgresql+psycopg")
    except (ValueError, ArgumentError):
        raise _unreachable("EASEE_BALANCER_HISTORY_URL is not valid") from None
    _, options = parsed.get_dialect()().create_connect_args(parsed)
    return make_conninfo(**{**options, **_CLIENT_SIDE})


def _now_s() -> float:
    """A clock that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _unreachable(cause: object) -> LockLost:
    said, _, _ = str(cause).partition("\n")
    return LockLost(
        "The database that says which worker may command the charger does not answer "
        f"({said or type(cause).__name__}). Check it and the network."
    )


DATABASE_LOCKS = DatabaseLocks()
"""Those of this process."""
