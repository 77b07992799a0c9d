"""Charge now: started by hand and obeyed by the control cycles while it runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State

from easee_load_balancer.control.boost import Boost
from easee_load_balancer.errors import BalancerError
from easee_load_balancer.measurements import MIN_CURRENT_A
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.orchestration.other_chargers import Chargers
from easee_load_balancer.orchestration.parameters import ChargerName, SiteName, TimeZone, shown
from tasks.boost import begin_boost, find_boost, follow_boost
from tasks.requests import final_state
from tasks.run import Run, failed


@flow(name="boost", flow_run_name="Boost with {current_a} A", persist_result=False)
async def boost(
    current_a: Annotated[int, shown("Current (A)", 16, ge=MIN_CURRENT_A, le=32)] = 16,
    until: Annotated[str, shown("Until", "unplugged", "17:30", "10 kWh")] = "unplugged",
    site: SiteName = Site.DEFAULT,
    time_zone: TimeZone = "Europe/Stockholm",
    charger: ChargerName = "",
) -> State[Boost]:
    """Charge now, with or without sun. To end it, cancel this run or start another boost.

    It also ends when the car is unplugged. The policy's limits and the main fuse still apply.

    Args:
        current_a: Current per phase, up to the policy's maximum current.
        until: For example: unplugged; 17:30; 2026-08-01 17:30; 10 kWh; 17:30 or 10 kWh.
        site: Name of the blocks that describe the home.
        time_zone: IANA name of the home's time zone.
        charger: Name of one of several chargers; the first one if empty.
    """
    run = Run.current()
    try:
        begun = await find_boost(str(run.id))
        if begun is None:
            asked = Boost.asked(current_a, until, time_zone, datetime.now(UTC))
            one = Chargers.of(await Site.load(site)).called(charger)
            asked.check_against(one.policy)
            asked = asked.model_copy(update={"charger": one.name})
            begun = await begin_boost(one.state_key, str(run.id), asked)
        row = await follow_boost(begun)
    except BalancerError as error:
        return await failed(str(error))
    charged = f"{row.request.charged_kwh:.1f} kWh"
    return await final_state(row, f"{row.request.title}: {charged}, {row.ended_by}")
