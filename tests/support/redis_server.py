"""A Redis of the tests' own, where one is installed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from easee_load_balancer.system.processes import HOST
from tests.support.local_server import LocalServer, NotInstalled

_PROGRAM = "redis-server"


@dataclass(slots=True)
class RedisServer(LocalServer):
    """A Redis with these options."""

    options: tuple[str, ...] = ()

    def command(self) -> tuple[str, ...]:
        """The program and its options."""
        listen = ("--bind", HOST, "--port", str(self.port), "--dir", str(self.folder))
        return _PROGRAM, *listen, *self.options

    @property
    def running(self) -> bool:
        """Whether it has been started and not killed."""
        return self._process is not None

    @property
    def process(self) -> psutil.Process:
        """The running process."""
        assert self._process is not None
        return psutil.Process(self._process.pid)


@contextmanager
def running_redis(*options: str) -> Iterator[RedisServer]:
    """A server on a free port of loopback, with these options. Raises NotInstalled."""
    if shutil.which(_PROGRAM) is None:
        raise NotInstalled("Redis is not installed")
    folder = Path(tempfile.mkdtemp(prefix="redis-"))
    server = RedisServer(folder, options=options)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)
