"""A thread in which flows run, with an event loop and connections that outlive them.

Flows get their own loop because Prefect's engine handles signals when it runs in a main thread, and
because a busy flow must not delay the worker's clock.
"""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from datetime import datetime
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, State
from prefect.context import AsyncClientContext, SyncClientContext
from prefect.flows import load_flow_from_flow_run
from prefect.logging import get_logger
from prefect.settings import PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED, temporary_settings

from easee_load_balancer.devices.connections import CONNECTIONS
from easee_load_balancer.devices.huawei.hold_record import RECORDS
from easee_load_balancer.errors import ConfigurationError, InverterError
from easee_load_balancer.integrations.links import LINKS
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.orchestration.live_pages import LIVE_PAGES
from easee_load_balancer.orchestration.other_chargers import Chargers
from easee_load_balancer.orchestration.worker.engine import (
    AnyFlow,
    run_by_engine,
    run_cycle_by_engine,
)
from easee_load_balancer.orchestration.worker.lost_connections import without_limit
from easee_load_balancer.orchestration.worker.offline import offline
from easee_load_balancer.orchestration.worker.run_states import cancelled, deployment_of, is_cycle
from easee_load_balancer.orchestration.worker.schedule import CycleSchedule
from easee_load_balancer.system.database_locks import DATABASE_LOCKS
from easee_load_balancer.system.lasting_tasks import cancel

_THREADS = 64
"""For the history and for names of hosts; started when they are needed."""
_RESTORE_AGAIN_S, _LONGEST_PAUSE_S = 30.0, 900.0
_Any = TypeVar("_Any")


class FlowRunner:
    """Loads flows once and runs them in one thread; sync flows get a thread each."""

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
        self._cancellable: dict[UUID, _CancelRequest] = {}

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()
        self._ready.wait()

    def restore_batteries(self, folder: Path) -> Future[None]:
        """Lift the limits that a killed worker left at batteries."""
        return self._submit(_restore_batteries(sorted(folder.glob(RECORDS))))

    def stop(self) -> None:
        """Cancel what is running, close the connections and end the thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def run(self, flow_run: FlowRun) -> Future[State[Any]]:
        """Run a deployment's flow run under Prefect; the result is its final state.

        Fails with the API client's error when the server cannot be reached.
        """
        return self._submit(self._run(flow_run))

    def run_offline(self, schedule: CycleSchedule, due: datetime) -> Future[State[Any]]:
        """Run the cycle due at that time without Prefect. Its flow must have been loaded."""
        return self._submit(self._run_offline(schedule, due))

    def stand_by(self, flow_run: FlowRun, schedule: CycleSchedule) -> Future[None]:
        """Another worker runs that cycle: leave the devices to it, and be ready to take over.

        Flow and blocks are loaded now: the server may be lost together with the other worker.
        """
        return self._submit(self._stand_by(flow_run, schedule))

    def has_loaded(self, deployment_id: UUID) -> bool:
        """Whether the deployment's flow has been loaded."""
        return deployment_id in self._flows

    def cancel(self, flow_run_id: UUID) -> None:
        """End that run as Cancelled: an async flow at once, a sync flow when it returns."""
        request = self._cancellable.get(flow_run_id)
        if request is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(request.make)

    def _submit(self, coroutine: Coroutine[Any, Any, _Any]) -> Future[_Any]:
        if self._loop is None:
            raise RuntimeError("the flow runner has not been started")
        # A copy, because only one thread at a time can enter a context.
        context = self._context.run(copy_context)
        return context.run(asyncio.run_coroutine_threadsafe, coroutine, self._loop)

    async def _serve(self) -> None:
        # Clients are held open: each new one loads all certificates, and a flow makes several.
        with (
            temporary_settings({PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED: False}),
            SyncClientContext(),
        ):
            async with (
                CONNECTIONS.streaming(),
                AsyncClientContext() as held,
                LINKS.held(),
                LIVE_PAGES.held(),
                DATABASE_LOCKS.held(),
            ):
                without_limit(held.client)
                self._loop, self._context = asyncio.get_running_loop(), copy_context()
                # by default six: as many names that nobody resolves would stop all sites
                self._loop.set_default_executor(ThreadPoolExecutor(_THREADS, "flow"))
                self._ready.set()
                await self._ended.wait()
                await cancel(asyncio.all_tasks() - {asyncio.current_task()})

    async def _run(self, flow_run: FlowRun) -> State[Any]:
        flow = await self._load(flow_run)
        request = self._cancellable[flow_run.id] = _CancelRequest()
        try:
            run = run_cycle_by_engine if is_cycle(flow_run) and flow.isasync else run_by_engine
            return await run(_cancelled_on(request, flow), flow_run)
        finally:
            del self._cancellable[flow_run.id]

    async def _run_offline(self, schedule: CycleSchedule, due: datetime) -> State[Any]:
        flow = self._flows[schedule.deployment_id]
        parameters = flow.validate_parameters(dict(schedule.parameters))
        with offline(due):
            async with asyncio.timeout(flow.timeout_seconds):
                state: State[Any] = await flow.fn(**parameters)
                return state

    async def _stand_by(self, flow_run: FlowRun, schedule: CycleSchedule) -> None:
        await _leave_devices(schedule)
        if not self.has_loaded(schedule.deployment_id):
            for name in schedule.sites:
                await Site.load(name)
            await self._load(flow_run)

    async def _load(self, flow_run: FlowRun) -> AnyFlow:
        deployment_id = deployment_of(flow_run)
        if deployment_id not in self._flows:
            # The decorator takes the client out of the context.
            self._flows[deployment_id] = await load_flow_from_flow_run(
                flow_run, use_placeholder_flow=False
            )
        return self._flows[deployment_id]


async def _leave_devices(schedule: CycleSchedule) -> None:
    for name in schedule.sites:
        with suppress(ConfigurationError):  # never loaded here
            site = Site.last_known(name)
            for one in Chargers.of(site).all:
                CONNECTIONS.leave_charger(site.credentials, one.address.charger_id)
            await CONNECTIONS.leave(site.inverter)


async def _restore_batteries(records: Sequence[Path]) -> None:
    await asyncio.gather(*map(_restore_battery, records))


async def _restore_battery(record: Path) -> None:
    """Try until it works, or a cycle has done it."""
    pause_s = _RESTORE_AGAIN_S
    while True:
        try:
            await CONNECTIONS.restore_battery(record)
            return
        except InverterError as error:
            get_logger("battery").warning("The battery may still be limited. %s", error)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


class _CancelRequest:
    """A request to end a run now."""

    def __init__(self) -> None:
        self.made = False
        self.task: asyncio.Future[Any] | None = None

    def make(self) -> None:
        """Make the request."""
        self.made = True
        if self.task is not None:
            self.task.cancel()


def _cancelled_on(request: _CancelRequest, flow: AnyFlow) -> AnyFlow:
    """The flow with a function that ends as Cancelled on request.

    Cancelling the engine itself would be reported as a crash.
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

    wrapped: Any = in_loop if flow.isasync else in_thread
    # String annotations belong to the flow's own module.
    wrapped.__signature__ = signature(function, eval_str=True)
    flow.fn = wrapped
    return flow
