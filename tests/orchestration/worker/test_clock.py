"""Cycles go on when the clock is set."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import time_machine
from prefect.client.orchestration import PrefectClient

from tests.support.worker import deployed, working

INTERVAL_S = 2


def dues(diary: Path) -> list[float]:
    """When the cycles that were done were due."""
    return [float(line.split()[0]) for line in diary.read_text().splitlines()]


async def wait_for(diary: Path, count: int) -> None:
    """Wait until so many cycles were done."""
    async with asyncio.timeout(60):
        while True:
            if len(dues(diary)) >= count:
                return
            await asyncio.sleep(0.1)


async def test_set_back(client: PrefectClient, tmp_path: Path) -> None:
    """By so much that runs which the server has are due again, and nobody claims them."""
    diary = tmp_path / "diary"
    diary.touch()
    await deployed(client, "clock", "cycle", interval_s=INTERVAL_S, diary=str(diary))
    async with working("clock"):
        await wait_for(diary, 4)
        with time_machine.travel(datetime.now(UTC) - timedelta(seconds=4 * INTERVAL_S)):
            before, began_s = len(dues(diary)), time.monotonic()
            await wait_for(diary, before + 3)
            assert time.monotonic() - began_s < 6 * INTERVAL_S
