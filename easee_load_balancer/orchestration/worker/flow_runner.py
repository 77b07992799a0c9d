"""A thread in which flows run, with an event loop and connections that outlive them.

Flows have a loop of their own because the engine takes over signals in a main thread, and because
a flow that is busy must not keep the worker from looking at the clock.
"""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import copy_context
from datetime import datetime
from functools import partial, wraps
from inspect import signature
from typing import Any, TypeVar
from uuid import UUID

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import AsyncClientContext
from prefect.flow_engine import run_flow
from prefect.flows import load_flow_from_flow_run
from prefect.settings import PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED, temporary_settings

from easee_load_balancer.devices.connections import CONNECTIONS
from easee_load_balancer.orchestration.worker.offline import alone
from easee_load_balancer.orchestration.worker.run_states import cancelled
from easee_load_balancer.orchestration.worker.schedule import Plan

_Any = TypeVar("_Any")
AnyFlow = Flow[..., Any]


class FlowHost:
    """Loads flows once and runs them, all in one thread; sync flows in a thread each."""

    def __init__(self) -> None:
        self._thread = threading.Thread(
            target=copy_context().run,
            args=(asyncio.run, self._serve()),
            name="flows",
            daemon=True,
        )
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context = copy_context()
        self._ended = asyncio.Event()
        self._flows: dict[UUID, AnyFlow] = {}
        self._requests: dict[UUID, _EndRequest] = {}

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Cancel what runs, close the connections and end the thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def run(self, flow_run: FlowRun) -> Future[State[Any]]:
        """Run a flow run of a deployment under Prefect; the result is its final state.

        Fails with what the API client raises when the server cannot be reached.
        """
        return self._submit(self._run(flow_run))

    def run_alone(self, plan: Plan, due: datetime) -> Future[State[Any]]:
        """Run the cycle that was due then without Prefect. Its flow must have been loaded."""
        return self._submit(self._run_alone(plan, due))

    def knows(self, deployment_id: UUID) -> bool:
        """Whether the deployment's flow has been loaded."""
        return deployment_id in self._flows

    def cancel(self, flow_run_id: UUID) -> None:
        """End that run as Cancelled: an async flow at once, a sync flow when it returns."""
        request = self._requests.get(flow_run_id)
        if request is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(request.make)

    def _submit(self, coroutine: Coroutine[Any, Any, _Any]) -> Future[_Any]:
        if self._loop is None:
            raise RuntimeError("the flow host has not been started")
        # A copy: a context can be entered by one thread at a time only.
        context = self._context.run(copy_context)
        return context.run(asyncio.run_coroutine_threadsafe, coroutine, self._loop)

    async def _serve(self) -> None:
        with temporary_settings({PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED: False}):
            async with CONNECTIONS.held(), AsyncClientContext():
                self._loop, self._context = asyncio.get_running_loop(), copy_context()
                self._ready.set()
                await self._ended.wait()
                running = asyncio.all_tasks() - {asyncio.current_task()}
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, flow_run: FlowRun) -> State[Any]:
        flow = await self._load(flow_run)
        request = self._requests[flow_run.id] = _EndRequest()
        try:
            return await _engine(_ending_on(request, flow), flow_run)
        finally:
            del self._requests[flow_run.id]

    async def _run_alone(self, plan: Plan, due: datetime) -> State[Any]:
        flow = self._flows[plan.deployment_id]
        with alone(due):
            async with asyncio.timeout(flow.timeout_seconds):
                state: State[Any] = await flow.fn(**flow.validate_parameters(dict(plan.parameters)))
                return state

    async def _load(self, flow_run: FlowRun) -> AnyFlow:
        deployment_id = flow_run.deployment_id
        if deployment_id is None:
            raise ValueError(f"{flow_run.name} has no deployment")
        if deployment_id not in self._flows:
            # The client is given by the decorator, out of the context.
            self._flows[deployment_id] = await load_flow_from_flow_run(
                flow_run, use_placeholder_flow=False
            )
        return self._flows[deployment_id]


async def _engine(flow: AnyFlow, flow_run: FlowRun) -> State[Any]:
    """The one place that calls Prefect's engine, which is no promised interface."""
    run: Callable[[], Any] = partial(run_flow, flow, flow_run=flow_run, return_type="state")
    state: State[Any] = await (run() if flow.isasync else asyncio.to_thread(run))
    return state


class _EndRequest:
    """Somebody's wish that a run ends now."""

    def __init__(self) -> None:
        self.made = False
        self.task: asyncio.Future[Any] | None = None

    def make(self) -> None:
        """Ask for it."""
        self.made = True
        if self.task is not None:
            self.task.cancel()


def _ending_on(request: _EndRequest, flow: AnyFlow) -> AnyFlow:
    """The flow with a function that ends as Cancelled on request.

    Cancelling the engine itself would report a crash.
    """
    flow = copy.copy(flow)
    function = flow.fn

    @wraps(function)
    def in_thread(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        return cancelled() if request.made else result

    @wraps(function)
    async def in_loop(*args: Any, **kwargs: Any) -> Any:
        request.task = asyncio.ensure_future(function(*args, **kwargs))
        if request.made:
            request.task.cancel()
        try:
            return await request.task
        except asyncio.CancelledError:
            if request.made:
                return cancelled()
            raise

    ending: Any = in_loop if flow.isasync else in_thread
    # Annotations that are strings are of the flow's own module.
    ending.__signature__ = signature(function, eval_str=True)
    flow.fn = ending
    return flow
