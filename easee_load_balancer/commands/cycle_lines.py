"""A line on the terminal for each control cycle and each plan that has ended."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from rich.console import Console
from rich.markup import escape

from easee_load_balancer.orchestration.own_addresses import HOME
from easee_load_balancer.orchestration.worker.run_states import CYCLE_TAG

_COLOURS = {
    StateType.COMPLETED: "green",
    StateType.FAILED: "red",
    StateType.CRASHED: "red",
    StateType.CANCELLED: "yellow",
}
_FLOWS = ("balance", "balance_group", "plan")
_AT_ONCE = 20


class CycleLines:
    """Prints each run of a cycle or a plan once, from those due after this object's creation."""

    def __init__(self, client: SyncPrefectClient, console: Console) -> None:
        self._client = client
        self._console = console
        self._since = datetime.now(UTC)
        self._seen: set[UUID] = set()
        self._printed_s = time.monotonic()
        self.completed = 0
        self.failed = 0

    @property
    def silent_s(self) -> float:
        """Time since the last line."""
        return time.monotonic() - self._printed_s

    def print_new(self) -> None:
        """Print the runs that ended since the last call. Raises httpx.HTTPError."""
        runs = self._client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=list(_FLOWS))),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(_COLOURS))),
                expected_start_time=FlowRunFilterExpectedStartTime(after_=self._since),
            ),
            sort=FlowRunSort.END_TIME_DESC,
            limit=_AT_ONCE,
        )
        for run in reversed(runs):
            if run.id not in self._seen:
                self._print(run)
        self._seen = {run.id for run in runs}

    def _print(self, run: FlowRun) -> None:
        self._printed_s = time.monotonic()
        began = run.start_time or run.expected_start_time
        assert run.state is not None
        assert began is not None
        kind, name = run.state.type, run.state.name or ""
        if CYCLE_TAG in run.tags:
            self.completed += kind == StateType.COMPLETED
            self.failed += kind in (StateType.FAILED, StateType.CRASHED)
        elif run.deployment_id is not None and kind == StateType.COMPLETED:
            name = "Plan"  # without a deployment it is a cycle by hand
        colour = "yellow" if name == "Attention" else _COLOURS[kind]
        self._console.print(
            f"[dim]{began.astimezone():%H:%M:%S}[/dim] "
            f"[{colour}]{name:<10}[/] {_place(run)}{escape(run.name)} "
            f"[dim]({run.total_run_time.total_seconds():.1f} s)[/dim]"
        )


def _place(run: FlowRun) -> str:
    """The site of the run, where it is a further one."""
    site = str(run.parameters.get("site", HOME))
    return "" if site == HOME else f"{escape(site)}: "
