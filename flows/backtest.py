"""What another policy would have made of recorded days: started by hand."""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from easee_load_balancer.backtest.policy_change import PolicyChange
from easee_load_balancer.backtest.result import Backtest
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.errors import BalancerError
from easee_load_balancer.orchestration.blocks import Site, Tariff
from easee_load_balancer.orchestration.parameters import (
    MAY_STAY_EMPTY,
    FirstDay,
    LastDay,
    SiteName,
    TimeZone,
    shown,
)
from easee_load_balancer.periods import Period
from tasks.backtest import load_csv_days, load_recorded_days, publish_backtest, replay_days
from tasks.run import completed, failed
from tasks.session_costs import cost_sessions

_Kwh = Annotated[float, Field(gt=0, le=500)]


@flow(name="backtest", flow_run_name="Backtest of {site}", persist_result=False)
async def backtest(
    change: Annotated[PolicyChange, shown("Changes of the policy")],
    first_day: FirstDay = None,
    last_day: LastDay = None,
    csv: Annotated[str, shown("Days from CSV", "/home/me/july.csv")] = "",
    car_kwh: Annotated[_Kwh | None, MAY_STAY_EMPTY, shown("Car's need (kWh)", 12)] = None,
    battery_kwh: Annotated[_Kwh | None, MAY_STAY_EMPTY, shown("Battery (kWh)", 10)] = None,
    tariff: Annotated[str, shown("Planned with the tariff", "home-spot")] = "",
    site: SiteName = Site.DEFAULT,
    time_zone: TimeZone = "Europe/Stockholm",
) -> State[None]:
    """Replay recorded days under another policy, and show what that would have changed.

    Args:
        change: What is different from the current policy; empty fields stay as they are.
        first_day: The first local day. Without first and last day: the last seven days.
        last_day: The last local day; yesterday if empty.
        csv: Used instead of the history: lines of time,pv_w,load_w, or the path of such a file.
        car_kwh: Energy after which a car that was not seen full is full; unlimited if empty.
        battery_kwh: Capacity of the house battery; estimated from the history if empty.
        tariff: Name of a block 'Tariff' for what planned charging would have cost; the site's own
            if empty.
        site: Name of the blocks that describe the home.
        time_zone: IANA name of the home's time zone; it decides when a day begins.
    """
    try:
        setup = await Site.load(site)
        changed = change.applied_to(setup.policy)
        policy = PolicyChange().applied_to(setup.policy)
        period = Period.recent(first_day, last_day, time_zone)
        if csv:
            recorded = await load_csv_days(csv, period, car_kwh, battery_kwh)
            period = Period.between(min(recorded.days), max(recorded.days), period.zone)
        else:
            recorded = await load_recorded_days(site, period, policy.mode, car_kwh, battery_kwh)
        prices = await Tariff.of_site(site) or Prices()
        days = await replay_days(site, recorded, policy, changed, prices, period.zone)
        description = str(change) if changed != policy else ""
        costs = None if csv else await cost_sessions(site, period, prices, tariff)
        headline = await publish_backtest(
            Backtest(
                *(site, period, description, recorded.house, days, prices),
                left_out=recorded.left_out,
                costs=costs,
            )
        )
    except BalancerError as error:
        return await failed(str(error))
    return await completed(headline, None)
