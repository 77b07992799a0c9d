"""Runs that a killed worker has left claimed or running.

Where workers on several machines serve a pool, a claim names its folder: a worker that starts ends
the runs of its own folder, as the others' are under way, and cycles that began long ago, whose
machine has not come back.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import WorkPoolFilter
from prefect.client.schemas.objects import FlowRun, StateType

from easee_load_balancer.orchestration.worker.run_states import due_at, in_states, is_cycle

_MOST = 200
_LONGEST_CYCLE = timedelta(minutes=10)
"""A cycle takes seconds."""


def claim_of(folder_id: str) -> str | None:
    """The message of a claim; None where one folder has the pool for itself."""
    return f"Claimed by the worker with the data folder {folder_id}." if folder_id else None


async def orphans(
    client: PrefectClient,
    pool: WorkPoolFilter,
    before: datetime,
    started: Collection[UUID],
    claim: str | None,
) -> list[FlowRun]:
    """The runs that began `before`, except those that were `started` since."""
    runs = await client.read_flow_runs(
        work_pool_filter=pool,
        flow_run_filter=in_states(StateType.RUNNING, StateType.PENDING, StateType.CANCELLING),
        limit=_MOST,
    )
    began = {one.id: one.start_time or due_at(one) for one in runs if one.id not in started}
    old = [one for one in runs if one.id in began and began[one.id] < before]
    if claim is None:
        return old
    return [
        one
        for one in old
        if (is_cycle(one) and began[one.id] < before - _LONGEST_CYCLE)
        or await _has_claim(client, one, claim)
    ]


async def _has_claim(client: PrefectClient, run: FlowRun, claim: str) -> bool:
    """Whether the newest claim of the run is this one."""
    states = await client.read_flow_run_states(run.id)
    claims = [one for one in states if one.type is StateType.PENDING and one.message]
    return bool(claims) and max(claims, key=lambda one: one.timestamp).message == claim
