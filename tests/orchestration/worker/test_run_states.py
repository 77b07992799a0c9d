"""State updates that wait for the server."""

from __future__ import annotations

import asyncio

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType

from easee_load_balancer.orchestration.worker.run_states import PendingStates, requeued, superseded
from tests.support.worker import deployed


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
