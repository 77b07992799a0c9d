"""Cycles continue while the Prefect server is down, and none runs twice afterwards."""

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
from tests.support.prefect_servers import prepared
from tests.support.waiting import stalls, until
from tests.support.worker import deployed, working

INTERVAL_S = 3
_LONGEST_GAP_S = 4 * INTERVAL_S
"""On a slow machine, which may pause as well; a fast one misses one cycle at most."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectStack]:
    """A server that the tests stop."""
    with PrefectStack(prepared(tmp_path_factory.mktemp("outage")), PROJECT) as stack:
        yield stack


def entries(diary: Path) -> list[tuple[float, str]]:
    """When the cycles were due, and whether they ran under Prefect or offline."""
    lines = [line.split() for line in diary.read_text().splitlines()]
    return [(float(at), how) for at, how in lines]


async def wait_for(diary: Path, how: str, count: int) -> None:
    """Wait until the last `count` cycles ran that way."""
    await until(lambda: [one for _, one in entries(diary)[-count:]] == [how] * count)


def assert_regular(diary: Path, stalled_s: list[float]) -> None:
    """No cycle ran twice, and few in a row are missing."""
    dues = [at for at, _ in entries(diary)]
    steps = [later - earlier for earlier, later in pairwise(dues)]
    assert INTERVAL_S <= min(steps) <= max(steps) <= _LONGEST_GAP_S + max(stalled_s)


async def test_cycles_run_offline_while_the_server_is_killed(
    stack: PrefectStack, client: PrefectClient, diary: Path
) -> None:
    await deployed(client, "outage", "cycle", interval_s=INTERVAL_S, diary=str(diary))
    async with stalls() as stalled_s, working("outage"):
        await wait_for(diary, "prefect", 2)
        assert stack.server is not None
        os.kill(stack.server.pid, signal.SIGKILL)
        await wait_for(diary, "offline", 3)
        await asyncio.to_thread(stack.start_server)
        await wait_for(diary, "prefect", 2)

        async def none_is_late() -> bool:
            waiting = await client.read_flow_runs(flow_run_filter=in_states(StateType.SCHEDULED))
            return not [run for run in waiting if run.state_name == "Late"]

        await until(none_is_late)
    assert_regular(diary, stalled_s)


async def test_cycles_run_offline_while_the_server_hangs(
    stack: PrefectStack, client: PrefectClient, diary: Path
) -> None:
    await deployed(client, "hang", "cycle", interval_s=INTERVAL_S, diary=str(diary))
    assert stack.server is not None
    async with stalls() as stalled_s, working("hang"):
        await wait_for(diary, "prefect", 2)
        os.kill(stack.server.pid, signal.SIGSTOP)
        try:
            await wait_for(diary, "offline", 3)
        finally:
            os.kill(stack.server.pid, signal.SIGCONT)
        await wait_for(diary, "prefect", 2)

        async def superseded() -> bool:
            runs = await client.read_flow_runs(flow_run_filter=in_states(StateType.CANCELLED))
            states = {(run.state.name, run.state.message) for run in runs if run.state}
            return ("Superseded", "superseded: done without the Prefect server") in states

        await until(superseded)
    assert_regular(diary, stalled_s)
