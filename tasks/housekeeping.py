"""Deleting old flow runs."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime

from prefect import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import StateType

from easee_load_balancer.orchestration.worker.run_states import in_states
from tasks.step import step

_PAUSE_S = 0.2
"""Between two batches, so that other requests are served."""


@step(name="delete runs", timeout_seconds=600)
async def delete_runs(tags: Collection[str], kinds: Collection[StateType], before: datetime) -> int:
    """Delete runs with one of the tags and states that were due before then; their number."""
    wanted: FlowRunFilter = in_states(*kinds)
    wanted.tags = FlowRunFilterTags(any_=list(tags))
    wanted.expected_start_time = FlowRunFilterExpectedStartTime(before_=before)
    body = {"flow_runs": wanted.model_dump(mode="json")}
    count = 0
    async with get_client() as client:
        while True:
            # The client has no method for this, and its typed paths lack this one.
            answer = await client.request("POST", "/flow_runs/bulk_delete", json=body)  # type: ignore[arg-type]
            deleted = answer.raise_for_status().json()["deleted"]
            if not deleted:
                return count
            count += len(deleted)
            await asyncio.sleep(_PAUSE_S)
