"""Flow runs as the worker sees them: which are cycles, and the states they are given."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelled, Crashed, Scheduled

from easee_load_balancer.schedule import utc

CYCLE_TAG = "cycle"
"""Marks deployments of whose due runs only the newest counts."""

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
    if run.state_type is StateType.RUNNING:
        return Crashed(message="Its worker ended while it was running.")
    if is_cycle(run):
        return superseded("its worker ended before it began")
    return handed_back("its worker ended before it began")


def in_states(*kinds: StateType) -> FlowRunFilter:
    """A filter for runs in one of these states."""
    return FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(kinds))))
