"""The lines that `up` prints for the runs that have ended."""

from __future__ import annotations

import io
from typing import Any, cast
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Completed, Failed
from rich.console import Console

from easee_load_balancer.commands.cycle_lines import CycleLines

SCHEDULED: dict[str, Any] = {"deployment_id": uuid4(), "tags": ["home", "cycle"]}
PLANNED: dict[str, Any] = {"deployment_id": uuid4(), "tags": ["home", "housekeeping"]}
BY_HAND: dict[str, Any] = {"deployment_id": None, "tags": []}


class Ended:
    """A server where one run has ended."""

    def __init__(self, run: FlowRun) -> None:
        self._run = run

    def read_flow_runs(self, **_: Any) -> list[FlowRun]:
        return [self._run]


@pytest.mark.parametrize(
    ("case", "state", "label", "counted"),
    [
        (SCHEDULED, Completed(), "Completed", (1, 0)),
        (SCHEDULED, Completed(name="Attention"), "Attention", (1, 0)),
        (SCHEDULED, Failed(), "Failed", (0, 1)),
        (PLANNED, Completed(), "Plan", (0, 0)),
        (PLANNED, Failed(), "Failed", (0, 0)),
        (BY_HAND, Completed(), "Completed", (0, 0)),
    ],
)
def test_a_line_begins_with_what_has_ended_and_how(
    case: dict[str, Any], state: State[Any], label: str, counted: tuple[int, int]
) -> None:
    run = FlowRun(name="9 A x 3", flow_id=uuid4(), state=state, start_time=state.timestamp, **case)
    screen = io.StringIO()
    lines = CycleLines(cast("SyncPrefectClient", Ended(run)), Console(file=screen))
    lines.print_new()
    lines.print_new()  # a run has one line
    [line] = screen.getvalue().splitlines()
    assert line[9:].startswith(f"{label:<10} 9 A x 3 (")
    assert (lines.completed, lines.failed) == counted
