"""Processes that are forked from this one, and so share the memory of what it has imported.

`python -m` imports everything again, in memory of its own: 80 MB for Prefect. A fork copies only
what it changes. It is safe before this process has threads, connections and locks, so the forks
are made first, and wait until they are needed.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from easee_load_balancer.system import ends_with_parent

_POLL_S = 0.05
_M_ARENA_MAX, _ARENAS = -8, 2


def fork_spares(*names: str) -> dict[str, Spare]:
    """A waiting process for each name; top shows 15 characters of it.

    In those processes, this function does not return: SystemExit ends them.
    """
    gc.collect()
    gc.freeze()  # else the next collection changes, and so copies, every page
    spares: dict[str, Spare] = {}
    for name in names:
        reads, writes = os.pipe()
        pid = os.fork()
        if not pid:
            for other in spares.values():
                other.stdin.close()
            os.close(writes)
            _run_when_needed(name, reads)
        os.close(reads)
        spares[name] = Spare(pid, writes)
    return spares


class Spare:
    """A forked process, with the methods of `subprocess.Popen` that its user needs.

    It ends when its standard input is closed, also by the end of this process.
    """

    def __init__(self, pid: int, orders: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdin = os.fdopen(orders, "wb", buffering=0)

    def run(self, module: Sequence[str], log: Path) -> None:
        """Let it run `python -m` that module with its arguments, with its output in that file."""
        self.stdin.write(json.dumps([list(module), str(log)]).encode() + b"\n")

    def poll(self) -> int | None:
        """Its exit code; None while it is running."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended. Raises TimeoutExpired."""
        began_s = time.monotonic()
        while (code := self.poll()) is None:
            if timeout is not None and time.monotonic() - began_s > timeout:
                raise subprocess.TimeoutExpired("", timeout)
            time.sleep(_POLL_S)
        return code

    def terminate(self) -> None:
        """Ask it to end."""
        os.kill(self.pid, signal.SIGTERM)


def _run_when_needed(name: str, orders: int) -> None:
    os.setsid()  # Ctrl-C is for the process at the terminal
    Path("/proc/self/comm").write_text(name)
    os.dup2(orders, sys.stdin.fileno())
    os.close(orders)
    order = _first_line()
    if not order:
        os._exit(0)  # never needed
    module, log = json.loads(order)
    output = os.open(log, os.O_APPEND | os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(output, stream.fileno())
    os.close(output)
    with suppress(AttributeError):  # only of GNU's C library; MALLOC_ARENA_MAX is read too early
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
    sys.argv = ["", *module]
    ends_with_parent.main()
    sys.exit()


def _first_line() -> bytes:
    """The line of the order, without reading on: the module's standard input stays as it is."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(sys.stdin.fileno(), 1)
        if not byte:
            return b""
        line += byte
    return line
