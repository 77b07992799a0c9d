"""What another policy would have made of past days: started by hand."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from easee_load_balancer.backtest.policy_change import PolicyChange
from easee_load_balancer.errors import BalancerError
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.periods import Period
from easee_load_balancer.reports.backtest_page import Backtest
from tasks.backtest import csv_past, past_days, publish_backtest, replay_days
from tasks.run import completed, failed

Kwh = Annotated[float | None, Field(gt=0, le=500)]


@flow(name="backtest", flow_run_name="backtest {site}", persist_result=False)
async def backtest(
    change: PolicyChange,
    first_day: date | None = None,
    last_day: date | None = None,
    csv: str = "",
    car_kwh: Kwh = None,
    battery_kwh: Kwh = None,
    site: str = Site.DEFAULT,
    time_zone: str = "Europe/Stockholm",
) -> State[None]:
    """Replay past days under another policy, and show what that would have changed.

    Args:
        change: What is different from the policy as it is; what is left empty stays.
        first_day: The first local day; without any days, the last seven.
        last_day: The last one; yesterday when left out.
        csv: Instead of the history: lines of time,pv_w,load_w, or the path of such a file.
        car_kwh: What a car takes that was not seen full; as much as there is when left out.
        battery_kwh: Capacity of the house battery; as the history tells when left out.
        site: Name of the blocks that describe the home.
        time_zone: IANA name of the home's time zone, which decides when a day begins.
    """
    try:
        setup = await Site.load(site)
        changed = change.applied_to(setup.policy)
        policy = PolicyChange().applied_to(setup.policy)
        period = Period.lately(first_day, last_day, time_zone)
        if csv:
            past = await csv_past(csv, period, car_kwh, battery_kwh)
            period = Period.between(min(past[0]), max(past[0]), period.zone)
        else:
            past = await past_days(site, period, policy.mode, car_kwh, battery_kwh)
        days = await replay_days(site, past, policy, changed)
        said = str(change) if changed != policy else ""
        headline = await publish_backtest(Backtest(site, period, policy, said, past[1], days))
    except BalancerError as error:
        return await failed(str(error))
    return await completed(headline, None)
