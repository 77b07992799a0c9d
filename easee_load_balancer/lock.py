"""One writer per site: a file lock that ends with its holder, even if that is killed."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from easee_load_balancer.errors import ConfigurationError

_LONGEST_WORD = 100


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


class PoolLock:
    """Tells whether other workers of the pool run on this machine; ends with its holder."""

    def __init__(self, folder: Path, pool: str) -> None:
        name = hashlib.sha256(pool.encode()).hexdigest()[:16]
        self._descriptor = os.open(folder / f"pool-{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
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
