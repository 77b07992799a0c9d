"""This process as a client of a Prefect server that a test started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.events.worker import EventsWorker
from prefect.settings import temporary_settings

_GONE_S, _THERE_S = 3.0, 30.0
"""How long events wait for the server of an earlier test, and for this one."""


@contextmanager
def talking_to(settings: dict[Any, Any]) -> Iterator[None]:
    """Use these settings in the block, and leave no event for a server that is gone.

    Prefect keeps one sender of events per process, whatever the server's address is then: left
    alone, it would go on calling the stopped server in all later tests.
    """
    EventsWorker.drain_all(timeout=_GONE_S)
    with temporary_settings(settings):
        try:
            yield
        finally:
            EventsWorker.drain_all(timeout=_THERE_S)
