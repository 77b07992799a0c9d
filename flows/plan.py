"""The charging plan: the cycles ask for one every quarter-hour where there is one to make."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect import flow
from prefect.client.schemas.objects import State

from easee_load_balancer.control.plan import Plan
from easee_load_balancer.errors import BalancerError
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.orchestration.parameters import SiteName, TimeZone
from easee_load_balancer.periods import time_zone_called
from tasks.plan import fetch_prices, fetch_solar_forecast, look_at_past, make_and_store
from tasks.run import completed, failed


@flow(name="plan", flow_run_name="Plan for {site}", timeout_seconds=240, persist_result=False)
async def plan(
    site: SiteName = Site.DEFAULT, time_zone: TimeZone = "Europe/Stockholm"
) -> State[list[Plan]]:
    """Fetch prices and forecasts that are due, and plan when the car charges from the grid.

    Args:
        site: Name of the blocks that describe the home.
        time_zone: IANA name of the home's time zone.
    """
    try:
        zone, now = time_zone_called(time_zone), datetime.now(UTC)
        setup = await Site.load(site)
        failures = [
            await fetch_prices(setup, zone, now),
            await fetch_solar_forecast(setup, now),
        ]
        warnings = tuple(filter(None, failures))
        known = await look_at_past(setup, zone, now)
        if not any(car.is_planned for car in known.cars):
            said = " ".join(warnings) or "prices are up to date"
            return await completed(f"Nothing to plan; {said}", [])
        made = await make_and_store(known, warnings)
    except BalancerError as error:
        return await failed(str(error))
    said = " ".join([*(one.sentence for one in made), *warnings])
    return await completed(said, [one.plan for one in made])
