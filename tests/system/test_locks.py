"""The lock that lets one cycle of a site run at a time."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.system.locks import PoolLock, SiteBusy, no_cycle, only_writer, worker_runs
from tests.support.paths import PROJECT

HOLDER = """
import sys
from pathlib import Path
from easee_load_balancer.system.locks import only_writer
from tests.support.paths import PROJECT

with only_writer(Path(sys.argv[1]), "home"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_is_refused_at_once(tmp_path: Path) -> None:
    with only_writer(tmp_path, "home"):
        began = time.monotonic()
        with (
            pytest.raises(SiteBusy, match="another cycle of 'home'"),
            only_writer(tmp_path, "home"),
        ):
            pass
        assert time.monotonic() - began < 0.1


def test_sites_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with only_writer(tmp_path, "home"), only_writer(tmp_path, "cabin"):
        pass


def test_it_is_free_again_also_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wrong"), only_writer(tmp_path, "home"):
        raise ValueError("wrong")
    with only_writer(tmp_path, "home"):
        pass


def test_who_was_refused_does_not_free_it(tmp_path: Path) -> None:
    with only_writer(tmp_path, "home"):
        for _ in range(2):
            with pytest.raises(SiteBusy), only_writer(tmp_path, "home"):
                pass


def test_the_lock_file_is_its_owners_alone(tmp_path: Path) -> None:
    with only_writer(tmp_path, "home"):
        (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_it_ends_with_a_holder_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(SiteBusy), only_writer(tmp_path, "home"):
            pass
        holder.kill()
        holder.wait(timeout=10)
    with only_writer(tmp_path, "home"):
        pass


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigurationError, match="cannot be opened"),
        only_writer(tmp_path / "missing", "home"),
    ):
        pass


def test_a_worker_is_seen_as_long_as_it_runs(tmp_path: Path) -> None:
    assert not worker_runs(tmp_path, "home")
    first, second = PoolLock(tmp_path, "home"), PoolLock(tmp_path, "home")
    assert worker_runs(tmp_path, "home")
    assert not worker_runs(tmp_path, "cottage")
    first.release()
    assert worker_runs(tmp_path, "home")
    second.release()
    assert not worker_runs(tmp_path, "home")


def test_the_cycle_that_runs_is_waited_for_and_the_next_kept_out(tmp_path: Path) -> None:
    begun, ended = threading.Event(), threading.Event()

    def cycle() -> None:
        with only_writer(tmp_path, "home"):
            begun.set()
            ended.wait(5)

    running = threading.Thread(target=cycle)
    running.start()
    begun.wait(5)
    threading.Timer(0.3, ended.set).start()
    with no_cycle(tmp_path, "home"):
        assert ended.is_set()
        with pytest.raises(SiteBusy), only_writer(tmp_path, "home"):
            pass
    running.join()
    with only_writer(tmp_path, "home"):
        pass


def test_a_cycle_that_does_not_end_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with (
        only_writer(tmp_path, "home"),
        pytest.raises(SiteBusy),
        no_cycle(tmp_path, "home", within_s=0.3),
    ):
        pass


def test_a_word_is_left_for_who_comes_after_a_crash(tmp_path: Path) -> None:
    with only_writer(tmp_path, "home") as record:
        assert record.pending == ""
        record.write("something long")
        record.write("short")
    with only_writer(tmp_path, "home") as record:
        assert record.pending == "short"
        record.write("")
    with only_writer(tmp_path, "home") as record:
        assert record.pending == ""
