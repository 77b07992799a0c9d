"""Making a charging plan: fetch what is due, look at the past, plan, store and show it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from easee_load_balancer.control.needs import HORIZON, CarSeen
from easee_load_balancer.control.plan import Plan
from easee_load_balancer.control.plan_slots import Past
from easee_load_balancer.control.planner import make_plan
from easee_load_balancer.energy.expectations import PAST_DAYS
from easee_load_balancer.errors import ForecastError
from easee_load_balancer.forecasts.prices import days_due, fetch_spot
from easee_load_balancer.forecasts.solar import RENEW_AFTER, fetch_pv
from easee_load_balancer.history.store import History
from easee_load_balancer.history.tables import Cycle
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.orchestration.known_home import KnownCar, KnownHome
from easee_load_balancer.orchestration.live_pages import LIVE_PAGES, Page
from easee_load_balancer.orchestration.other_chargers import Chargers, NamedCharger
from easee_load_balancer.reports.plan_page import PlanReport, plans_page
from tasks.history import known_quarters, use_history
from tasks.inbound import car_report, is_away
from tasks.planned import SEEN
from tasks.prices import renew_prices
from tasks.step import step

_PAST = timedelta(days=PAST_DAYS)
_SEEN_FOR = timedelta(minutes=5)


@step(name="fetch prices", timeout_seconds=60, tags=["history"])
async def fetch_prices(setup: Site, zone: ZoneInfo, now: datetime) -> str:
    """Fetch and store the prices that are due. Returns what failed, with what holds instead."""
    site, tariff = setup.name, setup.tariff
    if not tariff.is_dynamic or tariff.source == "MQTT":
        return ""
    known_until = await use_history(lambda history: history.spot_prices.known_until(site, tariff))
    due = days_due(now, known_until)
    if due is None:
        return ""
    try:
        found = await fetch_spot(tariff, *due, zone)
    except ForecastError as error:
        if known_until is not None and known_until > now:
            until = f"{known_until.astimezone(zone):%a %H:%M}"
            return f"{error} Prices are known until {until}."
        return f"{error} The mean of the last known week is used instead."
    if found:
        await use_history(lambda history: history.spot_prices.record(site, tariff, found))
        renew_prices(site)
    return ""


@step(name="fetch solar forecast", timeout_seconds=60, tags=["history"])
async def fetch_solar_forecast(setup: Site, now: datetime) -> str:
    """Fetch and store the solar forecast if it is due. Returns what failed."""
    if setup.solar is None:
        return ""
    site = setup.name
    fetched_at = await use_history(lambda history: history.quarters.forecast_fetched_at(site))
    if fetched_at is not None and timedelta() <= now - fetched_at < RENEW_AFTER:
        return ""
    try:
        found = await fetch_pv(setup.solar, now)
    except ForecastError as error:
        return f"{error} The last forecast is used, else the production of the last days."
    await use_history(lambda history: history.quarters.record_forecast(site, found, now))
    return ""


@step(name="look at the past", timeout_seconds=120, tags=["history"])
async def look_at_past(setup: Site, zone: ZoneInfo, now: datetime) -> KnownHome:
    """What the plan is made of, from the history."""
    return await use_history(lambda history: _look(history, setup, zone, now))


@step(name="make plan", timeout_seconds=60)
async def make_and_store(known: KnownHome, warnings: tuple[str, ...]) -> list[PlanReport]:
    """The cheapest plan of each car, stored for the next cycle and shown under Artifacts.

    The more urgent comes first; the next one gets what it leaves.
    """
    setup, reports = known.setup, list[PlanReport]()
    for car, need in known.planned:
        inputs = known.plan_inputs(car.charger, need, [each.plan for each in reports])
        plan = await asyncio.to_thread(make_plan, inputs)
        await _store(car.charger.state_key, plan)
        reports.append(
            PlanReport(
                *(plan, inputs.slots, inputs.departures, known.prices.zone, setup.tariff.currency),
                warnings=() if reports else warnings,
                forecast="from the last days" if setup.solar is None else setup.solar.source,
                charger=car.charger.name,
            )
        )
    await LIVE_PAGES.show(f"plan-{setup.name}", _page(reports))
    return reports


async def _store(key: str, plan: Plan) -> None:
    await use_history(lambda history: history.plans.record(key, plan))


def _page(reports: Sequence[PlanReport]) -> Page:
    return Page(plans_page(reports), " ".join(one.sentence for one in reports).removesuffix("."))


def _look(history: History, setup: Site, zone: ZoneInfo, now: datetime) -> KnownHome:
    site = setup.name
    rows = known_quarters(history, site, now - _PAST, now)
    last, dimming = history.last_cycle(site), history.dimmings.under_way(site)
    return KnownHome(
        setup,
        now,
        past=Past(
            pv_w={row.start: row.pv_w for row in rows if row.pv_w is not None},
            load_w={row.start: row.load_w for row in rows if row.load_w is not None},
            import_w={row.start: row.import_w for row in rows if row.import_w is not None},
            forecast_w=history.quarters.forecast_since(site, now - _PAST),
        ),
        prices=history.spot_prices.table(site, setup.tariff, zone, now - _PAST, now + HORIZON, now),
        cars=tuple(_car(history, one, last, now) for one in Chargers.of(setup).all),
        battery_soc_pct=None if last is None else last.battery_soc_pct,
        meter_sleeps=any(row.import_w is None for row in rows),
        limit=None if dimming is None else dimming.request.car_limit,
        away=is_away(site, now),
    )


def _car(history: History, one: NamedCharger, of_home: Cycle | None, now: datetime) -> KnownCar:
    """A car; `of_home` is the home's last cycle, which is that of a single charger, too."""
    row = history.departures.under_way(one.state_key)
    departure = None if row is None or row.request.ended(now) else row.request
    seen = _seen_just_now(one.state_key, now)
    if seen is None:
        alone = of_home is None or one.key == of_home.site
        last = of_home if alone else history.last_cycle(one.key)
        mode, session_kwh = (last.charger_mode, last.session_kwh) if last else (None, None)
        seen = CarSeen.recorded(mode, session_kwh, one.policy)
    return KnownCar(one, seen, departure, car_report(one.state_key, now))


def _seen_just_now(key: str, now: datetime) -> CarSeen | None:
    """The car as a cycle of this process saw it."""
    at, seen = SEEN.get(key, (now - 2 * _SEEN_FOR, None))
    return seen if timedelta() <= now - at < _SEEN_FOR else None
