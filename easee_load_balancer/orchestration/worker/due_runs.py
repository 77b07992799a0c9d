"""Asking the server which runs of a pool are due soon, and when its cycles are due.

For Prefect's own question the server also marks the pool's queues and deployments as polled, which
costs it as much as a third of a cycle. It is asked every 20 s, for the runs of the next 30 s. In
between, one number is enough: how many other runs are due.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterId,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound

from easee_load_balancer.orchestration.worker.run_states import CYCLE_TAG, in_states
from easee_load_balancer.orchestration.worker.schedule import CycleSchedule

_ASK_EVERY_S = 20.0
_AHEAD = timedelta(seconds=30)
_MARGIN = timedelta(seconds=0.5)
_BATCH = 200
"""The server returns at most this many scheduled runs, or deployments."""


class DueRuns:
    """The runs of a pool that a worker does not know of yet."""

    def __init__(self, pool: str, queues: Collection[str], soon_s: float) -> None:
        """`soon_s`: how far ahead to look in between, in s."""
        self._pool, self._queues = pool, list(queues)
        self._soon = timedelta(seconds=soon_s)
        self._ahead = max(self._soon, _AHEAD)
        self._filter = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
        self._asked_s = float("-inf")
        self.backlog = False
        """Whether there may be more runs than the server returned."""

    async def read(self, client: PrefectClient, known: Collection[UUID]) -> list[FlowRun]:
        """The runs that are due soon, or none if all of them are among the `known`."""
        now_s = time.monotonic()
        if now_s - self._asked_s < _ASK_EVERY_S and not await self._others(client, known):
            return []
        try:
            found = await client.get_scheduled_flow_runs_for_work_pool(
                work_pool_name=self._pool,
                work_queue_names=self._queues,
                scheduled_before=datetime.now(UTC) + self._ahead,
            )
        except ObjectNotFound:
            found = []
        self._asked_s, self.backlog = now_s, len(found) >= _BATCH
        return [one.flow_run for one in found]

    async def _others(self, client: PrefectClient, known: Collection[UUID]) -> int:
        """How many runs are due soon besides the known ones."""
        due = in_states(StateType.SCHEDULED)
        due.expected_start_time = FlowRunFilterExpectedStartTime(
            before_=datetime.now(UTC) + self._soon
        )
        due.id = FlowRunFilterId(not_any_=list(known))
        return await client.count_flow_runs(flow_run_filter=due, work_pool_filter=self._filter)


async def runs_at(client: PrefectClient, deployment_id: UUID, due: datetime) -> list[FlowRun]:
    """The deployment's runs that are due at that time, in any state."""
    around = FlowRunFilterExpectedStartTime(after_=due - _MARGIN, before_=due + _MARGIN)
    wanted = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[deployment_id]), expected_start_time=around
    )
    return await client.read_flow_runs(flow_run_filter=wanted)


async def read_schedules(client: PrefectClient, pool: WorkPoolFilter) -> dict[UUID, CycleSchedule]:
    """The schedules of all cycles of a pool, by deployment."""
    cycles = DeploymentFilter(tags=DeploymentFilterTags(all_=[CYCLE_TAG]))
    found: dict[UUID, CycleSchedule] = {}
    more = True
    while more:
        page = await client.read_deployments(
            work_pool_filter=pool, deployment_filter=cycles, limit=_BATCH, offset=len(found)
        )
        found |= {one.id: CycleSchedule.of(one) for one in page}
        more = len(page) == _BATCH
    return found
