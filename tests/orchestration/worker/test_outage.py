"""Cycles go on while the Prefect server is away, and none is done twice when it is back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType

from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from easee_load_balancer.orchestration.worker.run_states import in_states
from tests.support.paths import PROJECT
from tests.support.worker import deployed, working

INTERVAL_S = 3


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectStack]:
    """A server that may be stopped."""
    with PrefectStack(tmp_path_factory.mktemp("outage"), PROJECT) as stack:
        yield stack


def entries(diary: Path) -> list[tuple[float, str]]:
    """When the cycles that were done were due, and who did them."""
    lines = [line.split() for line in diary.read_text().splitlines()]
    return [(float(at), who) for at, who, _ in lines]


async def wait_for(diary: Path, who: str, count: int) -> None:
    """Wait until the last `count` cycles were done by that one."""
    async with asyncio.timeout(90):
        while True:
            done = entries(diary)[-count:]
            if len(done) == count and {one for _, one in done} == {who}:
                return
            await asyncio.sleep(0.1)


def in_step(diary: Path) -> None:
    """No cycle was done twice, and there was never more than one missing."""
    dues = [at for at, _ in entries(diary)]
    steps = [later - earlier for earlier, later in pairwise(dues)]
    assert set(steps) <= {INTERVAL_S, 2 * INTERVAL_S}


async def test_server_away_and_back(
    stack: PrefectStack, client: PrefectClient, tmp_path: Path
) -> None:
    diary = tmp_path / "diary"
    diary.touch()
    await deployed(client, "outage", "cycle", interval_s=INTERVAL_S, diary=str(diary))
    async with working("outage"):
        await wait_for(diary, "prefect", 2)
        assert stack.server is not None
        os.kill(stack.server.pid, signal.SIGKILL)
        await wait_for(diary, "alone", 3)
        await asyncio.to_thread(stack.start_server)
        await wait_for(diary, "prefect", 2)
        await asyncio.sleep(2)
        runs = await client.read_flow_runs(flow_run_filter=in_states(StateType.CANCELLED))
    in_step(diary)
    assert ("Superseded", "superseded: done without the Prefect server") in {
        (run.state.name, run.state.message) for run in runs if run.state
    }


async def test_server_that_hangs(
    stack: PrefectStack, client: PrefectClient, tmp_path: Path
) -> None:
    diary = tmp_path / "diary"
    diary.touch()
    await deployed(client, "hang", "cycle", interval_s=INTERVAL_S, diary=str(diary))
    assert stack.server is not None
    async with working("hang"):
        await wait_for(diary, "prefect", 2)
        os.kill(stack.server.pid, signal.SIGSTOP)
        try:
            await wait_for(diary, "alone", 3)
        finally:
            os.kill(stack.server.pid, signal.SIGCONT)
        await wait_for(diary, "prefect", 2)
    in_step(diary)
