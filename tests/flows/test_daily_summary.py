"""The daily summary as a flow: from cycles in the history to an artifact in the UI."""

from __future__ import annotations

from typing import Any

import time_machine
from daily_summary import daily_summary
from prefect.artifacts import Artifact

from tests.support.history import NOON
from tests.support.home import a_home
from tests.support.site import SITE


async def test_sums_up_the_cycles_of_balance_and_publishes_them() -> None:
    with time_machine.travel(NOON):
        async with a_home() as home:
            for _ in range(2):
                await home.cycle()
        energy: Any = await daily_summary(SITE, day=NOON.date(), time_zone="UTC")
    assert energy.pv_kwh > 0
    assert energy.cycles == 2
    page = await Artifact.aget(f"energy-{SITE}")
    assert page is not None
    for part in ("](data:image/png;base64,", "| Cycles | 2 |", "| observations | 2 |"):
        assert part in str(page.data)
