"""One writer per site: a file lock that ends with its holder, even if that is killed."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from easee_load_balancer.errors import ConfigurationError


class SiteBusy(Exception):
    """Another cycle of the site is running."""


@contextmanager
def only_writer(folder: Path, site: str) -> Iterator[None]:
    """Hold the site's lock. Raises SiteBusy at once when another process or task holds it.

    Raises ConfigurationError for a folder that cannot be written to.
    """
    path = folder / f"site-{site}.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
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
        yield
    finally:
        os.close(descriptor)


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
