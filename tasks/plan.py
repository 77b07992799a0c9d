"""Making a charging plan: fetch what is due, look at the past, plan, store and show it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from easee_load_balancer.control.departures import ChargingWishes, ReadyBy
from easee_load_balancer.control.limits import unmetered_limit_a
from easee_load_balancer.control.needs import HORIZON, CarSeen, Needs, needs
from easee_load_balancer.control.plan import CarLimit, HomeBattery, Plan, PlanInputs, needed_at
from easee_load_balancer.control.plan_slots import Past, beside, peak_tariff, plan_slots
from easee_load_balancer.control.planner import make_plan
from easee_load_balancer.control.power_estimate import NOMINAL_VOLTAGE_V
from easee_load_balancer.energy.expectations import PAST_DAYS
from easee_load_balancer.energy.price_table import PriceTable
from easee_load_balancer.errors import ForecastError
from easee_load_balancer.forecasts.prices import days_due, fetch_spot
from easee_load_balancer.forecasts.solar import RENEW_AFTER, fetch_pv
from easee_load_balancer.history.store import History
from easee_load_balancer.history.tables import Cycle
from easee_load_balancer.measurements import ChargerMode
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.orchestration.live_pages import LIVE_PAGES, Page
from easee_load_balancer.orchestration.other_chargers import Chargers, NamedCharger
from easee_load_balancer.reports.plan_page import PlanReport, plan_page
from tasks.history import known_quarters, use_history
from tasks.inbound import car_report, is_away
from tasks.planned import SEEN
from tasks.prices import renew_prices
from tasks.step import step

_PAST = timedelta(days=PAST_DAYS)
_SEEN_FOR = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class KnownCar:
    """A charger, the car as it was last seen, and the departure that was asked for."""

    charger: NamedCharger
    seen: CarSeen
    departure: ReadyBy | None

    @property
    def is_planned(self) -> bool:
        """Whether there is something to plan for."""
        return self.charger.wishes is not None or self.departure is not None


@dataclass(frozen=True, slots=True)
class PastAndCars:
    """What the history tells of the house, and its cars."""

    past: Past
    table: PriceTable
    cars: tuple[KnownCar, ...]
    battery_soc_pct: float | None
    meter_sleeps: bool
    """Whether grid and house are unknown at night."""
    limit: CarLimit | None


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
async def look_at_past(setup: Site, zone: ZoneInfo, now: datetime) -> PastAndCars:
    """What the plan is made of, from the history."""
    return await use_history(lambda history: _look(history, setup, zone, now))


@dataclass(frozen=True, slots=True)
class Made:
    """The plan of a car, and what it was made of."""

    charger: NamedCharger
    plan: Plan
    inputs: PlanInputs

    @property
    def sentence(self) -> str:
        """The plan in a sentence, with the charger where a home has several."""
        name = self.charger.name
        return f"{name}: {self.plan.sentence}." if name else f"{self.plan.sentence}."


@step(name="make plan", timeout_seconds=60)
async def make_and_store(
    setup: Site, zone: ZoneInfo, now: datetime, known: PastAndCars, warnings: tuple[str, ...]
) -> list[Made]:
    """The cheapest plan of each car, stored for the next cycle and shown under Artifacts.

    The more urgent comes first; the next one gets what it leaves.
    """
    made: list[Made] = []
    away = is_away(setup.name, now)
    needed = [
        (car.charger, _needs(car, now, zone, away=away)) for car in known.cars if car.is_planned
    ]
    never = datetime.max.replace(tzinfo=UTC)
    for one, need in sorted(
        needed, key=lambda each: needed_at(now, each[1].car, each[1].departures) or never
    ):
        inputs = plan_inputs(setup, one, known, need, now, [each.plan for each in made])
        made.append(Made(one, await asyncio.to_thread(make_plan, inputs), inputs))
        await _store(made[-1])
    await LIVE_PAGES.show(f"plan-{setup.name}", _page(setup, made, zone, warnings))
    return made


async def _store(made: Made) -> None:
    key, plan = made.charger.state_key, made.plan
    await use_history(lambda history: history.plans.record(key, plan))


def _page(setup: Site, made: Sequence[Made], zone: ZoneInfo, warnings: tuple[str, ...]) -> Page:
    """The plan of each car, one below the other."""
    source = "from the last days" if setup.solar is None else setup.solar.source
    pages = []
    for each in made:
        inputs = each.inputs
        report = PlanReport(
            *(each.plan, inputs.slots, inputs.departures, zone, setup.tariff.currency),
            warnings=warnings if each is made[0] else (),
            forecast=source,
        )
        title = f"# {each.charger.name}\n\n" if each.charger.name else ""
        pages.append(title + plan_page(report))
    return Page("\n".join(pages), " ".join(each.sentence for each in made).removesuffix("."))


def _needs(car: KnownCar, now: datetime, zone: ZoneInfo, *, away: bool) -> Needs:
    one, key = car.charger, car.charger.state_key
    wishes, report = one.wishes or ChargingWishes(), car_report(key, now)
    return needs(car.seen, wishes, one.policy, now, zone, car.departure, report, away=away)


def plan_inputs(
    setup: Site,
    one: NamedCharger,
    known: PastAndCars,
    need: Needs,
    now: datetime,
    before: Sequence[Plan] = (),
) -> PlanInputs:
    """The planner's inputs; `before`: plans of other cars, which come first."""
    policy, wishes = one.policy, one.wishes or ChargingWishes()
    phases = 1 if max(need.car.phases) == 1 else 3
    fuse_a = max(0, policy.main_fuse_a - policy.fuse_margin_a)
    here = max(1, sum(car.seen.connected for car in known.cars))
    peak = peak_tariff(setup.tariff, known.past.import_w, now, known.table.zone)
    return PlanInputs(
        now=now,
        slots=beside(plan_slots(known.table, known.past, now, HORIZON), before),
        car=need.car.beside(here),
        departures=need.departures,
        charge_below_price=wishes.charge_below_price,
        battery=_battery(setup, known),
        max_import_w=fuse_a * phases * NOMINAL_VOLTAGE_V,
        peak=peak and peak.reached_by(plan.peak_w for plan in before),
        asleep_limit_a=unmetered_limit_a(policy) if known.meter_sleeps else None,
        limit=known.limit and known.limit.shared_by(here),
        currency=setup.tariff.currency,
        time_zone=known.table.zone.key,
    )


