"""What the house takes from its battery at night, and that the battery comes first until then."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.nights import Nights, first_until_pct, follow_night
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.energy.tariff import Prices
from tests.support.control_readings import NOW, charger, told, with_battery

DARK = replace(with_battery(0, -400, 50), pv_w=0.0)
EVENING = datetime(2026, 6, 21, 20, tzinfo=UTC)
FOR_NIGHT = Policy(battery_first_for_night=True)


def _night(soc_pct: float, *, hours: int, car_draws: bool = False) -> Nights:
    """A house takes 400 W; the battery of 10 kWh gives them down to 5 %; ended by the next noon."""
    nights = Nights(since_noon=EVENING.date(), partial=False)
    for step in range(hours * 60):
        at = EVENING + timedelta(minutes=step)
        empty = soc_pct <= 5
        reading = replace(DARK, battery_soc_pct=soc_pct)
        reading = replace(reading, grid_export_w=-400.0, battery_charge_w=0.0) if empty else reading
        nights = follow_night(nights, at, timedelta(minutes=1), reading, car_draws=car_draws)
        soc_pct -= 0 if empty else 400 / 60 / 100
    noon = EVENING + timedelta(hours=17)
    sunny = with_battery(1000, 3000, 40)
    return follow_night(nights, noon, timedelta(minutes=1), sunny, car_draws=False)


@pytest.mark.parametrize(
    ("soc_pct", "need_pct"), [(80.0, 40.0), (25.0, 40.0)], ids=["is enough", "runs empty"]
)
def test_ten_hours_of_400_w_are_40_pct_of_10_kwh(soc_pct: float, need_pct: float) -> None:
    (need,) = _night(soc_pct, hours=10).needs_pct
    assert need == pytest.approx(need_pct, abs=0.5)


def test_what_the_car_takes_at_night_is_not_the_houses() -> None:
    assert _night(80, hours=10, car_draws=True).needs_pct == ()


def test_a_night_of_which_only_a_part_was_seen_does_not_count() -> None:
    nights, midnight = Nights(), EVENING + timedelta(hours=4)
    for step in range(13 * 60):
        at, soc_pct = midnight + timedelta(minutes=step), 60 - step / 60
        reading = replace(DARK, battery_soc_pct=soc_pct)
        nights = follow_night(nights, at, timedelta(minutes=1), reading, car_draws=False)
    assert nights.needs_pct == ()
    assert not nights.partial


def test_what_a_dull_day_takes_is_not_the_nights() -> None:
    nights = Nights(since_noon=NOW.date(), partial=False, soc_pct=60.0)
    reading = replace(DARK, battery_soc_pct=50.0, pv_w=400.0)
    nights = follow_night(nights, NOW, timedelta(minutes=1), reading, car_draws=False)
    assert (nights.fell_pct, nights.given_wh, nights.soc_pct) == (0, 0, 50)


@pytest.mark.parametrize(
    ("nights", "prices", "until_pct"),
    [
        (Nights(needs_pct=(30.0, 50.0), empty_pct=5.0), Prices(), 45.0),
        (Nights(), Prices(), None),
        (Nights(needs_pct=(50.0,)), Prices(import_price=0.22, night_price=0.20), 0.0),
        (Nights(needs_pct=(90.0,), empty_pct=20.0), Prices(), 100.0),
    ],
    ids=["mean and what it keeps", "no night yet", "the car's night costs as much", "all of it"],
)
def test_until_when_the_battery_comes_first(
    nights: Nights, prices: Prices, until_pct: float | None
) -> None:
    assert first_until_pct(nights, prices) == until_pct


@pytest.mark.parametrize(("soc_pct", "pauses"), [(40.0, True), (60.0, False)])
def test_the_car_waits_until_the_night_is_covered(soc_pct: float, pauses: bool) -> None:
    """4.6 kW for the battery, of which it may keep 5 kW; 50 % cover the night."""
    state = told(0, nights=Nights(needs_pct=(45.0,), empty_pct=5.0))
    state = state.model_copy(update={"accumulated_benefit_wh": {3: 500.0}})
    reading = with_battery(0, 4600, soc_pct)
    decision = decide(CycleInputs(NOW, reading, charger(), FOR_NIGHT), state)
    assert decision.setpoint is not None
    assert (decision.surplus_w is not None and decision.surplus_w < 0) is pauses


def test_a_night_is_not_counted_where_nobody_asked_for_it() -> None:
    reading = with_battery(-200, -400, 50)
    decision = decide(CycleInputs(NOW, reading, charger(), Policy()), told(0))
    assert decision.state.nights == Nights()
