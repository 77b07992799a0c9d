"""Deployments, runs and a worker in the test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.exceptions import ObjectAlreadyExists
from prefect.types._datetime import DateTime

from easee_load_balancer.orchestration.worker.in_process import InProcessWorker
from tests.support.paths import PROJECT
from tests.support.waiting import until

FLOWS = PROJECT / "tests" / "support" / "worker_flows.py"


@asynccontextmanager
async def working(
    pool: str, worker_type: type[InProcessWorker] = InProcessWorker, **options: Any
) -> AsyncIterator[InProcessWorker]:
    """A running worker; leaving the block stops it like Ctrl-C."""
    worker = worker_type(work_pool_name=pool, name=f"worker of {pool}", **options)
    task = asyncio.create_task(worker.start(printer=lambda *_: None))
    try:
        yield worker
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def deployed(
    client: PrefectClient,
    pool: str,
    name: str,
    *,
    interval_s: int | None = None,
    file: Path = FLOWS,
    tags: Sequence[str] = (),
    **parameters: Any,
) -> UUID:
    """Deploy a flow of that file to the pool; with an interval it is a scheduled cycle."""
    template = InProcessWorker.get_default_base_job_template()
    with suppress(ObjectAlreadyExists):
        await client.create_work_pool(
            WorkPoolCreate(name=pool, type="in-process", base_job_template=template)
        )
    schedules = []
    if interval_s is not None:
        anchor = DateTime(2026, 1, 1)
        schedule = IntervalSchedule(interval=timedelta(seconds=interval_s), anchor_date=anchor)
        schedules.append(DeploymentScheduleCreate(schedule=schedule, active=True))
    return await client.create_deployment(
        flow_id=await client.create_flow_from_name(name),
        name=pool,
        entrypoint=f"{file}:{name}",
        work_pool_name=pool,
        parameters=parameters,
        tags=["cycle"] if name == "cycle" or interval_s else list(tags),
        pull_steps=[
            {"prefect.deployments.steps.set_working_directory": {"directory": str(PROJECT)}}
        ],
        schedules=schedules,
    )


async def ended(client: PrefectClient, run: FlowRun) -> State[Any]:
    """The final state of the run."""

    async def final() -> State[Any] | None:
        state = (await client.read_flow_run(run.id)).state
        return state if state is not None and state.is_final() else None

    state: State[Any] = await until(final)
    return state


async def under_way(client: PrefectClient, run: FlowRun, times: int = 1) -> None:
    """Wait until the run is running, for the first time or again."""

    async def running() -> bool:
        now = await client.read_flow_run(run.id)
        return now.state_type is StateType.RUNNING and now.run_count == times

    await until(running)
