"""The worker that runs flows in its own process: worker type `in-process`.

Started by `prefect worker start --pool home` for a pool of that type. A run is claimed when it is
due and not before, so that whatever ends the worker leaves nothing behind that nobody runs.

Deployments tagged `cycle` are control cycles. Of theirs, only the newest due run counts, and what
Prefect does not start in time is done without Prefect.
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
    DeploymentFilter,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterId,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import OrchestrationResult, SetStateStatus
from prefect.exceptions import Abort, ObjectNotFound
from prefect.states import Crashed, Pending
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult

from easee_load_balancer.orchestration.worker.flow_runner import FlowHost
from easee_load_balancer.orchestration.worker.progress import Progress, from_the_future
from easee_load_balancer.orchestration.worker.run_states import (
    CYCLE_TAG,
    UNFINISHED,
    OwedStates,
    deployment_of,
    due_at,
    handed_back,
    in_states,
    is_cycle,
    is_outage,
    is_resumed,
    orphaned,
    superseded,
)
from easee_load_balancer.orchestration.worker.schedule import Plan, utc
from easee_load_balancer.system.hardening import keep_to_oneself
from easee_load_balancer.system.locks import PoolLock
from easee_load_balancer.system.settings import Settings

_PATIENCE_S = 4.0
"""A cycle that Prefect has not done so long after it was due is done without Prefect."""
_OUTAGE_PATIENCE_S = 0.5
"""The same, where the server did not answer just before."""
_POLL_S = 10.0
"""How long the server may take to tell what is due."""
_LEARN_EVERY_S = 30.0
_LONGEST_SLEEP_S = 2.0
_REMEMBERED = 2000
_GRACE = timedelta(seconds=1)
"""How much later than the server's run the clock looks after a cycle."""
_NEVER = datetime.min.replace(tzinfo=UTC)
_BATCH = 200
"""The server hands out no more scheduled runs at a time."""


class InProcessResult(BaseWorkerResult):
    """What became of a run; its identifier is the process id."""


