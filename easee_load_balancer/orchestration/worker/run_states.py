"""Flow runs as the worker sees them: which of them are cycles, and which states they get."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
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

from easee_load_balancer.orchestration.worker.progress import in_future
from easee_load_balancer.orchestration.worker.schedule import utc

CYCLE_TAG = "cycle"
"""Marks deployments whose due runs are all superseded by the newest one."""

RESUMED_TAG = "resumed"
"""Marks deployments whose interrupted runs are resumed by the next worker."""

OWN_PROCESS_TAG = "own-process"
"""Marks deployments whose runs are carried out in a process of their own."""

_SUPERSEDED = "Superseded"

_AT_ONCE = 2
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
    """Whether the next worker resumes the run if this one stops."""
    return RESUMED_TAG in run.tags


def has_own_process(run: FlowRun) -> bool:
    """Whether the run is carried out in a process of its own."""
    return OWN_PROCESS_TAG in run.tags


def deployment_of(run: FlowRun) -> UUID:
    """The run's deployment. Raises ValueError for a run without one."""
    if run.deployment_id is None:
        raise ValueError(f"{run.name} has no deployment")
    return run.deployment_id


def due_at(run: FlowRun) -> datetime:
    """When the run is due; now for a run without a start time."""
    at = run.expected_start_time
    return datetime.now(UTC) if at is None else utc(at)


def is_looked_after(run: FlowRun, *, by_others: bool) -> bool:
    """Whether the run of a cycle that is new to the worker has been or will be carried out.

    A run that has ended dates from before the clock was set back, unless another worker may have
    carried it out (`by_others`) or a person cancelled it before it started.
    """
    if run.start_time is not None and in_future(utc(run.start_time)):
        return False
    if by_others or run.state is None or not run.state.is_final():
        return True
    return run.start_time is None and run.state.name != _SUPERSEDED


def superseded(why: str) -> State[Any]:
    """The state of a cycle that is no longer needed."""
    return Cancelled(name=_SUPERSEDED, message=f"superseded: {why}")


def requeued(why: str) -> State[Any]:
    """The state of a run that another worker may take."""
    return Scheduled(message=f"Requeued: {why}.")


def cancelled() -> State[Any]:
    """The state of a run that a person cancelled while it was running."""
    return Cancelled(message="Cancelled while running.")


def orphaned(run: FlowRun) -> State[Any]:
    """The state of a run whose worker was killed."""
    if run.state_type is StateType.CANCELLING:
        return cancelled()
    if run.state_type is StateType.RUNNING:
        if is_resumed(run):
            return requeued("its worker stopped while it was running")
        return Crashed(message="Its worker stopped while it was running.")
    why = "its worker stopped before it started"
    return superseded(why) if is_cycle(run) else requeued(why)


def is_outage(error: Exception) -> bool:
    """Whether the server is unavailable, rather than refusing the request."""
    return not isinstance(error, httpx.HTTPStatusError) or error.response.status_code >= 500


def in_states(*kinds: StateType) -> FlowRunFilter:
    """A filter for runs in one of these states."""
    return FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(kinds))))


class PendingStates:
    """State updates to send to the server when it can be reached."""

    def __init__(self) -> None:
        self._states: dict[UUID, State[Any]] = {}
        self._flushing = asyncio.Lock()

    def __setitem__(self, run_id: UUID, state: State[Any]) -> None:
        self._states[run_id] = state

    def __contains__(self, run_id: UUID) -> bool:
        return run_id in self._states

    async def flush(self, client: PrefectClient, kinds: Sequence[StateType] = UNFINISHED) -> None:
        """Send the updates for the runs that are still in one of these kinds of states."""
        async with self._flushing:
            while self._states:
                batch = dict(islice(self._states.items(), _BATCH))
                await _send(client, batch, kinds)
                for run_id, state in batch.items():
                    if self._states[run_id] is state:  # not replaced meanwhile
                        del self._states[run_id]


async def _send(
    client: PrefectClient, states: Mapping[UUID, State[Any]], kinds: Sequence[StateType]
) -> None:
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def send(run_id: UUID) -> None:
        async with at_once:
            state = states[run_id]
            with suppress(ObjectNotFound):
                if state.name == _SUPERSEDED:  # its flow never names it
                    await client.update_flow_run(run_id, name=state.message)
                await client.set_flow_run_state(run_id, state, force=True)

    wanted = in_states(*kinds)
    wanted.id = FlowRunFilterId(any_=list(states))
    runs = await client.read_flow_runs(flow_run_filter=wanted)
    await asyncio.gather(*(send(run.id) for run in runs))
