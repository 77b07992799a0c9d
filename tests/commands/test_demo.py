"""The whole product: a real server, a real worker, and a run that Prefect scheduled.

Only this test notices a dependency version that breaks Prefect's scheduler.
"""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from easee_load_balancer.commands.demo import run_demo
from tests.support.paths import PROJECT


def test_a_scheduled_cycle_completes_and_changes_the_charger(tmp_path: Path) -> None:
    said = io.StringIO()
    good = run_demo(PROJECT, tmp_path, 1, Console(file=said, width=200))
    assert good, said.getvalue()
    assert "Completed" in said.getvalue()
    assert "1 scheduled cycles completed, 0 failed" in said.getvalue()
