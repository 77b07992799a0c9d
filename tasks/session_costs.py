"""What recorded charging cost, and what it would have cost with a plan and other prices."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from easee_load_balancer.backtest.planned_sessions import SessionCosts, session_costs
from easee_load_balancer.energy.car_costs import COST_COLUMNS, sessions
from easee_load_balancer.energy.power_flows import MARGIN, usual_interval
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.forecasts.prices import fetch_spot
from easee_load_balancer.history.store import History, open_history
from easee_load_balancer.orchestration.blocks import Tariff
from easee_load_balancer.periods import Period, bounds
from easee_load_balancer.system.settings import Settings
from tasks.step import step

_AT_ONCE = timedelta(days=14)
_WHOLE_DAY = 23 * 4
"""Quarter-hours of the shortest day."""


@step(name="cost charging", task_run_name="cost {period.title}", tags=["history"])
async def cost_sessions(
    site: str, period: Period, own: Prices, compared: str
) -> SessionCosts | None:
    """The costs of the recorded charging at the site's prices, and planned with others.

    `compared` is the name of another block 'Tariff'; empty: the site's own. Missing day-ahead
    prices are fetched. None where no price changes in time.
    """
    other: Prices = own
    if compared:
        found = await Tariff.of_site(compared)
        if found is None:
            raise ConfigurationError(f"There is no block 'Tariff' named '{compared}'.")
        other = found
    if not own.varies and not other.varies:
        return None
    if other.currency != own.currency:
        raise ConfigurationError(
            f"The tariff '{compared}' is in {other.currency}, that of the site in {own.currency}: "
            "costs in different currencies cannot be compared."
        )
    history = open_history(Settings().database_url)
    for name, prices in {site: own, compared or site: other}.items():
        await _complete(history, name, prices, period)
    return await asyncio.to_thread(_costs, history, site, compared or site, period, own, other)


async def _complete(history: History, name: str, prices: Prices, period: Period) -> None:
    """Fetch the day-ahead prices of the days without any."""
    if not prices.is_dynamic or prices.source == "MQTT":
        return
    now, (start, _) = datetime.now(UTC), bounds(period.first, period.zone)
    end = bounds(period.last, period.zone)[1]
    table = await asyncio.to_thread(
        history.spot_prices.table, name, prices, period.zone, start, end, now
    )
    missing = [
        day
        for day in period.days
        if sum(_within(at, *bounds(day, period.zone)) for at in table.spot) < _WHOLE_DAY
    ]
    while missing:
        last = max(day for day in missing if day - missing[0] < _AT_ONCE)
        found = await fetch_spot(prices, missing[0], last, period.zone)
        await asyncio.to_thread(history.spot_prices.record, name, prices, found)
        missing = [day for day in missing if day > last]


def _within(at: datetime, start: datetime, end: datetime) -> bool:
    return start <= at < end


def _costs(
    history: History, site: str, compared: str, period: Period, own: Prices, other: Prices
) -> SessionCosts:
    now, zone = datetime.now(UTC), period.zone
    start, end = bounds(period.first, zone)[0], bounds(period.last, zone)[1]
    cycles = history.cycles(site, start - MARGIN, end + MARGIN, COST_COLUMNS)
    paid = history.spot_prices.table(site, own, zone, start, end, now)
    planned = history.spot_prices.table(compared, other, zone, start, end, now)
    if len(cycles) < 2:
        return SessionCosts()
    return session_costs(sessions(cycles, usual_interval(cycles), paid), planned)