class InProcessWorker(BaseWorker[BaseJobConfiguration, BaseVariables, InProcessResult]):
    """Runs flows in its own process; connections stay open between them."""

    type = "in-process"
    _display_name = "In-process"
    _description = (
        "Run flows inside the worker itself: a control cycle costs milliseconds instead of seconds."
        " Changed code is picked up when the worker is started again."
    )

    finish_s: ClassVar[float] = 10.0
    """How long runs may finish when the worker is asked to end."""

    async def setup(self) -> None:
        """Connect to the server, if it is there, and start the flow thread and the clock."""
        keep_to_oneself()
        self._host = FlowHost()
        self._tasks: set[asyncio.Task[None]] = set()
        self._attended: dict[UUID, asyncio.Task[None]] = {}
        """Runs that are waited for or under way."""
        self._started: dict[UUID, FlowRun] = {}
        self._finished: deque[UUID] = deque(maxlen=_REMEMBERED)
        self._plans: dict[UUID, Plan] = {}
        self._begun, self._done_alone = Progress(), Progress()
        self._owed = OwedStates()
        self._began = datetime.now(UTC)
        self._polled_s = self._learned_s = float("-inf")
        self._reachable, self._backlog = True, False
        self._pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[self._work_pool_name]))
        self._lock = PoolLock(Settings().folder, self._work_pool_name)
        self._orphans_possible = self._lock.alone
        self._host.start()
        await super().setup()
        self._clock = self._spawn(self._watch_clock())

    async def teardown(self, *exc_info: Any) -> None:
        """Let what runs finish, hand back what does not, and close the connections."""
        self._clock.cancel()
        for run_id in self._attended.keys() - self._started.keys():
            self._attended[run_id].cancel()
        resumed = {run_id for run_id, run in self._started.items() if is_resumed(run)}
        finishing = [task for run_id, task in self._attended.items() if run_id not in resumed]
        if finishing:
            await asyncio.wait(finishing, timeout=self.finish_s)
        for run_id in self._started:
            self._owed[run_id] = handed_back("its worker was stopped")
        await asyncio.to_thread(self._host.stop)
        with suppress(httpx.HTTPError):
            await self._owed.pay(self.client, (*UNFINISHED, StateType.CRASHED))
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
        await asyncio.wrap_future(self._host.run(flow_run))
        return InProcessResult(identifier=str(os.getpid()), status_code=0)

    async def sync_with_backend(self) -> None:
        """Tell the server that the worker lives; an outage is no reason to end."""
        try:
            await super().sync_with_backend()
        except httpx.HTTPError as error:
            if not is_outage(error):
                raise

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Ask the server what is due soon and attend to it; called every few seconds."""
        runs: list[FlowRun] = []
        try:
            async with asyncio.timeout(_POLL_S):
                runs = await self._due_soon()
            self._backlog = len(runs) >= _BATCH
            self._attend_to(runs)
            await self._owed.pay(self.client)
            await self._end_what_was_cancelled()
            await self._look_around()
        except (httpx.HTTPError, TimeoutError) as error:
            if not is_outage(error):
                raise
            self._note_reachable(False)
        else:
            self._note_reachable(True)
        return runs

    async def _due_soon(self) -> list[FlowRun]:
        asked = datetime.now(UTC)
        try:
            answer = await self.client.get_scheduled_flow_runs_for_work_pool(
                work_pool_name=self._work_pool_name,
                work_queue_names=list(self._work_queues),
                scheduled_before=asked + timedelta(seconds=self._prefetch_seconds),
            )
        except ObjectNotFound:
            answer = []
        self._polled_s = time.monotonic()
        self._last_polled_time = asked
        return [one.flow_run for one in answer]

    def _attend_to(self, runs: Sequence[FlowRun]) -> None:
        """Wait for each until it is due; cycles older than the newest due one are not needed."""
        now = datetime.now(UTC)
        new = [run for run in runs if run.id not in self._attended and run.id not in self._finished]
        due: dict[UUID, datetime] = {}
        for run in new:
            if is_cycle(run) and due_at(run) <= now:
                deployment_id = deployment_of(run)
                due[deployment_id] = max(due_at(run), due.get(deployment_id, due_at(run)))
        for run in new:
            reason = self._not_needed(run, due)
            if reason is not None:
                self._owed[run.id] = superseded(reason)
            else:
                task = self._attended[run.id] = self._spawn(self._attend(run))
                task.add_done_callback(partial(self._forget, run.id))

    def _not_needed(self, run: FlowRun, due: Mapping[UUID, datetime]) -> str | None:
        """Why a cycle is superseded, given the newest that is due; None if it is not."""
        if not is_cycle(run):
            return None
        cycle = (deployment_of(run), due_at(run))
        if self._done_alone.reached(*cycle):
            return "done without the Prefect server"
        if self._begun.reached(*cycle):
            return "a newer cycle has begun"
        if due_at(run) < due.get(deployment_of(run), _NEVER):
            return "a newer cycle is due"
        return None

    def _forget(self, run_id: UUID, task: asyncio.Task[None]) -> None:
        self._attended.pop(run_id, None)
        self._started.pop(run_id, None)
        self._finished.append(run_id)

    async def _attend(self, run: FlowRun) -> None:
        """Claim a run when it is due, and carry it out; a cycle is done even without Prefect."""
        await asyncio.sleep((due_at(run) - datetime.now(UTC)).total_seconds())
        cycle = is_cycle(run)
        if cycle:
            self._begun.note(deployment_of(run), due_at(run))
        try:
            async with asyncio.timeout(self._patience_s() if cycle else None):
                claimed = await self._claim(run)
        except (httpx.HTTPError, TimeoutError):
            self._note_reachable(False)
            await self._do_without(run)
            return
        if claimed:
            self._started[run.id] = run
            running = self._spawn(self._carry_out(run))
            if cycle:
                await asyncio.wait({running}, timeout=_PATIENCE_S)
                if not running.done():
                    await self._alone(deployment_of(run), due_at(run))
            await running

    async def _claim(self, run: FlowRun) -> bool:
        """Whether the run is ours: not cancelled, not deleted, not another worker's."""
        try:
            answer: OrchestrationResult[Any] = await self.client.set_flow_run_state(
                run.id, Pending()
            )
        except ObjectNotFound:
            return False
        if answer.status is not SetStateStatus.ACCEPT:
            return False
        run.state = answer.state
        return True

    async def _carry_out(self, run: FlowRun) -> None:
        running = asyncio.ensure_future(self.run(run, self.job_configuration()))
        await asyncio.wait({running})
        error = None if running.cancelled() else running.exception()
        if isinstance(error, httpx.HTTPError):
            await self._do_without(run)
        elif error is not None and not isinstance(error, Abort):
            self._logger.error("%s could not be run: %r", run.name, error, exc_info=error)
            self._owed[run.id] = Crashed(message=f"It could not be run: {error!r}")

    async def _do_without(self, run: FlowRun) -> None:
        """The server could not be reached for this run: it is owed a state, the house its cycle."""
        if is_cycle(run):
            self._owed[run.id] = superseded("done without the Prefect server")
            await self._alone(deployment_of(run), due_at(run))
        else:
            self._owed[run.id] = handed_back("the server could not be reached")

    async def _alone(self, deployment_id: UUID, due: datetime) -> None:
        """Do a cycle without Prefect; it touches nothing if it has been done already."""
        plan = self._plans.get(deployment_id)
        if plan is None or not self._host.knows(deployment_id):
            self._logger.warning("A cycle is due, but nothing is known of it without the server.")
            return
        running = asyncio.wrap_future(self._host.run_alone(plan, due))
        await asyncio.wait({running})
        error = None if running.cancelled() else running.exception()
        if error is not None:
            self._logger.error("A cycle without Prefect failed: %r", error, exc_info=error)
        elif not running.cancelled() and not running.result().is_cancelled():
            self._done_alone.note(deployment_id, due)
            self._logger.info("Without Prefect: %s", running.result().message)

    async def _watch_clock(self) -> None:
        """Step in for cycles of which the server has said nothing."""
        while True:
            now = datetime.now(UTC)
            sleep_s = _LONGEST_SLEEP_S
            for plan in self._plans.values():
                due = plan.latest_due(now - _GRACE)
                if due is not None and self._is_new(plan.deployment_id, due):
                    self._begun.note(plan.deployment_id, due)
                    self._spawn(self._step_in(plan, due))
                upcoming = plan.next_due(now - _GRACE)
                if upcoming is not None:
                    sleep_s = min(sleep_s, (upcoming + _GRACE - now).total_seconds())
            await asyncio.sleep(sleep_s)

    def _is_new(self, deployment_id: UUID, due: datetime) -> bool:
        before_us = due <= self._began and not from_the_future(self._began)
        return not before_us and not self._begun.reached(deployment_id, due)

    async def _step_in(self, plan: Plan, due: datetime) -> None:
        try:
            async with asyncio.timeout(self._patience_s()):
                if await self._server_sees_to(plan, due):
                    return
        except (httpx.HTTPError, TimeoutError):
            self._note_reachable(False)
        await self._alone(plan.deployment_id, due)

    async def _server_sees_to(self, plan: Plan, due: datetime) -> bool:
        """Whether the server has a run for that time, or no longer wants one."""
        unheard_s = time.monotonic() - self._polled_s
        if self._backlog or not self._reachable or unheard_s > 2 * self._prefetch_seconds:
            return False
        margin = timedelta(seconds=0.5)
        runs = await self.client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                deployment_id=FlowRunFilterDeploymentId(any_=[plan.deployment_id]),
                expected_start_time=FlowRunFilterExpectedStartTime(
                    after_=due - margin, before_=due + margin
                ),
            ),
        )
        if any(run.start_time is None or not from_the_future(utc(run.start_time)) for run in runs):
            return True
        await self._learn()
        known = self._plans.get(plan.deployment_id)
        return known is None or known.latest_due(due) != due

    async def _look_around(self) -> None:
        """What is asked less often: which cycles there are, and what another worker left."""
        if time.monotonic() - self._learned_s > _LEARN_EVERY_S:
            await self._learn()
        if self._orphans_possible:
            await self._adopt_orphans()
            self._orphans_possible = False

    async def _learn(self) -> None:
        deployments = await self.client.read_deployments(
            work_pool_filter=self._pool,
            deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=[CYCLE_TAG])),
        )
        self._plans = {one.id: Plan.of(one) for one in deployments}
        self._learned_s = time.monotonic()

    async def _adopt_orphans(self) -> None:
        """Give a final state to what a worker that was killed has left."""
        runs = await self.client.read_flow_runs(
            work_pool_filter=self._pool,
            flow_run_filter=in_states(StateType.RUNNING, StateType.PENDING, StateType.CANCELLING),
            limit=_BATCH,
        )
        for run in runs:
            if run.id not in self._started and (run.start_time or due_at(run)) < self._began:
                self._owed[run.id] = orphaned(run)
        await self._owed.pay(self.client)

    async def _end_what_was_cancelled(self) -> None:
        if self._started:
            wanted = in_states(StateType.CANCELLING, StateType.CANCELLED)
            wanted.id = FlowRunFilterId(any_=list(self._started))
            for run in await self.client.read_flow_runs(flow_run_filter=wanted):
                self._host.cancel(run.id)

    def _patience_s(self) -> float:
        return _PATIENCE_S if self._reachable else _OUTAGE_PATIENCE_S

    def _note_reachable(self, reachable: bool) -> None:
        if reachable != self._reachable:
            self._reachable = reachable
            if reachable:
                self._logger.info("The Prefect server can be reached again.")
            else:
                self._logger.warning("The Prefect server does not answer: going on without it.")

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        task.add_done_callback(self._report)
        self._tasks.add(task)
        return task

    def _report(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._logger.error("Something is wrong in the worker: %r", error, exc_info=error)
