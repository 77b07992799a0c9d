"""One writer per site: a file lock that ends with its holder, even if that is killed."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from easee_load_balancer.errors import ConfigurationError

_POLL_S = 0.2
_LONGEST_WORD = 200


class SiteBusy(Exception):
    """Another cycle of the site is running."""


class Word:
    """A line in the lock's file: what its holder is doing, for the next one if it is killed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.left = os.pread(descriptor, _LONGEST_WORD, 0).decode(errors="replace")
        """What the last holder left; empty when it came to its end."""

    def leave(self, word: str) -> None:
        """Write it, or nothing where the file cannot be written to."""
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, word.encode(), 0)


@contextmanager
def only_writer(folder: Path, site: str) -> Iterator[Word]:
    """Hold the site's lock. Raises SiteBusy at once when another process or task holds it.

    A lock that is there also works on a disk that is full or read-only. Raises
    ConfigurationError where it cannot be made.
    """
    path = folder / f"site-{site}.lock"
    try:
        descriptor = open_lock(path)
    except OSError as error:
        raise ConfigurationError(
            f"The lock {path} cannot be opened ({error.strerror}). Does the data folder belong to "
            "the user who runs the worker, and may the site's name be a file's name?"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SiteBusy(f"another cycle of '{site}' is still running") from None
        yield Word(descriptor)
    finally:
        os.close(descriptor)


def open_lock(path: Path) -> int:
    """A descriptor to lock; the file is made if it has to be. Raises OSError."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return os.open(path, os.O_RDONLY)


def worker_runs(folder: Path, pool: str) -> bool:
    """Whether a worker of the pool runs on this machine with this data folder."""
    try:
        descriptor = os.open(_pool_path(folder, pool), os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def no_cycle(folder: Path, site: str, within_s: float = 40.0) -> Iterator[None]:
    """Hold the site's lock once the cycle that runs has ended; others are superseded meanwhile.

    Raises SiteBusy when it does not end in time, ConfigurationError as `only_writer` does.
    """
    deadline = time.monotonic() + within_s
    with ExitStack() as until_left:
        while True:
            try:
                until_left.enter_context(only_writer(folder, site))
                break
            except SiteBusy:
                if time.monotonic() > deadline:
                    raise
            time.sleep(_POLL_S)
        yield


def _pool_path(folder: Path, pool: str) -> Path:
    name = hashlib.sha256(pool.encode()).hexdigest()[:16]
    return folder / f"pool-{name}.lock"


class PoolLock:
    """Tells whether other workers of the pool run on this machine; ends with its holder."""

    def __init__(self, folder: Path, pool: str) -> None:
        self._descriptor = os.open(_pool_path(folder, pool), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.alone = True
            """Whether no other worker of the pool was running when this one began."""
        except BlockingIOError:
            self.alone = False
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def release(self) -> None:
        """Leave."""
        os.close(self._descriptor)
