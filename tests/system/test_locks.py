"""The lock that lets one cycle of a site run at a time."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.system.locks import (
    FileLock,
    PoolLock,
    SiteBusy,
    no_cycle,
    only_writer,
    pool_lock,
    worker_runs,
)
from tests.support.paths import PROJECT
from tests.support.waiting import LONGEST_S

HOLDER = """
import sys
from pathlib import Path
from easee_load_balancer.system.locks import only_writer
from tests.support.paths import PROJECT

with only_writer(Path(sys.argv[1]), "home"):
    print("held", flush=True)
    sys.stdin.read()
"""


def is_free(folder: Path, site: str = "home") -> bool:
    """Whether the site's lock can be taken."""
    try:
        with only_writer(folder, site):
            return True
    except SiteBusy:
        return False


def test_second_writer_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    with only_writer(tmp_path, "home"):
        assert [is_free(tmp_path), is_free(tmp_path), is_free(tmp_path, "cabin")] == [0, 0, 1]
        assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}
    assert is_free(tmp_path)


def test_lock_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wrong"), only_writer(tmp_path, "home"):
        raise ValueError("wrong")
    assert is_free(tmp_path)


def test_lock_is_free_after_its_holder_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert not is_free(tmp_path)
        holder.kill()
        holder.wait(timeout=60)
    assert is_free(tmp_path)


def test_unusable_folder_is_a_configuration_error(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigurationError, match="cannot be opened"),
        only_writer(tmp_path / "missing", "home"),
    ):
        pass


def test_worker_is_seen_while_it_runs(tmp_path: Path) -> None:
    assert not worker_runs(tmp_path, "home")
    first, second = PoolLock(tmp_path, "home"), PoolLock(tmp_path, "home")
    assert worker_runs(tmp_path, "home")
    assert not worker_runs(tmp_path, "cottage")
    first.release()
    assert worker_runs(tmp_path, "home")
    second.release()
    assert not worker_runs(tmp_path, "home")


def test_a_worker_that_starts_during_a_check_is_alone(tmp_path: Path) -> None:
    """A check holds the pool's lock for a moment to see whether a worker has it."""
    with FileLock(pool_lock(tmp_path, "home")) as check:
        assert check.acquire()
        threading.Timer(0.3, lambda: fcntl.flock(check.descriptor, fcntl.LOCK_UN)).start()
        first = PoolLock(tmp_path, "home")
        second = PoolLock(tmp_path, "home")
    assert (first.alone, second.alone) == (True, False)
    first.release()
    second.release()


def test_no_cycle_waits_for_the_running_one_and_keeps_the_next_out(tmp_path: Path) -> None:
    started, ended = threading.Event(), threading.Event()

    def cycle() -> None:
        with only_writer(tmp_path, "home"):
            started.set()
            ended.wait(LONGEST_S)

    running = threading.Thread(target=cycle)
    running.start()
    started.wait(LONGEST_S)
    threading.Timer(0.3, ended.set).start()
    with no_cycle(tmp_path, "home"):
        assert ended.is_set()
        assert not is_free(tmp_path)
    running.join()
    assert is_free(tmp_path)


def test_no_cycle_gives_up_when_the_running_one_does_not_end(tmp_path: Path) -> None:
    with (
        only_writer(tmp_path, "home"),
        pytest.raises(SiteBusy),
        no_cycle(tmp_path, "home", within_s=0.3),
    ):
        pass


def test_pending_command_is_readable_after_a_crash(tmp_path: Path) -> None:
    with only_writer(tmp_path, "home") as record:
        assert record.pending == ""
        record.write("something long")
        record.write("short")
    with only_writer(tmp_path, "home") as record:
        assert record.pending == "short"
        record.write("")
    with only_writer(tmp_path, "home") as record:
        assert record.pending == ""
