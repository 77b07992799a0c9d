"""Running a flow by Prefect's engine, which is not a public interface: here and nowhere else.

A cycle takes seconds and comes again: it is run without what Prefect offers to long runs. For each
run, the engine otherwise opens a web socket in a thread of its own to learn of a suspension, sends
a heartbeat from another thread, and asks the server where results are stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from prefect import Flow
from prefect._flow_run_suspension import FlowRunSuspensionRequest
from prefect.client.schemas.objects import FlowRun, State
from prefect.flow_engine import AsyncFlowRunEngine, run_flow
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH

AnyFlow = Flow[..., Any]


async def run_by_engine(flow: AnyFlow, flow_run: FlowRun) -> State[Any]:
    """Run a flow, sync flows in a thread; its final state."""
    run: Callable[[], Any] = partial(run_flow, flow, flow_run=flow_run, return_type="state")
    state: State[Any] = await (run() if flow.isasync else asyncio.to_thread(run))
    return state


async def run_cycle_by_engine(flow: AnyFlow, flow_run: FlowRun) -> State[Any]:
    """Run an async flow that is over in seconds; its final state."""
    flow.result_storage = Path(PREFECT_LOCAL_STORAGE_PATH.value())  # results are not stored at all
    engine = _CycleEngine(flow=flow, flow_run=flow_run, parameters=dict(flow_run.parameters))
    async with engine.start():
        while engine.is_running():
            async with engine.run_context():
                _: Any = await engine.call_flow_fn()
    return engine.state


class _CycleEngine(AsyncFlowRunEngine[..., Any]):
    """The engine without heartbeats, and for runs that nobody suspends."""

    @property
    def heartbeat_seconds(self) -> int | None:
        return None

    @contextmanager
    def setup_flow_run_suspension_request(self) -> Iterator[FlowRunSuspensionRequest]:
        yield self._get_flow_run_suspension_request()
