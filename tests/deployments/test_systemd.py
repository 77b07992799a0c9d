"""The systemd units."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import PROJECT

UNITS = sorted((PROJECT / "deployments" / "systemd").glob("*.service"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
def test_systemd_has_nothing_to_say_against_them(tmp_path: Path) -> None:
    for unit in UNITS:
        # The check wants programs that exist, and this one is installed elsewhere.
        programs = r"/opt/easee-load-balancer/\.venv/bin/(prefect|python|easee-balancer)"
        text = re.sub(programs, "/bin/true", unit.read_text())
        (tmp_path / unit.name).write_text(text)
    units = [str(tmp_path / unit.name) for unit in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )
    assert len(units) == 3
    assert (done.returncode, done.stderr) == (0, "")


def test_the_server_starts_behind_its_guard() -> None:
    text = (PROJECT / "deployments" / "systemd" / "easee-balancer-server.service").read_text()
    assert "bin/python -m easee_load_balancer.orchestration.server --host 127.0.0.1" in text
