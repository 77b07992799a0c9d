"""A worker that only runs cycles stays small."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.paths import PROJECT

HEAVY = ("pandas", "numpy", "matplotlib", "scipy")


@pytest.mark.parametrize("flow", ["balance", "boost", "housekeeping"])
def test_a_flow_of_every_day_loads_no_heavy_package(flow: str) -> None:
    code = (
        f"import sys, {flow}, easee_load_balancer.orchestration.worker.in_process\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": f"{PROJECT}:{PROJECT / 'flows'}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.strip() == "[]"
