"""Making a charging plan: fetch what is due, look at the past, plan, store and show it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from easee_load_balancer.control.departures import ChargingWishes, ReadyBy
from easee_load_balancer.control.limits import unmetered_limit_a
from easee_load_balancer.control.needs import HORIZON, CarSeen, Needs, needs
from easee_load_balancer.control.plan import CarLimit, HomeBattery, Plan, PlanInputs
from easee_load_balancer.control.plan_slots import Past, peak_tariff, plan_slots
from easee_load_balancer.control.planner import make_plan
from easee_load_balancer.control.power_estimate import NOMINAL_VOLTAGE_V
from easee_load_balancer.energy.expectations import PAST_DAYS
from easee_load_balancer.energy.price_table import PriceTable
from easee_load_balancer.errors import ForecastError
from easee_load_balancer.forecasts.prices import days_due, fetch_spot
from easee_load_balancer.forecasts.solar import RENEW_AFTER, fetch_pv
from easee_load_balancer.history.store import open_history
from easee_load_balancer.history.tables import Cycle
from easee_load_balancer.measurements import ChargerMode
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.orchestration.live_pages import LIVE_PAGES, Page
from easee_load_balancer.reports.plan_page import PlanReport, plan_page
from easee_load_balancer.system.settings import Settings
from tasks.history import known_quarters
from tasks.inbound import car_report, is_away
from tasks.planned import SEEN
from tasks.prices import forget_prices
from tasks.requests import unless_ended
from tasks.step import step

_PAST = timedelta(days=PAST_DAYS)
_SEEN_FOR = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class PastAndCar:
    """What the history tells of the house, and the car as it was last seen."""

    past: Past
    table: PriceTable
    car: CarSeen
    battery_soc_pct: float | None
    meter_sleeps: bool
    """Whether grid and house are unknown at night."""
    departure: ReadyBy | None
    limit: CarLimit | None


@step(name="fetch prices", timeout_seconds=60, tags=["history"])
async def fetch_prices(setup: Site, zone: ZoneInfo, now: datetime) -> str:
    """Fetch and store the prices that are due. Returns what failed, with what holds instead."""
    if not setup.tariff.is_dynamic or setup.tariff.source == "MQTT":
        return ""
    spot = open_history(Settings().database_url).spot_prices
    known_until = await asyncio.to_thread(spot.known_until, setup.name, setup.tariff)
    due = days_due(now, known_until)
    if due is None:
        return ""
    try:
        found = await fetch_spot(setup.tariff, *due, zone)
    except ForecastError as error:
        if known_until is not None and known_until > now:
            until = f"{known_until.astimezone(zone):%a %H:%M}"
            return f"{error} Prices are known until {until}."
        return f"{error} The mean of the last known week is used instead."
    if found:
        await asyncio.to_thread(spot.record, setup.name, setup.tariff, found)
        forget_prices(setup.name)
    return ""


@step(name="fetch solar forecast", timeout_seconds=60, tags=["history"])
async def fetch_solar_forecast(setup: Site, now: datetime) -> str:
    """Fetch and store the solar forecast if it is due. Returns what failed."""
    if setup.solar is None:
        return ""
    quarters = open_history(Settings().database_url).quarters
    fetched_at = await asyncio.to_thread(quarters.forecast_fetched_at, setup.name)
    if fetched_at is not None and timedelta() <= now - fetched_at < RENEW_AFTER:
        return ""
    try:
        found = await fetch_pv(setup.solar, now)
    except ForecastError as error:
        return f"{error} The last forecast is used, else the production of the last days."
    await asyncio.to_thread(quarters.record_forecast, setup.name, found, now)
    return ""


@step(name="look at the past", timeout_seconds=120, tags=["history"])
async def look_at_past(setup: Site, zone: ZoneInfo, now: datetime) -> PastAndCar:
    """What the plan is made of, from the history."""
    return await asyncio.to_thread(_look, setup, zone, now)


@step(name="make plan", timeout_seconds=60)
async def make_and_store(
    setup: Site, zone: ZoneInfo, now: datetime, known: PastAndCar, warnings: tuple[str, ...]
) -> Plan:
    """The cheapest plan, stored for the next cycle and shown under Artifacts."""
    wishes, report = setup.wishes or ChargingWishes(), car_report(setup.name, now)
    need = needs(
        *(known.car, wishes, setup.policy, now, zone, known.departure, report),
        away=is_away(setup.name, now),
    )
    inputs = plan_inputs(setup, known, need, now)
    plan = await asyncio.to_thread(make_plan, inputs)
    plans = open_history(Settings().database_url).plans
    await asyncio.to_thread(plans.record, setup.name, plan)
    source = "from the last days" if setup.solar is None else setup.solar.source
    page = plan_page(
        PlanReport(
            *(plan, inputs.slots, inputs.departures, zone, setup.tariff.currency),
            warnings=warnings,
            forecast=source,
        )
    )
    await LIVE_PAGES.show(f"plan-{setup.name}", Page(page, plan.sentence))
    return plan


def plan_inputs(setup: Site, known: PastAndCar, need: Needs, now: datetime) -> PlanInputs:
    """The planner's inputs."""
    policy, wishes = setup.policy, setup.wishes or ChargingWishes()
    phases = 1 if max(known.car.phases) == 1 else 3
    fuse_a = max(0, policy.main_fuse_a - policy.fuse_margin_a)
    return PlanInputs(
        now=now,
        slots=plan_slots(known.table, known.past, now, HORIZON),
        car=need.car,
        departures=need.departures,
        charge_below_price=wishes.charge_below_price,
        battery=_battery(setup, known),
        max_import_w=fuse_a * phases * NOMINAL_VOLTAGE_V,
        peak=peak_tariff(setup.tariff, known.past.import_w, now, known.table.zone),
        asleep_limit_a=unmetered_limit_a(policy) if known.meter_sleeps else None,
        limit=known.limit,
        currency=setup.tariff.currency,
        time_zone=known.table.zone.key,
    )


