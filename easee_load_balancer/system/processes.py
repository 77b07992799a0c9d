"""Child processes that end together with this one, and the processes that are in the way."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from easee_load_balancer.errors import BalancerError
from easee_load_balancer.system.forked import Spare

HOST = "127.0.0.1"

_END_S = 15.0
_LONGEST_COMMAND = 120
_LARGEST_LOG = 5_000_000


class StartError(BalancerError):
    """A required process did not start, or it ended."""


def free_port() -> int:
    """A TCP port on loopback that is free at the moment."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether a server can listen on that port of loopback."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
        return True


def listener_on(port: int) -> str:
    """The process that listens on that TCP port, for a message."""
    for one in psutil.net_connections("tcp"):
        listens = one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port
        if listens and one.pid is not None:
            return _described(psutil.Process(one.pid))
    return "a process of another user"


def users_of(file: Path) -> str:
    """The other processes that have the file open, for a message."""
    found = [_described(one) for one in psutil.process_iter() if _has_open(one, file)]
    return ", ".join(found) or "a process of another user"


def _has_open(process: psutil.Process, file: Path) -> bool:
    with suppress(psutil.Error):
        return process.pid != os.getpid() and str(file) in {
            one.path for one in process.open_files()
        }
    return False


def _described(process: psutil.Process) -> str:
    command = ""
    with suppress(psutil.Error):
        command = shlex.join(process.cmdline())[:_LONGEST_COMMAND]
    return f"process {process.pid} ({command})"


def interrupt_on_signals() -> None:
    """Let SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt, so that all children are ended.

    SIGHUP, sent when the terminal closes, stays ignored after `nohup`.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


class Child:
    """`python -m ...` in its own session, with its output in a log file.

    It ends with its children when `end` is called, and by itself when this process has ended.
    """

    def __init__(
        self,
        name: str,
        module: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        spare: Spare | None = None,
    ) -> None:
        """A spare, if there is one, runs it in this process's environment and folder."""
        self.name = name
        self.log = log
        self._process: subprocess.Popen[bytes] | Spare
        with log.open("ab") as output:
            if spare is not None:
                spare.run(module, log)
                self._process = spare
                return
            self._process = subprocess.Popen(
                [sys.executable, "-m", "easee_load_balancer.system.ends_with_parent", *module],
                stdin=subprocess.PIPE,  # this process's end stays open as long as it lives
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def check(self) -> None:
        """Raise StartError if it is no longer running."""
        if not self.running:
            code = self._process.returncode
            raise StartError(f"The {self.name} ended with code {code}; see {self.log}.")

    def rotate_log(self) -> None:
        """Keep the log small: a large one becomes `*.log.1`, in place of the one before.

        The file is copied and emptied, because the process keeps it open. On a full disk, the copy
        is shorter.
        """
        with suppress(OSError):  # the log was deleted, or the copy does not fit
            if self.log.stat().st_size > _LARGEST_LOG:
                try:
                    shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
                finally:
                    os.truncate(self.log, 0)

    def end(self) -> None:
        """Terminate it, then kill what is left of its session."""
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._signal_all(signal.SIGKILL)
                self._process.wait()
        self._signal_all(signal.SIGKILL)
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _signal_all(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return