def _battery(setup: Site, known: PastAndCars) -> HomeBattery | None:
    capacity_kwh = setup.wishes.home_battery_kwh if setup.wishes else 0.0
    if not capacity_kwh or known.battery_soc_pct is None:
        return None
    power_w = float(setup.policy.battery_reserve_w)
    return HomeBattery(
        energy_kwh=capacity_kwh * known.battery_soc_pct / 100,
        capacity_kwh=capacity_kwh,
        max_charge_w=power_w,
        max_discharge_w=power_w,
    )


def _look(history: History, setup: Site, zone: ZoneInfo, now: datetime) -> PastAndCars:
    site = setup.name
    rows = known_quarters(history, site, now - _PAST, now)
    past = Past(
        pv_w={row.start: row.pv_w for row in rows if row.pv_w is not None},
        load_w={row.start: row.load_w for row in rows if row.load_w is not None},
        import_w={row.start: row.import_w for row in rows if row.import_w is not None},
        forecast_w=history.quarters.forecast_since(site, now - _PAST),
    )
    table = history.spot_prices.table(site, setup.tariff, zone, now - _PAST, now + HORIZON, now)
    last, dimming = history.last_cycle(site), history.dimmings.under_way(site)
    return PastAndCars(
        past=past,
        table=table,
        cars=tuple(_car(history, one, now) for one in Chargers.of(setup).all),
        battery_soc_pct=None if last is None else last.battery_soc_pct,
        meter_sleeps=any(row.import_w is None for row in rows),
        limit=None if dimming is None else dimming.request.car_limit,
    )


def _car(history: History, one: NamedCharger, now: datetime) -> KnownCar:
    row = history.departures.under_way(one.state_key)
    departure = None if row is None or row.request.ended(now) else row.request
    return KnownCar(one, _seen(one, history.last_cycle(one.key), now), departure)


def _seen(one: NamedCharger, last: Cycle | None, now: datetime) -> CarSeen:
    """The car as a cycle of this process saw it just now, else as the history has it."""
    at, seen = SEEN.get(one.state_key, (now - 2 * _SEEN_FOR, None))
    if seen is not None and timedelta() <= now - at < _SEEN_FOR:
        return seen
    policy, mode = one.policy, None if last is None else last.charger_mode
    here = mode != ChargerMode.DISCONNECTED
    return CarSeen(
        connected=here,
        session_kwh=((last.session_kwh if last else None) or 0.0) if here else 0.0,
        max_current_a=policy.max_current_a,
        phases=(1, 3) if policy.phases == "auto" else (int(policy.phases),),
        charging=mode == ChargerMode.CHARGING,
    )
