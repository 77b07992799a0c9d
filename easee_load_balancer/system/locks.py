"""File locks that end with their holder, even if that is killed: one writer per site."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.system.stand_in import is_unwritable, stand_in

_POLL_S = 0.2
_LONGEST_RECORD = 2000


class FileLock:
    """A lock on a file, created if needed; on a full or read-only disk, on a file in memory.

    Raises OSError where the file cannot be opened.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        flags = os.O_RDWR | (os.O_CREAT if create else 0)
        try:
            self.descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            if not is_unwritable(error):
                raise
            try:  # a lock needs no writing
                self.descriptor = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                self.descriptor = os.open(stand_in(path), flags | os.O_NOFOLLOW, 0o600)

    def __enter__(self) -> FileLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def acquire(self) -> bool:
        """Take the lock for this holder alone; False at once while another holds it."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def share(self) -> None:
        """Hold the lock together with others, in place of holding it alone."""
        fcntl.flock(self.descriptor, fcntl.LOCK_SH)

    def close(self) -> None:
        """Release the lock."""
        os.close(self.descriptor)


class SiteBusy(Exception):
    """Another cycle of the site is running."""


class PendingCommandRecord:
    """A line in the site's lock file: the command its holder is sending, in case it is killed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.pending = os.pread(descriptor, _LONGEST_RECORD, 0).decode(errors="replace")
        """What the previous holder was sending when it was killed; empty if it finished."""

    def write(self, record: str) -> None:
        """Replace the line; skipped where the file cannot be written."""
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, record.encode(), 0)


@contextmanager
def only_writer(folder: Path, site: str) -> Iterator[PendingCommandRecord]:
    """Hold the site's lock. Raises SiteBusy at once while another process or task holds it.

    Raises ConfigurationError where the lock file cannot be opened.
    """
    path = folder / f"site-{site}.lock"
    try:
        lock = FileLock(path)
    except OSError as error:
        raise ConfigurationError(
            f"The lock {path} cannot be opened ({error.strerror}). Check that the user who runs "
            "the worker owns the data folder and that the site's name is a valid file name."
        ) from error
    with lock:
        if not lock.acquire():
            raise SiteBusy(f"another cycle of '{site}' is still running")
        yield PendingCommandRecord(lock.descriptor)


@contextmanager
def no_cycle(folder: Path, site: str, within_s: float = 40.0) -> Iterator[None]:
    """Wait for the running cycle to end, then hold the site's lock; new cycles are superseded.

    Raises SiteBusy when it does not end in time, ConfigurationError as `only_writer` does.
    """
    deadline = time.monotonic() + within_s
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(only_writer(folder, site))
                break
            except SiteBusy:
                if time.monotonic() > deadline:
                    raise
            time.sleep(_POLL_S)
        yield


class PoolLock:
    """Held by each worker of the pool on this machine while it runs."""

    def __init__(self, folder: Path, pool: str) -> None:
        path = pool_lock(folder, pool)
        self._lock, self._first = FileLock(path), FileLock(path.with_suffix(".first"))
        self.alone = self._first.acquire()  # no check ever holds this one
        """Whether no other worker of the pool was running when this one started."""
        self._first.share()
        self._lock.share()

    def release(self) -> None:
        """The worker ends."""
        self._lock.close()
        self._first.close()


def worker_runs(folder: Path, pool: str) -> bool:
    """Whether a worker of the pool runs on this machine with this data folder."""
    try:
        with FileLock(pool_lock(folder, pool), create=False) as lock:
            return not lock.acquire()
    except OSError:
        return False


def pool_lock(folder: Path, pool: str) -> Path:
    """The file that each worker of the pool keeps open."""
    name = hashlib.sha256(pool.encode()).hexdigest()[:16]
    return folder / f"pool-{name}.lock"
