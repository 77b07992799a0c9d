"""Keeps Prefect's database small: deletes the runs of old cycles, keeps daily summaries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State, StateType

from easee_load_balancer.orchestration.parameters import shown
from easee_load_balancer.orchestration.worker.run_states import CYCLE_TAG
from tasks.housekeeping import delete_runs
from tasks.run import completed

DELETED_TAGS = (CYCLE_TAG, "housekeeping")
"""Tags of the deployments whose runs are deleted."""


@flow(name="housekeeping", flow_run_name="Housekeeping", timeout_seconds=1500, persist_result=False)
async def housekeeping(
    keep_hours: Annotated[int, shown("Keep cycles (h)", 24, ge=1, le=8760)] = 24,
    keep_failed_days: Annotated[int, shown("Keep failed cycles (days)", 7, ge=1, le=365)] = 7,
) -> State[int]:
    """Delete old control cycles with their states, tasks and logs; everything else is kept.

    Args:
        keep_hours: How long to keep runs that completed or were superseded.
        keep_failed_days: How long to keep failed runs.
    """
    now = datetime.now(UTC)
    good = await delete_runs(
        DELETED_TAGS,
        (StateType.COMPLETED, StateType.CANCELLED),
        now - timedelta(hours=keep_hours),
    )
    bad = await delete_runs(
        DELETED_TAGS, (StateType.FAILED, StateType.CRASHED), now - timedelta(days=keep_failed_days)
    )
    return await completed(f"deleted {good + bad} runs", good + bad)
