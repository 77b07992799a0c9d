"""The energy of yesterday, every night; of any day, month or year on request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State

from easee_load_balancer.energy.totals import Energy
from easee_load_balancer.errors import BalancerError
from easee_load_balancer.orchestration.blocks import Site, Tariff
from easee_load_balancer.orchestration.parameters import (
    FirstDay,
    LastDay,
    SiteName,
    TimeZone,
    shown,
)
from easee_load_balancer.periods import Period, PeriodKind
from tasks.run import completed, failed
from tasks.summary import delete_old_cycles, draw_and_publish, export_csv, sum_up_energy


@flow(
    name="daily_summary",
    flow_run_name="Daily summary of {site}",
    timeout_seconds=300,
    persist_result=False,
)
async def daily_summary(
    site: SiteName = Site.DEFAULT,
    day: FirstDay = None,
    last_day: LastDay = None,
    period: Annotated[PeriodKind, shown("Period")] = "day",
    time_zone: TimeZone = "Europe/Stockholm",
    csv: Annotated[bool, shown("CSV file")] = False,
    keep_days: Annotated[int, shown("Keep measurements (days)", 1826, ge=62, le=36500)] = 1826,
) -> State[Energy]:
    """Sum up where the energy of one or more local days came from and where it went.

    Args:
        site: Name of the blocks that describe the home.
        day: The local day, or the first of several; yesterday if empty.
        last_day: The last of several days.
        period: day, or the whole month or year around the day.
        time_zone: IANA name of the home's time zone; it decides when a day begins.
        csv: Also write a CSV file to the data folder: one day cycle by cycle, several day by day.
        keep_days: How long to keep the cycles in the history. Daily totals are kept.
    """
    try:
        span = Period.requested(day, last_day, period, time_zone)
        summary = await sum_up_energy(site, span, await Tariff.of_site(site))
        headline = await draw_and_publish(summary)
        if csv:
            get_run_logger().info("CSV written to %s", await export_csv(summary))
        await delete_old_cycles(site, datetime.now(UTC) - timedelta(days=keep_days))
    except BalancerError as error:
        return await failed(str(error))
    return await completed(headline, summary.total)
