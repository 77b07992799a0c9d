"""The whole product: a real server, a real worker, and a run that Prefect scheduled.

Only this test notices a dependency version that breaks Prefect's scheduler.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console

from easee_load_balancer.commands.demo import run_demo
from tests.support.paths import PROJECT


def test_scheduled_cycles_complete_and_change_the_charger_also_the_second_time(
    tmp_path: Path,
) -> None:
    for cycles in (2, 1):  # the first cycle of a start is not scheduled
        said = io.StringIO()
        good = run_demo(PROJECT, tmp_path, cycles, Console(file=said, width=200))
        assert good, said.getvalue()
        assert said.getvalue().count("Completed ") == cycles
        assert f"{cycles} cycles completed, 0 failed" in said.getvalue()
        for page in ("now", "yesterday", "decisions"):
            assert re.search(rf"http://127\.0\.0\.1:\d+/{page}\n", said.getvalue())
