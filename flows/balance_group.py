"""The control cycles of a group of sites in one run: for owners of hundreds of them."""

from __future__ import annotations

import asyncio
from asyncio import gather
from datetime import timedelta
from typing import Annotated, Any

from balance import balance
from prefect import flow
from prefect.client.schemas.objects import State

from easee_load_balancer.errors import BalancerError
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.orchestration.parameters import SiteName, TimeZone, shown
from easee_load_balancer.orchestration.worker.offline import part_of_run
from tasks.group import end_group
from tasks.run import Run, failed, superseded

_LONGEST_S = 26.0


@flow(name="balance_group", timeout_seconds=28, persist_result=False)
async def balance_group(
    sites: Annotated[list[SiteName], shown("Sites")],
    latest_start_s: Annotated[int, shown("Latest start (s)", 30, ge=1, le=3600)] = 30,
    time_zone: TimeZone = "Europe/Stockholm",
) -> State[Any]:
    """Run a cycle of each site at the same time, as `balance` does; none waits for another.

    Args:
        sites: Names of the sites.
        latest_start_s: Cycles that start later than this many seconds after they were due do
            nothing.
        time_zone: IANA name of the sites' time zone, for prices by hour.
    """
    run = Run.current()
    if run.delay > timedelta(seconds=latest_start_s):
        return await superseded(f"it was due {run.delay.total_seconds():.0f} s ago")
    try:
        if not run.alone:
            await Site.look_up(sites)
    except BalancerError as error:
        return await failed(str(error))
    parts = (_part(site, latest_start_s, time_zone) for site in sites)
    ends = await gather(*parts, return_exceptions=True)
    return await end_group(dict(zip(sites, ends, strict=True)))


async def _part(site: str, latest_start_s: int, time_zone: str) -> State[Any]:
    """The cycle of one site; its steps are no task runs."""
    with part_of_run(site):
        async with asyncio.timeout(_LONGEST_S):
            state: State[Any] = await balance.fn(site, latest_start_s, time_zone)
            return state
