"""Steps: Prefect tasks within a flow run, plain functions where the cycle has no run of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, Unpack

from prefect import Task
from prefect.logging import get_logger
from prefect.tasks import TaskOptions

from easee_load_balancer.orchestration.worker.offline import has_task_runs

_NAMES: set[str] = set()
"""Of all steps."""


class _SaidByTheFlow(logging.Filter):
    """Drops the errors of steps: the flow ends with the same message, in one line."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log the record."""
        return record.levelno != logging.ERROR or getattr(record, "task_name", "") not in _NAMES


get_logger("task_runs").addFilter(_SaidByTheFlow())

P = ParamSpec("P")
R = TypeVar("R")


class _Step(Task[P, R]):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not has_task_runs():
            return self.fn(*args, **kwargs)
        return super().__call__(*args, **kwargs)


def step(**options: Unpack[TaskOptions]) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Like `prefect.task`, but the plain function while a cycle runs offline or in a group.

    Its runs have the step's name. Results stay in memory: Prefect would pickle what devices and
    cloud have sent. A step of the cycle has no tag: for each, Prefect asks the server for a
    concurrency slot, and where two ask at the same time, SQLite is locked and one waits
    for seconds.
    """
    options.setdefault("persist_result", False)
    options.setdefault("task_run_name", options.get("name"))

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        task = _Step(function, **options)
        _NAMES.add(task.name)
        return task

    return decorate
