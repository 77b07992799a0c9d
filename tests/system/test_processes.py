"""Children end with their parent, and what is in the way is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from easee_load_balancer.system import processes
from easee_load_balancer.system.processes import Child, is_free, listener_on, users_of
from tests.support.paths import PROJECT
from tests.support.waiting import until

PARENT = """
import os, signal, sys, time
from pathlib import Path
from easee_load_balancer.system.forked import fork_spares
from easee_load_balancer.system.processes import Child, interrupt_on_signals

spares = fork_spares("needed", "spare") if sys.argv[2] == "forked" else {}
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup would let the tests ignore it
interrupt_on_signals()
folder = Path(sys.argv[1])
spare = spares.get("needed")
child = Child("stubborn", ["stubborn", "yes"], os.environ, folder, folder / "log", spare)
try:
    print(child.pid, flush=True)
    time.sleep(600)
finally:
    child.end()
"""
STUBBORN = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("started", *sys.argv, flush=True)
time.sleep(600)
"""


@contextmanager
def a_parent(folder: Path, how: str) -> Iterator[subprocess.Popen[str]]:
    (folder / "stubborn.py").write_text(STUBBORN)
    command = [sys.executable, "-c", PARENT, str(folder), how]
    env = os.environ | {"PYTHONPATH": str(folder)}
    with subprocess.Popen(
        command, cwd=PROJECT, env=env, stdout=subprocess.PIPE, text=True
    ) as parent:
        try:
            yield parent
        finally:
            parent.kill()


@pytest.mark.parametrize("how", ["executed", "forked"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
async def test_children_and_theirs_end_with_the_parent(
    number: int, how: str, tmp_path: Path
) -> None:
    with a_parent(tmp_path, how) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        spares = [one for one in psutil.Process(parent.pid).children() if one != child]
        await until(lambda: all(one.name() == "spare" for one in spares))
        assert len(spares) == (how == "forked")
        grandchildren = await until(child.children)
        await until(lambda: "stubborn.py yes" in (tmp_path / "log").read_text())
        parent.send_signal(number)
        await until(lambda: not any(one.is_running() for one in (child, *spares, *grandchildren)))


async def test_a_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("easee_load_balancer.system.processes._LARGEST_LOG", 1000)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "chatty.py").write_text(
        "import time\nwhile True: print('x' * 99, flush=True); time.sleep(0.001)"
    )
    child = Child("chatty", ["chatty"], os.environ, PROJECT, tmp_path / "chatty.log")
    old = tmp_path / "chatty.log.1"
    try:

        def rotated() -> bool:
            child.rotate_log()
            return old.exists() and child.log.stat().st_size > 500

        await until(rotated, every_s=0.01)
    finally:
        child.end()
    assert set(child.log.read_text()) == {"x", "\n"}
    assert old.stat().st_size > 1000


def test_the_process_behind_a_port_and_a_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "held"
    file.touch()
    holder = "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); f = open(sys.argv[1])"
    holder += "; print(s.getsockname()[1], flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        assert f"process {process.pid} (" in listener_on(port)
        assert "socket.create_server" in listener_on(port)
        assert f"process {process.pid} (" in users_of(file)
        assert not is_free(port)
        process.communicate()
    assert is_free(port)


def test_a_log_that_cannot_be_copied_or_was_deleted_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_LARGEST_LOG", 10)
    log = tmp_path / "calendar.log"
    child = Child("calendar", ["calendar"], os.environ, PROJECT, log)
    try:
        child._process.wait(20)
        child.rotate_log()
        copy = tmp_path / "calendar.log.1"
        assert b"January" in copy.read_bytes()
        assert not log.read_bytes()
        copy.unlink()
        copy.mkdir()  # as bad as a full disk
        log.write_text("more than ten bytes")
        child.rotate_log()
        assert not log.read_bytes()
        log.unlink()
        child.rotate_log()
    finally:
        child.end()
