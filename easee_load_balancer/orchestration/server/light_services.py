"""Prefect's background services, looking for work once a second; with the server or alone.

Prefect starts their runner with its defaults. It looks four times a second, in two loops, which is
a fifth of what an idle server uses. There is no setting for it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from docket import Docket, Worker
from prefect.server.api import background_workers
from prefect.server.services.base import Service
from prefect.settings import get_current_settings

from easee_load_balancer.system.processes import interrupt_on_signals

_EVERY = timedelta(seconds=1)
_AGAIN = timedelta(seconds=30)
"""When work is done again that was interrupted by the loss of Redis. The default is five minutes,
in which nothing is scheduled. Work that takes longer keeps its claim."""
_DOCKET = "services"
"""Not that of API servers: their runners would take a service, not know it and drop it."""


def look_once_a_second() -> None:
    """Let the services of this process look for work once a second; before the server starts."""
    services: Any = background_workers
    services.Worker = partial(Worker, minimum_check_interval=_EVERY, scheduling_resolution=_EVERY)


def run_services() -> None:
    """Run the services without a server, as `prefect server services start`, until a signal."""
    services: Any = background_workers
    services.Worker = partial(services.Worker, redelivery_timeout=_AGAIN)
    interrupt_on_signals()
    with suppress(KeyboardInterrupt):
        asyncio.run(_run())


async def _run() -> None:
    url = get_current_settings().server.docket.url
    async with (
        Docket(name=_DOCKET, url=url, execution_ttl=timedelta(0)) as docket,
        background_workers.background_worker(docket),
    ):
        await Service.run_services()
