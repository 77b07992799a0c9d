"""A server of the tests' own: another program, as a process on a free port of loopback."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from easee_load_balancer.system.processes import HOST, free_port

_STARTS_S = 60.0


class NotInstalled(Exception):
    """There is no such program that could be started here."""


@dataclass(slots=True)
class LocalServer:
    """A server that keeps nothing over a restart."""

    folder: Path
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    def command(self) -> tuple[str, ...]:
        """The program and its options."""
        raise NotImplementedError

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        self._process = subprocess.Popen(
            self.command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _STARTS_S
        while True:
            with suppress(OSError), socket.create_connection((HOST, self.port), timeout=1):
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.command()[0]} does not start")
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
