"""What the car needs and when, from wishes, charger and the car's own word."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from easee_load_balancer.control.departures import ChargingWishes, ReadyBy
from easee_load_balancer.control.needs import CarReport, CarSeen, needs
from easee_load_balancer.control.plan import PlanInputs, PlanSlot
from easee_load_balancer.control.plan_slots import Past, peak_tariff, plan_slots
from easee_load_balancer.control.planner import make_plan
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.energy.price_table import PriceTable
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.measurements import ChargerMode
from easee_load_balancer.periods import QUARTER
from tests.support.control_readings import charger

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 26, 17, tzinfo=UTC)
"""Thursday, 18:00 in Berlin."""
MORNING = datetime(2026, 11, 27, 7, 30, tzinfo=BERLIN)
KWH = ChargingWishes(departures=["Mon-Fri 07:30-17:00 12 kWh"])
PER_CENT = ChargingWishes(
    departures=["Mon-Fri 07:30-17:00 80 %"], car_battery_kwh=50, usual_trip_kwh=15
)
SEEN = CarSeen(connected=True, session_kwh=5.0, max_current_a=16, phases=(1, 3))


@pytest.mark.parametrize(
    ("wishes", "report", "in_car", "needed", "capacity", "trip"),
    [
        pytest.param(KWH, None, 5, 12, 200, 12, id="kWh count from the return"),
        pytest.param(PER_CENT, None, 5, 15, 50, 15, id="without the state of charge: the trip"),
        pytest.param(PER_CENT, CarReport(40, 5), 20, 40, 50, 15, id="per cent of the battery"),
        pytest.param(PER_CENT, CarReport(40, 3), 22, 40, 50, 15, id="charged since it told"),
        pytest.param(PER_CENT, CarReport(40, 5, 70), 20, 40, 35, 15, id="the car's own limit"),
        pytest.param(KWH, CarReport(40, 5), 5, 12, 200, 12, id="a battery of unknown size"),
    ],
)
def test_energy_in_the_car_and_for_the_departure(
    wishes: ChargingWishes,
    report: CarReport | None,
    in_car: float,
    needed: float,
    capacity: float,
    trip: float,
) -> None:
    need = needs(SEEN, wishes, Policy(), NOW, BERLIN, report=report)
    first = need.departures[0]
    assert (need.car.energy_kwh, need.car.capacity_kwh) == (in_car, capacity)
    assert (first.at, first.energy_kwh, first.trip_kwh) == (MORNING, needed, trip)
    assert first.back_at == MORNING + timedelta(hours=9, minutes=30)


@pytest.mark.parametrize(
    ("session_kwh", "shown", "before", "expected_kwh"),
    [
        pytest.param(3.0, {}, SEEN, 3.0, id="known"),
        pytest.param(None, {}, SEEN, 5.0, id="unknown: as the last cycle saw it"),
        pytest.param(None, {}, None, 0.0, id="never known"),
        pytest.param(0.0, {}, SEEN, 5.0, id="a zero while charging"),
        pytest.param(0.0, {"mode": ChargerMode.READY_TO_CHARGE}, SEEN, 0.0, id="a new session"),
        pytest.param(5.0, {"mode": ChargerMode.DISCONNECTED}, SEEN, 0.0, id="no car"),
    ],
)
def test_energy_of_the_session_as_the_charger_shows_it(
    session_kwh: float | None,
    shown: dict[str, Any],
    before: CarSeen | None,
    expected_kwh: float,
) -> None:
    state = charger(10.0, session_kwh=session_kwh, **shown)
    seen = CarSeen.of(state, Policy(), ControllerState(), before)
    assert seen.session_kwh == expected_kwh


def test_the_car_takes_no_more_than_the_policy_allows() -> None:
    assert needs(SEEN, KWH, Policy(), NOW, BERLIN).car.max_w == 16 * 3 * 230
    limited = needs(SEEN, KWH, Policy(max_power_w=3700), NOW, BERLIN).car
    assert limited.max_w == 3700
    assert limited.beside(2).max_w == 1850  # the limit is for all cars together


def test_a_departure_that_is_asked_for_needs_what_is_still_missing() -> None:
    asked = ReadyBy.asked("22:00, 8 kWh", "Europe/Berlin", NOW)
    asked = asked.model_copy(update={"counted_kwh": 3.0, "car": "here"})
    need = needs(SEEN, KWH, Policy(), NOW, BERLIN, asked)
    assert [one.energy_kwh for one in need.departures[:2]] == [5 + 5, 12]


def test_a_departure_that_is_asked_for_takes_the_place_of_the_usual_one_of_that_day() -> None:
    asked = ReadyBy.asked("tomorrow 06:30, 20 kWh", "Europe/Berlin", NOW)
    first, after = needs(SEEN, KWH, Policy(), NOW, BERLIN, asked).departures[:2]
    assert (first.at, first.energy_kwh) == (asked.at, 25)
    assert first.back_at == MORNING + timedelta(hours=9, minutes=30)
    assert after.at == MORNING + timedelta(days=3)


def test_a_car_that_is_to_leave_later_than_usual_is_not_charged_for_two_trips() -> None:
    asked = ReadyBy.asked("tomorrow 09:00, 20 kWh", "Europe/Berlin", NOW)
    need = needs(SEEN, KWH, Policy(), NOW, BERLIN, asked)
    assert [(one.at, one.energy_kwh) for one in need.departures[:2]] == [
        (MORNING, 12),
        (asked.at, 25),
    ]
    night = tuple(PlanSlot(NOW + index * QUARTER, 0.2, 0.1, 0.0, 0.0) for index in range(64))
    plan = make_plan(PlanInputs(NOW, night, need.car, need.departures, later_price=0.0))
    assert plan.grid_kwh == pytest.approx(20)


@pytest.mark.parametrize(
    ("now", "away", "comes"),
    [
        pytest.param(
            MORNING + timedelta(hours=2), False, MORNING + timedelta(hours=9.5), id="trip"
        ),
        pytest.param(NOW, False, NOW + QUARTER, id="late"),
        pytest.param(NOW, True, None, id="away"),
    ],
)
def test_a_car_that_is_away_is_expected_at_the_end_of_its_trip(
    now: datetime, away: bool, comes: datetime | None
) -> None:
    gone = replace(SEEN, connected=False, session_kwh=0.0)
    need = needs(gone, KWH, Policy(), now, BERLIN, away=away)
    assert (need.car.connected, need.car.connects_at) == (False, comes)


def test_slots_have_known_and_usual_prices_expected_sun_and_load() -> None:
    midnight = datetime(2026, 11, 25, 23, tzinfo=UTC)
    spot = {midnight + index * QUARTER: index % 96 / 100 for index in range(-192, 96)}
    prices = Prices(source="Nord Pool", zone="DE-LU", vat_pct=0)
    noon = datetime(2026, 11, 27, 11, tzinfo=UTC)
    past = Past(load_w={NOW - timedelta(days=7): 900.0}, forecast_w={noon: 4000.0})
    slots = plan_slots(PriceTable(prices, BERLIN, spot), past, NOW, timedelta(hours=48))
    assert len(slots) == 192
    assert (slots[0].start, slots[0].load_w, slots[0].price_known) == (NOW, 900.0, True)
    assert slots[0].import_price == pytest.approx(spot[NOW])
    at_noon = next(slot for slot in slots if slot.start == noon)
    assert (at_noon.pv_w, at_noon.price_known) == (4000.0, False)
    assert at_noon.import_price == pytest.approx(0.48)  # as each day at noon


def test_the_months_highest_hours_are_those_of_the_home() -> None:
    prices = Prices(peak_price_per_kw=5, peak_highest=2, peak_minutes="60")
    hour = datetime(2026, 11, 10, 17, tzinfo=UTC)
    import_w = {hour + index * QUARTER: watts for index, watts in enumerate((8e3, 0.0, 4e3, 0.0))}
    import_w |= {hour + timedelta(days=1): 2000.0, hour - timedelta(days=15): 9000.0}
    tariff = peak_tariff(prices, import_w, NOW, BERLIN)
    assert tariff is not None
    assert tariff.so_far_w == (3000.0, 2000.0)
    assert tariff.month_ends == datetime(2026, 12, 1, tzinfo=BERLIN)
    assert peak_tariff(Prices(), import_w, NOW, BERLIN) is None


def test_the_hour_that_a_clock_change_repeats_is_two_intervals() -> None:
    prices = Prices(peak_price_per_kw=5, peak_highest=2, peak_minutes="60")
    first = datetime(2026, 10, 25, 0, tzinfo=UTC)  # 2:00 in Berlin, and an hour later once more
    import_w = {first + index * QUARTER: 4000.0 if index < 4 else 0.0 for index in range(8)}
    tariff = peak_tariff(prices, import_w, first + timedelta(days=2), BERLIN)
    assert tariff is not None
    assert tariff.so_far_w == (4000.0, 0.0)
