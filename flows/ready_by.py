"""A single departure: started by hand, planned and obeyed while it runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State

from easee_load_balancer.control.departures import ReadyBy
from easee_load_balancer.errors import BalancerError
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.orchestration.other_chargers import Chargers
from easee_load_balancer.orchestration.parameters import ChargerName, SiteName, TimeZone, shown
from tasks.plan_requests import ask_for_plan, for_charger
from tasks.ready_by import begin_ready_by, find_ready_by, follow_ready_by
from tasks.requests import final_state
from tasks.run import Run, failed


@flow(name="ready_by", flow_run_name="Ready by {ready}", persist_result=False)
async def ready_by(
    ready: Annotated[
        str, shown("Ready by", "tomorrow 07:00, 20 kWh", "Fri 18:30, 80 %")
    ] = "tomorrow 07:00, 20 kWh",
    site: SiteName = Site.DEFAULT,
    time_zone: TimeZone = "Europe/Stockholm",
    charger: ChargerName = "",
) -> State[ReadyBy]:
    """Have the car ready by then, at the lowest cost. To end it, cancel this run or start another.

    Sun comes first; what it does not bring comes from the grid in the cheapest quarter-hours.

    Args:
        ready: For example: tomorrow 07:00, 20 kWh; Fri 18:30, 80 %. The energy counts from now.
        site: Name of the blocks that describe the home.
        time_zone: IANA name of the home's time zone.
        charger: Name of one of several chargers; the first one if empty.
    """
    run = Run.current()
    try:
        begun = await find_ready_by(str(run.id))
        if begun is None:
            now = datetime.now(UTC)
            asked = ReadyBy.asked(ready, time_zone, now)
            one = Chargers.of(await Site.load(site)).called(charger)
            asked = for_charger(asked, one, now)
            begun = await begin_ready_by(one.state_key, str(run.id), asked)
            await ask_for_plan(site, run, now)
        row = await follow_ready_by(begun)
    except BalancerError as error:
        return await failed(str(error))
    charged = f"{row.request.charged_kwh:.1f} kWh"
    return await final_state(row, f"{row.request.title}: {charged}, {row.ended_by}")
