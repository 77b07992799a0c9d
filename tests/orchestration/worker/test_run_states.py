"""State updates that wait for the server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelled, Completed, Running, Scheduled

from easee_load_balancer.orchestration.worker.run_states import (
    PendingStates,
    is_looked_after,
    requeued,
    superseded,
)
from tests.support.worker import deployed


@pytest.mark.parametrize(
    ("state", "started_s_ago", "alone", "shared"),
    [
        pytest.param(Scheduled(), None, True, True, id="waits"),
        pytest.param(Running(), 1, True, True, id="runs"),
        pytest.param(Completed(), 1, False, True, id="ended: before the clock was set back"),
        pytest.param(Completed(), -60, False, False, id="started in the future"),
        pytest.param(superseded("why"), None, False, True, id="superseded, and yet new"),
        pytest.param(Cancelled(), None, True, True, id="cancelled by a person"),
    ],
)
def test_which_runs_are_looked_after_so_that_the_clock_need_not_run_their_cycle(
    state: State[Any], started_s_ago: float | None, alone: bool, shared: bool
) -> None:
    run = FlowRun(flow_id=uuid4(), state=state)
    if started_s_ago is not None:
        run.start_time = datetime.now(UTC) - timedelta(seconds=started_s_ago)  # type: ignore[assignment]
    assert is_looked_after(run, by_others=False) is alone
    assert is_looked_after(run, by_others=True) is shared


async def test_updates_flushed_twice_at_once_are_sent_once_and_lose_none(
    client: PrefectClient,
) -> None:
    deployment = await deployed(client, "flushed", "good")
    first, late = [await client.create_flow_run_from_deployment(deployment) for _ in range(2)]
    pending = PendingStates()
    pending[first.id] = superseded("a newer cycle is due")
    flushing = [asyncio.create_task(pending.flush(client)) for _ in range(2)]
    await asyncio.sleep(0)
    pending[late.id] = requeued("its worker was stopped")
    await asyncio.gather(*flushing)
    await pending.flush(client)
    states = [(await client.read_flow_run(run.id)).state for run in (first, late)]
    assert [state and state.type for state in states] == [StateType.CANCELLED, StateType.SCHEDULED]
    assert states[1] is not None
    assert states[1].message == "Requeued: its worker was stopped."
