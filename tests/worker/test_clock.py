"""Cycles go on when the clock is set."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from prefect.client.orchestration import PrefectClient

from tests.worker.helpers import deployed, working

INTERVAL_S = 3


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


@pytest.mark.parametrize("seconds", [-3600, -2 * INTERVAL_S - 4])
async def test_set_back(client: PrefectClient, tmp_path: Path, seconds: int) -> None:
    """By so much that no run is due for long, and so that runs of the server are due again."""
    diary = tmp_path / "diary"
    diary.touch()
    await deployed(client, f"back{seconds}", "cycle", interval_s=INTERVAL_S, diary=str(diary))
    async with working(f"back{seconds}"):
        await wait_for(diary, 4)
        with time_machine.travel(datetime.now(UTC) + timedelta(seconds=seconds)):
            before, began_s = len(dues(diary)), time.monotonic()
            await wait_for(diary, before + 3)
            assert time.monotonic() - began_s < 6 * INTERVAL_S
