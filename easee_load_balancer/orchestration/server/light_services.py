"""Prefect's background services, looking for work once a second.

Prefect starts their runner with its defaults. It looks four times a second, in two loops, which is
a fifth of what an idle server uses. There is no setting for it.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from docket import Worker
from prefect.server.api import background_workers

_EVERY = timedelta(seconds=1)


def look_once_a_second() -> None:
    """Let the services of this process look for work once a second; before the server starts."""
    services: Any = background_workers
    services.Worker = partial(Worker, minimum_check_interval=_EVERY, scheduling_resolution=_EVERY)
