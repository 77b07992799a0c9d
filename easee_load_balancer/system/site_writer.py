"""Who may command a site's devices: one cycle at a time, on one machine or on several.

On one machine a file lock decides. Where the history is in PostgreSQL, so does a lock in the
database (`database_locks.py`). Without that database, a worker that serves its pool alone goes on
with the file; one of several sends nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from easee_load_balancer.errors import ConfigurationError, LockLost
from easee_load_balancer.system import locks
from easee_load_balancer.system.database_locks import (
    DATABASE_LOCKS,
    HeldLock,
    is_shared,
    waiting_lock,
)
from easee_load_balancer.system.locks import PendingCommandRecord, SiteBusy
from easee_load_balancer.system.settings import Settings


class Writer:
    """The right to command a site's devices during a cycle, and the record of what is sent."""

    def __init__(
        self, file: PendingCommandRecord, lock: HeldLock | None = None, *, shared: bool = False
    ) -> None:
        self._file, self._lock, self._shared = file, lock, shared
        self.pending = lock.pending if lock is not None and shared else file.pending
        """What the previous writer was sending when it was killed; empty if it finished."""

    @asynccontextmanager
    async def sending(self, record: str) -> AsyncIterator[None]:
        """Commands are sent within this block. Raises LockLost before any, or TimeoutError."""
        self._file.write(record)
        async with AsyncExitStack() as block:
            if self._lock is not None:
                try:
                    await block.enter_async_context(self._lock.sending(record))
                except LockLost:
                    if self._shared:
                        self._file.write("")
                        raise
            yield

    async def done(self) -> None:
        """The cycle is recorded: what was sent is in the history."""
        self._file.write("")
        if self._lock is not None:
            await self._lock.done()


@asynccontextmanager
async def site_writer(site: str) -> AsyncIterator[Writer]:
    """Be the site's only writer. Raises SiteBusy at once while another cycle is.

    Raises LockLost for one of several workers that cannot reach the database, ConfigurationError
    where the lock's file cannot be opened.
    """
    settings = Settings()
    url, shared = settings.database_url, settings.shared_pool
    if shared and not is_shared(url):
        raise ConfigurationError(
            "EASEE_BALANCER_SHARED_POOL needs a history in PostgreSQL: set "
            "EASEE_BALANCER_HISTORY_URL to the same database on all machines."
        )
    async with AsyncExitStack() as held:
        file = held.enter_context(locks.only_writer(settings.folder, site))
        lock = None
        if is_shared(url):
            try:
                lock = await held.enter_async_context(DATABASE_LOCKS.lock(url, site))
            except LockLost:
                if shared:
                    raise
            else:
                if lock is None:
                    raise SiteBusy(f"another worker is running a cycle of '{site}'")
        yield Writer(file, lock, shared=shared)


@contextmanager
def no_cycle(site: str, within_s: float = 40.0) -> Iterator[None]:
    """Wait for the running cycle to end, then be the site's only writer.

    New cycles are superseded meanwhile. Raises SiteBusy when the running one does not end in time,
    ConfigurationError as `site_writer` does.
    """
    settings = Settings()
    with locks.no_cycle(settings.folder, site, within_s):
        if not is_shared(settings.database_url):
            yield
            return
        with waiting_lock(settings.database_url, site, within_s) as free:
            if not free:
                raise SiteBusy(f"another worker's cycle of '{site}' does not end")
            yield
