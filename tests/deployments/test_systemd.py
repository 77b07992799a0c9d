"""The systemd units."""

from __future__ import annotations

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
        text = unit.read_text().replace("/opt/easee-load-balancer/.venv/bin/prefect", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    units = [str(tmp_path / unit.name) for unit in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )
    assert len(units) == 3
    assert (done.returncode, done.stderr) == (0, "")
