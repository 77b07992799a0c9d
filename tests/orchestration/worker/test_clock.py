"""Cycles continue when the clock is set back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import time_machine
from prefect.client.orchestration import PrefectClient

from tests.support.waiting import until
from tests.support.worker import deployed, working

INTERVAL_S = 2
CYCLES = 12
"""A busy machine may miss some of the times that come again."""


async def test_cycles_continue_although_the_server_has_finished_runs_for_the_same_times(
    client: PrefectClient, tmp_path: Path
) -> None:
    diary = tmp_path / "diary"
    diary.touch()

    def dues() -> list[float]:
        return [float(line.split()[0]) for line in diary.read_text().splitlines()]

    await deployed(client, "clock", "cycle", interval_s=INTERVAL_S, diary=str(diary))
    async with working("clock"):
        await until(lambda: len(dues()) >= CYCLES)
        with time_machine.travel(datetime.now(UTC) - timedelta(seconds=CYCLES * INTERVAL_S)):
            before = dues()
            await until(lambda: any(due <= before[-1] for due in dues()[len(before) :]))
