"""A Redis of the tests' own, where one is installed."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from easee_load_balancer.system.processes import HOST, free_port

_PROGRAM = "redis-server"
_STARTS_S = 60.0


class NotInstalled(Exception):
    """There is no Redis that could be started here."""


@dataclass(slots=True)
class RedisServer:
    """A server that keeps nothing over a restart."""

    folder: Path
    options: tuple[str, ...]
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        listen = ("--bind", HOST, "--port", str(self.port), "--dir", str(self.folder))
        self._process = subprocess.Popen(
            [_PROGRAM, *listen, *self.options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _STARTS_S
        while True:
            with suppress(OSError), socket.create_connection((HOST, self.port), timeout=1):
                return
            if time.monotonic() > deadline:
                raise TimeoutError("redis-server does not start")
            time.sleep(0.05)

    def kill(self) -> None:
        """End at once, as in a power cut."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def hang(self, *, on: bool) -> None:
        """Stop answering without closing any connection, or continue."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if on else signal.SIGCONT)

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
    server = RedisServer(folder, options)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)
