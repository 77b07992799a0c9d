"""Running a cycle without the Prefect server: the same flow function, called as a plain function.

While the context is entered, steps are not task runs, and the blocks are the last ones loaded.
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
