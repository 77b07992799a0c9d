"""Cycles continue when the clock is set back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import time_machine
from prefect.client.orchestration import PrefectClient

from tests.support.waiting import until
from tests.support.worker import deployed, working

INTERVAL_S = 2
SET_BACK_S = 8
"""More than the worker's tolerance."""


async def test_cycles_continue_although_the_server_has_finished_runs_for_the_same_times(
    client: PrefectClient, diary: Path
) -> None:

    def dues() -> list[float]:
        return [float(line.split()[0]) for line in diary.read_text().splitlines()]

    await deployed(client, "clock", "cycle", interval_s=INTERVAL_S, diary=str(diary))
    async with working("clock"):
        await until(lambda: len(dues()) > 1 and dues()[-1] >= dues()[1] + SET_BACK_S)
        again = dues()[1]
        just_after = datetime.fromtimestamp(again, UTC) + timedelta(seconds=1.5)
        with time_machine.travel(just_after, tick=False):
            await until(lambda: dues().count(again) == 2)
