"""One page for all sites, where there is more than one."""

from __future__ import annotations

from datetime import datetime

from prefect import flow
from prefect.client.schemas.objects import State

from easee_load_balancer.errors import BalancerError
from easee_load_balancer.orchestration.parameters import TimeZone
from easee_load_balancer.periods import time_zone_called
from tasks.overview import publish_overview, read_sites
from tasks.run import completed, failed


@flow(name="overview", flow_run_name="Overview", timeout_seconds=180, persist_result=False)
async def overview(time_zone: TimeZone = "Europe/Stockholm") -> State[int]:
    """Show which sites are well, which charge, and what the day has brought.

    Args:
        time_zone: IANA name of the time zone in which the page says when it was updated.
    """
    try:
        now = datetime.now(time_zone_called(time_zone))
        sites = await read_sites()
        if len(sites) < 2:
            return await completed("there is only one site", len(sites))
        headline = await publish_overview(sites, now)
    except BalancerError as error:
        return await failed(str(error))
    return await completed(headline, len(sites))
