"""Several workers of a pool: each site stays with one, and another stands by."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate

from easee_load_balancer.orchestration.worker.sharing import STAND_BACK_S, Sharing
from easee_load_balancer.system.database_locks import DATABASE_LOCKS

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
