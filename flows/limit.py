"""Limits the car's power for a time: started by hand or by the grid operator's signal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State

from easee_load_balancer.control.dimming import Dimming
from easee_load_balancer.errors import BalancerError
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.orchestration.parameters import SiteName, TimeZone, shown
from tasks.dimming import begin_dimming, find_dimming, follow_dimming
from tasks.requests import final_state
from tasks.run import Run, failed


@flow(name="limit", flow_run_name="Limit of {power_w} W", persist_result=False)
async def limit(
    power_w: Annotated[int, shown("Power (W)", 4200, ge=0, le=50_000)] = 4200,
    until: Annotated[str, shown("Until", "2 h", "18:00")] = "2 h",
    site: SiteName = Site.DEFAULT,
    time_zone: TimeZone = "Europe/Stockholm",
) -> State[Dimming]:
    """Give the car no more than this power. To end it early, cancel this run.

    It holds in every mode and during a boost, from the next cycle on.

    Args:
        power_w: The most that the car may draw; below 1400 W it pauses.
        until: For example: 2 h; 90 min; 18:00.
        site: Name of the blocks that describe the home.
        time_zone: IANA name of the home's time zone.
    """
    run = Run.current()
    try:
        begun = await find_dimming(str(run.id))
        if begun is None:
            asked = Dimming.asked(power_w, until, time_zone, datetime.now(UTC))
            begun = await begin_dimming(site, str(run.id), asked)
        row = await follow_dimming(begun)
    except BalancerError as error:
        return await failed(str(error))
    return await final_state(row, f"{row.request.title}: {row.ended_by}")
