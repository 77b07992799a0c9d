"""Means of quarter-hours, prices, plans and requests in both kinds of database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from easee_load_balancer.control.departures import ReadyBy
from easee_load_balancer.control.dimming import Dimming
from easee_load_balancer.control.plan import Plan, PlannedSlot
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.history.quarters import KEPT
from easee_load_balancer.history.store import History
from easee_load_balancer.history.tables import BoostRow
from easee_load_balancer.periods import QUARTER
from tests.support.history import HOUR, NOON, cycle, history, measured, sqlite_url, url

__all__ = ["history", "sqlite_url", "url"]
LATER = NOON + HOUR


def test_quarter_hours_are_averaged_once_with_gaps_left_out(history: History) -> None:
    night: dict[str, Any] = {"pv_w": None, "grid_export_w": None, "car_w": 0.0}
    history.record(
        *(one for one in measured(15)),  # without the car's power, the house's load is unknown
        cycle(15, pv_w=1000.0, inverter_ac_w=1000.0, grid_export_w=-3000.0, car_w=3500.0),
        cycle(20, pv_w=3000.0, inverter_ac_w=3000.0, grid_export_w=1000.0, car_w=500.0),
        cycle(45, **night),
    )
    history.quarters.fill("home", NOON, LATER + QUARTER)
    rows = history.quarters.since("home", NOON)
    shown = [((row.start - NOON) // QUARTER, row.pv_w, row.load_w, row.import_w) for row in rows]
    assert shown == [
        (0, 5000.0, None, 0.0),
        (1, 2000.0, 1000.0, 1500.0),
        (3, None, None, None),
    ]
    history.record(cycle(75, pv_w=7000.0))
    history.quarters.fill("home", NOON, LATER + 2 * QUARTER)
    history.quarters.fill("home", NOON, LATER + 2 * QUARTER)
    assert [row.pv_w for row in history.quarters.since("home", LATER)] == [7000.0]
    history.quarters.fill("home", NOON, NOON + KEPT + HOUR)
    assert history.quarters.since("home", NOON)[0].start == LATER + QUARTER


def test_means_are_filled_again_after_the_clock_was_set_back(history: History) -> None:
    history.record(cycle(0, pv_w=1000.0), cycle(20, pv_w=2000.0), cycle(40, pv_w=3000.0))
    history.quarters.fill("home", NOON, LATER)
    set_back_to = NOON + QUARTER
    history.quarters.fill("home", NOON, set_back_to)
    history.record(cycle(20, pv_w=4000.0))
    history.quarters.fill("home", NOON, NOON + 2 * QUARTER)
    assert [row.pv_w for row in history.quarters.since("home", NOON)] == [1000.0, 4000.0]


def test_the_last_forecast_for_the_past_stays(history: History) -> None:
    quarters = history.quarters
    quarters.record_forecast("home", {NOON: 1.0, NOON + QUARTER: 1.0}, NOON)
    quarters.record_forecast("home", {NOON: 2.0, NOON + QUARTER: 2.0}, NOON + QUARTER)
    assert quarters.forecast_since("home", NOON) == {NOON: 1.0, NOON + QUARTER: 2.0}
    assert quarters.forecast_fetched_at("home") == NOON + QUARTER


def test_prices_of_the_future_are_those_of_the_tariffs_source(history: History) -> None:
    zone, spot = ZoneInfo("UTC"), history.spot_prices
    old = Prices(source="Nord Pool", zone="SE4")
    new = Prices(source="Nord Pool", zone="SE3")
    spot.record("home", old, {NOON: 1.0, LATER: 1.0})
    spot.record("home", new, {NOON - HOUR: 2.0})
    span = (zone, NOON - HOUR, LATER + HOUR, NOON + QUARTER)
    assert spot.table("home", new, *span).spot == {NOON - HOUR: 2.0, NOON: 1.0}
    assert spot.table("home", old, *span).spot == {NOON - HOUR: 2.0, NOON: 1.0, LATER: 1.0}
    assert spot.known_until("home", old) == LATER + QUARTER
    assert spot.known_until("home", Prices(source="aWATTar", zone="AT")) is None
    krona = Prices(source="Nord Pool", zone="SE4", currency="SEK")
    assert spot.table("home", krona, *span).spot == {}
    assert spot.table("home", Prices(), *span).spot == {}


def test_the_last_plan_is_kept(history: History) -> None:
    slot = PlannedSlot(start=NOON, grid_w=4140.0, car_w=4140.0, car_kwh=1.0)
    plan = Plan(made_at=NOON, slots=(slot,), sentence="now", cost=1.0, solar_kwh=0.0, grid_kwh=1.0)
    assert history.plans.last("home") is None
    history.plans.record("home", plan)
    history.plans.record("home", plan.model_copy(update={"made_at": LATER}))
    assert history.plans.made_at("home") == LATER
    assert history.plans.last("home") == plan.model_copy(update={"made_at": LATER})


def test_what_is_asked_for_is_found_until_it_ends(history: History) -> None:
    assert history.requests("home") == (None, None, None)
    departure = ReadyBy.asked("20:00, 5 kWh", "UTC", NOON)
    history.departures.begin("home", "run 1", departure)
    history.dimmings.begin("home", "run 2", Dimming.asked(4200, "2 h", "UTC", NOON))
    history.departures.begin("home", "run 3", departure)
    boost, active, dimming = history.requests("home")
    assert boost is None
    assert active is not None
    assert dimming is not None
    assert (active.run_id, active.request, dimming.request.limit_w) == ("run 3", departure, 4200)
    superseded = history.departures.of_run("run 1")
    assert superseded is not None
    assert superseded.ended_by == superseded.superseded != BoostRow.superseded
    history.dimmings.end("run 2", dimming.request, NOON + timedelta(hours=2), "its time is up")
    assert history.requests("home")[2] is None
    assert history.requests("cabin") == (None, None, None)
