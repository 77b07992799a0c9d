"""Flow runs as the worker sees them: which are cycles, and the states they are given."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Crashed, Scheduled

from easee_load_balancer.orchestration.worker.schedule import utc

CYCLE_TAG = "cycle"
"""Marks deployments of whose due runs only the newest counts."""

RESUMED_TAG = "resumed"
"""Marks deployments whose runs are taken up again where a worker left them."""

_AT_ONCE = 8
_BATCH = 200

UNFINISHED = (
    StateType.SCHEDULED,
    StateType.PENDING,
    StateType.RUNNING,
    StateType.PAUSED,
    StateType.CANCELLING,
)


def is_cycle(run: FlowRun) -> bool:
    """Whether the run is a control cycle."""
    return CYCLE_TAG in run.tags and run.deployment_id is not None


def is_resumed(run: FlowRun) -> bool:
    """Whether another worker takes up the run when its own ends."""
    return RESUMED_TAG in run.tags


def deployment_of(run: FlowRun) -> UUID:
    """The run's deployment. Raises ValueError for a run without one."""
    if run.deployment_id is None:
        raise ValueError(f"{run.name} has no deployment")
    return run.deployment_id


def due_at(run: FlowRun) -> datetime:
    """When it is to begin; now if that was not said."""
    at = run.expected_start_time
    return datetime.now(UTC) if at is None else utc(at)


def superseded(why: str) -> State[Any]:
    """The state of a cycle that is not needed any more."""
    return Cancelled(name="Superseded", message=f"superseded: {why}")


def handed_back(why: str) -> State[Any]:
    """The state of a run that another worker may take."""
    return Scheduled(message=f"Handed back: {why}.")


def cancelled() -> State[Any]:
    """The state of a run that somebody cancelled while it ran."""
    return Cancelled(message="Cancelled while it was running.")


def orphaned(run: FlowRun) -> State[Any]:
    """The state of a run whose worker is gone."""
    if run.state_type is StateType.CANCELLING:
        return cancelled()
    if run.state_type is StateType.RUNNING and is_resumed(run):
        return handed_back("its worker ended while it was running")
    if run.state_type is StateType.RUNNING:
        return Crashed(message="Its worker ended while it was running.")
    if is_cycle(run):
        return superseded("its worker ended before it began")
    return handed_back("its worker ended before it began")


def is_outage(error: Exception) -> bool:
    """Whether the server is away or in trouble, rather than refusing what we ask."""
    return not isinstance(error, httpx.HTTPStatusError) or error.response.status_code >= 500


def in_states(*kinds: StateType) -> FlowRunFilter:
    """A filter for runs in one of these states."""
    return FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(kinds))))


class OwedStates:
    """States that runs are to get as soon as the server takes them."""

    def __init__(self) -> None:
        self._owed: dict[UUID, State[Any]] = {}

    def __setitem__(self, run_id: UUID, state: State[Any]) -> None:
        self._owed[run_id] = state

    async def pay(self, client: PrefectClient, kinds: Sequence[StateType] = UNFINISHED) -> None:
        """Give the states to those runs that are still in one of these kinds of states."""
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def give(run_id: UUID, state: State[Any]) -> None:
            async with at_once:
                with suppress(ObjectNotFound):
                    await client.set_flow_run_state(run_id, state, force=True)

        while self._owed:
            owed = dict(islice(self._owed.items(), _BATCH))
            wanted = in_states(*kinds)
            wanted.id = FlowRunFilterId(any_=list(owed))
            runs = await client.read_flow_runs(flow_run_filter=wanted)
            await asyncio.gather(*(give(run.id, owed[run.id]) for run in runs))
            for run_id in owed:
                del self._owed[run_id]
