"""Runs that a killed worker has left claimed or running.

Where workers on several machines serve a pool, a claim names its folder: a worker that starts ends
the runs of its own folder only, the others' are under way.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import WorkPoolFilter
from prefect.client.schemas.objects import FlowRun, StateType

from easee_load_balancer.orchestration.worker.run_states import due_at, in_states

_MOST = 200


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
    old = [
        one for one in runs if one.id not in started and (one.start_time or due_at(one)) < before
    ]
    return old if claim is None else [one for one in old if await _has_claim(client, one, claim)]


async def _has_claim(client: PrefectClient, run: FlowRun, claim: str) -> bool:
    """Whether the newest claim of the run is this one."""
    states = await client.read_flow_run_states(run.id)
    claims = [one for one in states if one.type is StateType.PENDING and one.message]
    return bool(claims) and max(claims, key=lambda one: one.timestamp).message == claim
