"""A cycle without the Prefect server: the same flow function and steps, called as plain functions.

While the context is entered, steps are no task runs and the blocks are those last loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

_DUE: ContextVar[datetime | None] = ContextVar("easee_balancer_alone", default=None)


@contextmanager
def alone(due: datetime) -> Iterator[None]:
    """Run the cycle that was due then without Prefect."""
    token = _DUE.set(due)
    try:
        yield
    finally:
        _DUE.reset(token)


def due_alone() -> datetime | None:
    """When the present cycle was due; None where it is a flow run of Prefect."""
    return _DUE.get()