def _battery(setup: Site, known: PastAndCar) -> HomeBattery | None:
    capacity_kwh = setup.wishes.home_battery_kwh if setup.wishes else 0.0
    if not capacity_kwh or known.battery_soc_pct is None:
        return None
    power_w = float(setup.policy.battery_reserve_w)
    return HomeBattery(
        energy_kwh=capacity_kwh * known.battery_soc_pct / 100,
        capacity_kwh=capacity_kwh,
        max_charge_w=power_w,
        max_discharge_w=power_w,
        held=setup.policy.hold_battery,
    )


def _look(setup: Site, zone: ZoneInfo, now: datetime) -> PastAndCar:
    history, site = open_history(Settings().database_url), setup.name
    rows = known_quarters(site, now - _PAST, now)
    past = Past(
        pv_w={row.start: row.pv_w for row in rows if row.pv_w is not None},
        load_w={row.start: row.load_w for row in rows if row.load_w is not None},
        import_w={row.start: row.import_w for row in rows if row.import_w is not None},
        forecast_w=history.quarters.forecast_since(site, now - _PAST),
    )
    table = history.spot_prices.table(site, setup.tariff, zone, now - _PAST, now + HORIZON, now)
    last, (_, departure, dimming) = history.last_cycle(site), history.requests(site)
    return PastAndCar(
        past=past,
        table=table,
        car=_car(setup, last, now),
        battery_soc_pct=None if last is None else last.battery_soc_pct,
        meter_sleeps=any(row.import_w is None for row in rows),
        departure=None if departure is None else unless_ended(departure.request, now),
        limit=None if dimming is None else dimming.request.car_limit,
    )


def _car(setup: Site, last: Cycle | None, now: datetime) -> CarSeen:
    """The car as a cycle of this process saw it just now, else as the history has it."""
    at, seen = SEEN.get(setup.name, (now - 2 * _SEEN_FOR, None))
    if seen is not None and timedelta() <= now - at < _SEEN_FOR:
        return seen
    policy, mode = setup.policy, None if last is None else last.charger_mode
    here = mode != ChargerMode.DISCONNECTED
    return CarSeen(
        connected=here,
        session_kwh=((last.session_kwh if last else None) or 0.0) if here else 0.0,
        max_current_a=policy.max_current_a,
        phases=(1, 3) if policy.phases == "auto" else (int(policy.phases),),
        charging=mode == ChargerMode.CHARGING,
    )
