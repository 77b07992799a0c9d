"""The worker that runs flows in its own process: worker type `in-process`.

A run is claimed only when it is due, so that a worker that is killed leaves no claimed runs behind.

Runs of deployments tagged `cycle` are control cycles: only the newest due run is carried out, and
if Prefect does not start it in time, the worker runs it offline, without Prefect.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

import anyio.abc
import httpx
from prefect.client.schemas.filters import (
    FlowRunFilterId,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import OrchestrationResult, SetStateStatus
from prefect.exceptions import Abort, ObjectNotFound
from prefect.states import Crashed, Pending
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult

from easee_load_balancer.orchestration.pairing import Pairing, folder_id
from easee_load_balancer.orchestration.worker.due_runs import DueRuns, read_schedules, runs_at
from easee_load_balancer.orchestration.worker.flow_runner import FlowRunner
from easee_load_balancer.orchestration.worker.lost_connections import without_limit
from easee_load_balancer.orchestration.worker.orphans import claim_of, orphans
from easee_load_balancer.orchestration.worker.own_process import OwnProcesses
from easee_load_balancer.orchestration.worker.progress import Progress, in_future
from easee_load_balancer.orchestration.worker.run_states import (
    UNFINISHED,
    PendingStates,
    cancelled,
    deployment_of,
    due_at,
    has_own_process,
    in_states,
    is_cycle,
    is_looked_after,
    is_outage,
    is_resumed,
    orphaned,
    requeued,
    superseded,
)
from easee_load_balancer.orchestration.worker.schedule import CycleSchedule
from easee_load_balancer.orchestration.worker.sharing import Sharing
from easee_load_balancer.system.hardening import harden_process
from easee_load_balancer.system.locks import PoolLock
from easee_load_balancer.system.settings import Settings

_OFFLINE_AFTER_S = 4.0
"""A cycle that Prefect has not run this long after it was due runs offline."""
_OFFLINE_AFTER_OUTAGE_S = 0.5
"""The same while the server does not answer."""
_POLL_TIMEOUT_S = 10.0
_REFRESH_S = 60.0
"""How often the schedules are read from the server."""
_LONGEST_SLEEP_S = 2.0
_FINISHED_KEPT = 2000
_CLAIMS_AT_ONCE = 8
_CLOCK_DELAY = timedelta(seconds=1)
"""The clock leaves the server this much time to deliver a cycle's run."""
_DONE_OFFLINE = "done without the Prefect server"


class InProcessResult(BaseWorkerResult):
    """The result of a run; its identifier is the process id."""


