"""The energy of a day, shortly after its end."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from prefect import flow

from easee_load_balancer.blocks import Site
from easee_load_balancer.energy import EnergyOfDay
from tasks.history import load_cycles
from tasks.summary import publish_summary, sum_up


@flow(name="daily_summary", flow_run_name="summary {site}", timeout_seconds=300)
async def daily_summary(
    site: str = Site.DEFAULT, day: date | None = None, time_zone: str = "Europe/Stockholm"
) -> EnergyOfDay:
    """Sum up where the energy of a local day came from and went to.

    Args:
        site: Name of the blocks that describe the home.
        day: The local day; yesterday when left out.
        time_zone: IANA name of the home's time zone, which decides when a day begins.
    """
    zone = ZoneInfo(time_zone)
    day = day or datetime.now(zone).date() - timedelta(days=1)
    start, end = (
        datetime.combine(midnight, time(), zone).astimezone(UTC)
        for midnight in (day, day + timedelta(days=1))
    )
    energy = sum_up(await load_cycles(site, start, end))
    await publish_summary(site, day, energy)
    return energy
