"""`easee-balancer up` as a person starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from easee_load_balancer.system.locks import PoolLock
from easee_load_balancer.system.processes import HOST, StartError, free_port
from tests.support.paths import PROJECT
from tests.support.prefect_servers import prepared
from tests.support.waiting import until


@contextmanager
def up(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`up` with that data folder, and its output in `up.log`."""
    port = ("--port", str(free_port()))
    with (folder / "up.log").open("ab") as log:
        started = subprocess.Popen(
            [sys.executable, "-m", "easee_load_balancer.cli", "up", *port],
            cwd=PROJECT,
            env=os.environ | {"EASEE_BALANCER_DATA_FOLDER": str(folder)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def said(folder: Path) -> str:
    return (folder / "up.log").read_text()


def _shared(process: psutil.Process) -> float:
    memory = process.memory_full_info()
    return float(memory.rss - memory.uss)


async def test_up_prints_its_cycles_is_alone_and_leaves_nothing_when_killed(tmp_path: Path) -> None:
    with up(prepared(tmp_path)) as first:
        await until(lambda: "Failed     There is no" in said(tmp_path))
        with up(tmp_path) as second:
            assert second.wait() == 1
        assert f"is already running with {tmp_path}: process {first.pid} (" in said(tmp_path)
        children = psutil.Process(first.pid).children(recursive=True)
        assert [one.name() for one in children] == ["server", "worker"]
        assert all(_shared(one) > 30e6 for one in children)
        first.kill()
        await until(lambda: not any(one.is_running() for one in children))


def test_nothing_imports_prefect_before_up_has_set_its_environment() -> None:
    """Prefect reads it once; another home would be another database."""
    code = "import sys, easee_load_balancer.cli, easee_load_balancer.commands.output; "
    code += "print('prefect' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_up_names_a_worker_that_is_still_running(tmp_path: Path) -> None:
    lock = PoolLock(tmp_path, "home")
    try:
        with up(tmp_path) as started:
            assert started.wait() == 1
    finally:
        lock.release()
    assert f"A worker is already running with {tmp_path}: process {os.getpid()} (" in said(tmp_path)


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        stack = PrefectStack(tmp_path, PROJECT, port)
        with pytest.raises(StartError, match=f"{port} is in use by process {os.getpid()} "), stack:
            pass
