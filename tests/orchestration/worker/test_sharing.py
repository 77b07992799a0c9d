"""Several workers of a pool: each site stays with one, and another stands by."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.states import Scheduled

from easee_load_balancer.orchestration.worker.flow_runner import FlowRunner
from easee_load_balancer.orchestration.worker.schedule import CycleSchedule
from easee_load_balancer.orchestration.worker.sharing import STAND_BACK_S, Sharing
from easee_load_balancer.system.database_locks import DATABASE_LOCKS
from tests.support.worker import deployed, ended, working

DEPLOYMENTS = [UUID(int=number) for number in range(300)]


async def test_sites_are_shared_out_and_others_stand_by(
    client: PrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.create_work_pool(WorkPoolCreate(name="shared out", type="in-process"))
    names = ["one", "two", "three"]
    workers = [Sharing("shared out", name) for name in names]
    assert [workers[0].stand_back_s(one) for one in DEPLOYMENTS] == [0.0] * len(DEPLOYMENTS)
    for name in names:
        await client.send_worker_heartbeat("shared out", name, heartbeat_interval_seconds=60)
    for worker in workers:
        await worker.refresh(client)
    waits = [sorted(worker.stand_back_s(one) for worker in workers) for one in DEPLOYMENTS]
    assert waits == [[0.0, STAND_BACK_S, 2 * STAND_BACK_S]] * len(DEPLOYMENTS)
    for worker in workers:
        first = sum(worker.stand_back_s(one) == 0 for one in DEPLOYMENTS)
        assert 70 < first < 130
    monkeypatch.setattr(DATABASE_LOCKS, "failing", True)
    assert workers[0].stand_back_s(uuid4()) == 3 * STAND_BACK_S


async def test_a_cycle_that_another_worker_has_done_is_not_claimed_again(
    client: PrefectClient, diary: Path
) -> None:
    deployment = await deployed(client, "done", "cycle", diary=str(diary))
    run = await client.create_flow_run_from_deployment(deployment)
    async with working("done") as worker:
        assert (await ended(client, run)).is_completed()
        worker._sharing.shared = True
        assert not await worker._claim(run)
        free = await client.create_flow_run_from_deployment(
            deployment, state=Scheduled(scheduled_time=datetime.now(UTC) + timedelta(hours=1))
        )
        assert await worker._claim(free)
    assert (await client.read_flow_run(run.id)).state_type is StateType.COMPLETED


async def test_who_stands_by_is_ready_to_run_the_cycle_without_the_server(
    client: PrefectClient, diary: Path
) -> None:
    deployment = await deployed(client, "ready", "cycle", diary=str(diary))
    run = await client.create_flow_run_from_deployment(deployment)
    runner = FlowRunner()
    runner.start()
    try:
        schedule = CycleSchedule(deployment, {"diary": str(diary)})
        await asyncio.wrap_future(runner.stand_by(run, schedule))
        state = await asyncio.wrap_future(runner.run_offline(schedule, datetime.now(UTC)))
    finally:
        await asyncio.to_thread(runner.stop)
    assert state.is_completed()