class InProcessWorker(BaseWorker[BaseJobConfiguration, BaseVariables, InProcessResult]):
    """Runs flows in its own process; connections stay open between them."""

    type = "in-process"
    _display_name = "In-process"
    _description = (
        "Run flows inside the worker itself: a control cycle costs milliseconds instead of seconds."
        " Restart the worker after a change of code."
    )

    finish_s: ClassVar[float] = 10.0
    """How long runs may take to finish when the worker stops."""

    async def setup(self) -> None:
        """Connect to the server if it is available, and start the flow thread and the clock."""
        harden_process()
        self._runner = FlowRunner()
        self._own_processes = OwnProcesses()
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepted: dict[UUID, asyncio.Task[None]] = {}
        """Runs that wait until they are due, or are running."""
        self._started: dict[UUID, FlowRun] = {}
        self._finished: deque[UUID] = deque(maxlen=_FINISHED_KEPT)
        self._schedules: dict[UUID, CycleSchedule] = {}
        self._started_cycles, self._offline_cycles = Progress(), Progress()
        self._pending = PendingStates()
        self._claims = asyncio.Semaphore(_CLAIMS_AT_ONCE)
        self._began_at = datetime.now(UTC)
        self._polled_s = self._refreshed_s = float("-inf")
        self._reachable = True
        self._due = DueRuns(self._work_pool_name, self._work_queues, self._prefetch_seconds)
        self._pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[self._work_pool_name]))
        self._lock = PoolLock(Settings().folder, self._work_pool_name)
        self._orphans_possible = self._lock.alone
        self._pairing = Pairing(Settings().folder, self._work_pool_name)
        shared = Settings().shared_pool
        self._claim_message = claim_of(folder_id() if shared else "")
        self._sharing = Sharing(self._work_pool_name, self.name, shared=shared)
        self._runner.start()
        if self._lock.alone:
            self._runner.restore_batteries(Settings().folder)
        await super().setup()
        without_limit(self.client)
        self._clock = self._spawn(self._run_clock())

    async def teardown(self, *exc_info: Any) -> None:
        """Let runs finish, requeue those that do not, and close the connections."""
        self._clock.cancel()
        for run_id in self._accepted.keys() - self._started.keys():
            self._accepted[run_id].cancel()
        resumed = {run_id for run_id, run in self._started.items() if is_resumed(run)}
        finishing = [task for run_id, task in self._accepted.items() if run_id not in resumed]
        if finishing:
            await asyncio.wait(finishing, timeout=self.finish_s)
        for run_id in self._started:
            self._pending[run_id] = requeued("its worker was stopped")
        self._own_processes.end_all()
        await asyncio.to_thread(self._runner.stop)
        try:
            with suppress(httpx.HTTPError):
                await self._pending.flush(self.client, (*UNFINISHED, StateType.CRASHED))
        finally:
            self._lock.release()
        await super().teardown(*exc_info)

    async def run(
        self,
        flow_run: FlowRun,
        configuration: BaseJobConfiguration,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> InProcessResult:
        """Run a claimed flow run to its end."""
        if task_status is not None:
            task_status.started(os.getpid())
        if has_own_process(flow_run):
            code = await self._own_processes.run(flow_run.id)
            if code and flow_run.id not in self._pending:  # sent unless the run has ended
                self._pending[flow_run.id] = Crashed(message=f"Its process ended with code {code}.")
        else:
            await asyncio.wrap_future(self._runner.run(flow_run))
        return InProcessResult(identifier=str(os.getpid()), status_code=0)

    async def sync_with_backend(self) -> None:
        """Send a heartbeat to the server; the worker survives an outage."""
        try:
            await super().sync_with_backend()
        except httpx.HTTPError as error:
            if not is_outage(error):
                raise

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Ask the server which runs are due soon, and accept them; called every few seconds."""
        runs: list[FlowRun] = []
        try:
            if not await self._pairing.holds():
                return []
            async with asyncio.timeout(_POLL_TIMEOUT_S):
                runs = await self._due.read(self.client, self._accepted)
            self._polled_s, self._last_polled_time = time.monotonic(), datetime.now(UTC)
            self._accept(runs)
            await self._pending.flush(self.client)
            await self._stop_cancelled_runs()
            await self._refresh()
        except (httpx.HTTPError, TimeoutError) as error:
            if not is_outage(error):
                raise
            self._set_reachable(False)
        else:
            self._set_reachable(True)
        return runs

    def _accept(self, runs: Sequence[FlowRun]) -> None:
        """Carry out each run when it is due; cycles older than the newest due are superseded."""
        now = datetime.now(UTC)
        new = [run for run in runs if run.id not in self._accepted and run.id not in self._finished]
        newest_due: dict[UUID, datetime] = {}
        for run in sorted(new, key=due_at):
            if is_cycle(run) and due_at(run) <= now:
                newest_due[deployment_of(run)] = due_at(run)
        for run in new:
            reason = self._why_superseded(run, newest_due)
            if reason is not None:
                self._pending[run.id] = superseded(reason)
            else:
                task = self._accepted[run.id] = self._spawn(self._carry_out(run))
                task.add_done_callback(partial(self._forget, run.id))

    def _why_superseded(self, run: FlowRun, newest_due: Mapping[UUID, datetime]) -> str | None:
        if not is_cycle(run):
            return None
        cycle = (deployment_of(run), due_at(run))
        if self._offline_cycles.reached(*cycle):
            return _DONE_OFFLINE
        if self._started_cycles.reached(*cycle):
            return "a newer cycle has started"
        if due_at(run) < newest_due.get(deployment_of(run), due_at(run)):
            return "a newer cycle is due"
        return None

    def _forget(self, run_id: UUID, task: asyncio.Task[None]) -> None:
        self._accepted.pop(run_id, None)
        self._started.pop(run_id, None)
        self._finished.append(run_id)

    async def _carry_out(self, run: FlowRun) -> None:
        """Claim a run when it is due, and run it; a cycle also runs without Prefect."""
        await asyncio.sleep((due_at(run) - datetime.now(UTC)).total_seconds())
        cycle = is_cycle(run)
        if cycle:
            self._started_cycles.record(deployment_of(run), due_at(run))
            await self._sharing.stand_back(deployment_of(run))
        try:
            async with asyncio.timeout(self._offline_after_s() if cycle else None), self._claims:
                claimed = await self._claim(run)
        except (httpx.HTTPError, TimeoutError):
            self._set_reachable(False)
            await self._run_without_server(run)
            return
        if claimed:
            self._started[run.id] = run
            running = self._spawn(self._run_claimed(run))
            if cycle:
                await asyncio.wait({running}, timeout=_OFFLINE_AFTER_S)
                if not running.done():
                    await self._run_offline(deployment_of(run), due_at(run))
            await running
        elif cycle and self._sharing.shared and deployment_of(run) in self._schedules:
            self._runner.stand_by(run, self._schedules[deployment_of(run)])

    async def _claim(self, run: FlowRun) -> bool:
        """Whether this worker got the run: it is not cancelled, deleted or another worker's."""
        try:
            if not await self._sharing.is_free(self.client, run.id):
                return False
            result: OrchestrationResult[Any] = await self.client.set_flow_run_state(
                run.id, Pending(message=self._claim_message)
            )
        except ObjectNotFound:
            return False
        if result.status is not SetStateStatus.ACCEPT:
            return False
        run.state = result.state
        return True

    async def _run_claimed(self, run: FlowRun) -> None:
        running = asyncio.ensure_future(self.run(run, self.job_configuration()))
        await asyncio.wait({running})
        error = None if running.cancelled() else running.exception()
        if isinstance(error, httpx.HTTPError):
            await self._run_without_server(run)
        elif error is not None and not isinstance(error, Abort):
            self._logger.error("Could not run %s: %r", run.name, error, exc_info=error)
            self._pending[run.id] = Crashed(message=f"The worker could not run it: {error!r}")

    async def _run_without_server(self, run: FlowRun) -> None:
        """Queue the run's state update; a cycle runs offline."""
        if is_cycle(run):
            self._pending[run.id] = superseded(_DONE_OFFLINE)
            await self._run_offline(deployment_of(run), due_at(run))
        else:
            self._pending[run.id] = requeued("the server could not be reached")

    async def _run_offline(self, deployment_id: UUID, due: datetime) -> None:
        """Run a cycle without Prefect; the flow itself does nothing if that cycle is done."""
        schedule = self._schedules.get(deployment_id)
        if schedule is None or not self._runner.has_loaded(deployment_id):
            self._logger.warning("Skipping a cycle: it has not been loaded from the server yet.")
            return
        running = asyncio.wrap_future(self._runner.run_offline(schedule, due))
        await asyncio.wait({running})
        error = None if running.cancelled() else running.exception()
        if error is not None:
            self._logger.error("A cycle without Prefect failed: %r", error, exc_info=error)
        elif not running.cancelled() and not running.result().is_cancelled():
            self._offline_cycles.record(deployment_id, due)
            self._logger.info("Without Prefect: %s", running.result().message)

    async def _run_clock(self) -> None:
        """Run the cycles for which the server delivers no run."""
        while True:
            now = datetime.now(UTC)
            sleep_s = _LONGEST_SLEEP_S
            for schedule in self._schedules.values():
                due = schedule.latest_due(now - _CLOCK_DELAY)
                loaded = self._runner.has_loaded(schedule.deployment_id)
                if due is not None and loaded and self._is_new(schedule.deployment_id, due):
                    self._started_cycles.record(schedule.deployment_id, due)
                    self._spawn(self._run_unless_server_does(schedule, due))
                upcoming = schedule.next_due(now - _CLOCK_DELAY)
                if upcoming is not None:
                    sleep_s = min(sleep_s, (upcoming + _CLOCK_DELAY - now).total_seconds())
            await asyncio.sleep(sleep_s)

    def _is_new(self, deployment_id: UUID, due: datetime) -> bool:
        before_start = due <= self._began_at and not in_future(self._began_at)
        return not before_start and not self._started_cycles.reached(deployment_id, due)

    async def _run_unless_server_does(self, schedule: CycleSchedule, due: datetime) -> None:
        try:
            async with asyncio.timeout(self._offline_after_s()):
                if await self._server_handles(schedule, due):
                    return
        except (httpx.HTTPError, TimeoutError):
            self._set_reachable(False)
        await self._sharing.stand_back(schedule.deployment_id)
        await self._run_offline(schedule.deployment_id, due)

    async def _server_handles(self, schedule: CycleSchedule, due: datetime) -> bool:
        """Whether the server has a run for that time, or no longer schedules one."""
        silent_s = time.monotonic() - self._polled_s
        if self._due.backlog or not self._reachable or silent_s > 2 * self._prefetch_seconds:
            return False
        runs = await runs_at(self.client, schedule.deployment_id, due)
        if any(is_looked_after(run, by_others=self._sharing.shared) for run in runs):
            return True
        await self._read_schedules()
        current = self._schedules.get(schedule.deployment_id)
        return current is None or current.latest_due(due) != due

    async def _refresh(self) -> None:
        """Read the schedules now and then, and once the runs that a killed worker left."""
        if time.monotonic() - self._refreshed_s > _REFRESH_S:
            await self._read_schedules()
            await self._sharing.refresh(self.client)
        if self._orphans_possible:
            await self._end_orphans()
            self._orphans_possible = False

    async def _read_schedules(self) -> None:
        self._schedules = await read_schedules(self.client, self._pool)
        self._refreshed_s = time.monotonic()

    async def _end_orphans(self) -> None:
        """Update the state of runs that a killed worker left."""
        found = (self._began_at, self._started, self._claim_message)
        for run in await orphans(self.client, self._pool, *found):
            self._pending[run.id] = orphaned(run)
        await self._pending.flush(self.client)

    async def _stop_cancelled_runs(self) -> None:
        if self._started:
            wanted = in_states(StateType.CANCELLING, StateType.CANCELLED)
            wanted.id = FlowRunFilterId(any_=list(self._started))
            for run in await self.client.read_flow_runs(flow_run_filter=wanted):
                self._runner.cancel(run.id)
                if has_own_process(run):
                    self._pending[run.id] = cancelled()
                    self._own_processes.end(run.id)

    def _offline_after_s(self) -> float:
        return _OFFLINE_AFTER_S if self._reachable else _OFFLINE_AFTER_OUTAGE_S

    def _set_reachable(self, reachable: bool) -> None:
        if reachable != self._reachable:
            self._reachable = reachable
            if reachable:
                self._logger.info("The Prefect server answers again.")
            else:
                self._logger.warning("The Prefect server does not answer; continuing without it.")

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        task.add_done_callback(self._report)
        self._tasks.add(task)
        return task

    def _report(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._logger.error("Unexpected error in the worker: %r", error, exc_info=error)
