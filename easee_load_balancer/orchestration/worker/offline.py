"""Running a cycle without a flow run of its own: the same function, called as a plain function.

Offline, without the Prefect server, or as a part of a run for several sites. In both, steps are not
task runs; offline, the blocks are the last ones loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

_DUE: ContextVar[datetime | None] = ContextVar("easee_balancer_offline", default=None)


@contextmanager
def offline(due: datetime) -> Iterator[None]:
    """Run the cycle due at that time without Prefect."""
    token = _DUE.set(due)
    try:
        yield
    finally:
        _DUE.reset(token)


def offline_due() -> datetime | None:
    """When the current offline cycle was due; None in a flow run of Prefect."""
    return _DUE.get()


_PART: ContextVar[str] = ContextVar("easee_balancer_part", default="")


@contextmanager
def part_of_run(site: str) -> Iterator[None]:
    """Run the cycle of that site as a part of the present flow run."""
    token = _PART.set(site)
    try:
        yield
    finally:
        _PART.reset(token)


def part() -> str:
    """The site whose cycle is a part of the present run; empty in a run of its own."""
    return _PART.get()


def has_task_runs() -> bool:
    """Whether the steps of the present cycle are task runs of Prefect."""
    return offline_due() is None and not part()
