"""A process that holds a password and is killed leaves nothing of it behind."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PASSWORD = "correct-horse-battery-staple"
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")

CRASH = """
import os, resource, sys
from easee_load_balancer.system.hardening import harden_process

password = sys.stdin.read()
most = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (most, most))
if sys.argv[1] == "careful":
    harden_process()
open("file", "w").close()
os.abort()
"""


def _left_by(how: str, folder: Path) -> list[Path]:
    """The files that a process leaves which ends with a core dump, if there is one."""
    command = [sys.executable, "-c", CRASH, how]
    done = subprocess.run(command, input=PASSWORD.encode(), cwd=folder, check=False)
    assert done.returncode == -signal.SIGABRT
    return sorted(folder.iterdir())


def test_no_core_file_and_files_for_the_owner_alone(tmp_path: Path) -> None:
    (file,) = _left_by("careful", tmp_path)
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(
    CORE_PATTERN.read_text().strip() != "core" or resource.getrlimit(resource.RLIMIT_CORE)[1] == 0,
    reason="no core files on this machine",
)
def test_a_core_file_would_hold_the_password(tmp_path: Path) -> None:
    core, _ = _left_by("careless", tmp_path)
    assert PASSWORD.encode() in core.read_bytes()
