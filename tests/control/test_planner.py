"""Plans of small days, whose cheapest charging a reader can see."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from easee_load_balancer.control.peak import PeakTariff
from easee_load_balancer.control.plan import (
    Car,
    CarLimit,
    Departure,
    HomeBattery,
    Plan,
    PlanInputs,
    PlanSlot,
)
from easee_load_balancer.control.plan_slots import beside
from easee_load_balancer.control.planner import make_plan
from easee_load_balancer.errors import PlanError
from easee_load_balancer.periods import QUARTER

NOW = datetime(2026, 3, 3, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)


def hours(
    *prices: float, pv_w: dict[int, float] | None = None, load_w: float = 0.0
) -> tuple[PlanSlot, ...]:
    """An hour for each price from 20:00; PV by hours from now."""
    return tuple(
        PlanSlot(
            NOW + index * HOUR + quarter * QUARTER,
            import_price=price,
            export_price=price / 2,
            pv_w=(pv_w or {}).get(index, 0.0),
            load_w=load_w,
        )
        for index, price in enumerate(prices)
        for quarter in range(4)
    )


def leaves(in_hours: float, energy_kwh: float) -> Departure:
    at = NOW + timedelta(hours=in_hours)
    return Departure(at, energy_kwh, energy_kwh, at + timedelta(hours=10))


def inputs(*prices: float, **other: Any) -> PlanInputs:
    """A night; what is left in the car is worth nothing later."""
    slots = hours(*prices, pv_w=other.pop("pv_w", None), load_w=other.pop("load_w", 0.0))
    car = other.pop("car", Car(energy_kwh=0.0, capacity_kwh=50.0))
    return PlanInputs(NOW, slots, car, later_price=0.0, **other)


def by_hour(plan: Plan) -> list[float]:
    """Energy from the grid that each hour allows, in kWh."""
    grid_w = [slot.grid_w for slot in plan.slots]
    return [round(sum(grid_w[i : i + 4]) / 4000, 1) for i in range(0, len(grid_w), 4)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(
            inputs(0.30, 0.20, 0.10, 0.40, departures=(leaves(4, 11.0),)),
            [0.0, 0.0, 11.0, 0.0],
            id="the cheapest hour",
        ),
        pytest.param(
            inputs(0.30, 0.20, 0.10, 0.40, departures=(leaves(2, 11.0),)),
            [0.0, 11.0, 0.0, 0.0],
            id="the cheapest hour before the departure",
        ),
        pytest.param(
            inputs(0.30, 0.10, 0.20, 0.10, departures=(leaves(4, 11.0),)),
            [0.0, 11.0, 0.0, 0.0],
            id="of equal hours the sooner",
        ),
        pytest.param(
            inputs(0.30, 0.10, 0.102, 0.10, departures=(leaves(4, 22.0),)),
            [0.0, 11.0, 1.4, 9.7],
            id="goes on at the minimum rather than stop and start for a small difference",
        ),
        pytest.param(
            inputs(0.20, 0.10, 0.30, pv_w={2: 11_040.0}, departures=(leaves(3, 11.0),)),
            [0.0, 0.0, 0.0],
            id="the sun comes in time",
        ),
        pytest.param(
            inputs(0.20, 0.10, 0.30, pv_w={2: 4600.0}, departures=(leaves(3, 11.0),)),
            [0.0, 6.4, 0.0],
            id="the grid adds what the sun does not bring",
        ),
        pytest.param(
            inputs(0.40, 0.10, 0.30, car=Car(3.0, 50.0, floor_kwh=8.0)),
            [5.5, 0.0, 0.0],
            id="the floor at once at any price",
        ),
        pytest.param(
            inputs(0.20, -0.02, 0.05, charge_below_price=0.05, car=Car(40.0, 50.0)),
            [0.0, 10.0, 0.0],
            id="cheap enough to charge always, until the car is full",
        ),
        pytest.param(
            inputs(0.20, 0.20, 0.10, departures=(leaves(3, 20.0),), max_import_w=8000.0),
            [7.8, 4.5, 7.8],
            id="not more than the main fuse allows",
        ),
        pytest.param(
            inputs(0.2, 0.1, departures=(leaves(2, 6.0),), limit=CarLimit(4200.0)),
            [2.0, 4.1],
            id="not more than the grid operator allows",
        ),
        pytest.param(
            inputs(
                *(0.2, 0.1, 0.1),
                departures=(leaves(3, 9.0),),
                car=Car(0.0, 50.0, max_power_w=3700.0),
            ),
            [1.6, 3.7, 3.7],
            id="not more than the owner allows",
        ),
        pytest.param(inputs(0.20, 0.10, car=Car(0.0, 50.0)), [0.0, 0.0], id="nothing is wanted"),
    ],
)
def test_takes_from_the_grid_what_is_cheapest(given: PlanInputs, expected: list[float]) -> None:
    plan = make_plan(given)
    assert by_hour(plan) == pytest.approx(expected, abs=0.6)
    assert not plan.unmet


def test_what_cannot_be_met_is_said_with_what_is_possible() -> None:
    plan = make_plan(inputs(0.2, 0.1, departures=(leaves(1, 30.0),)))
    (unmet,) = plan.unmet
    assert (unmet.energy_kwh, unmet.possible_kwh) == (30.0, 11.0)
    assert by_hour(plan)[0] == 11.0
    said = "30 kWh by 21:00 cannot be reached: 11 kWh are possible"
    assert plan.sentence == f"{said}; 20:00 to 21:00 at 16 A x 3 for 2.21 EUR"


def test_a_departure_that_cannot_be_met_is_named_by_its_own_time() -> None:
    plan = make_plan(inputs(0.2, 0.1, departures=(leaves(0.9, 30.04),)))
    assert [one.at for one in plan.unmet] == [NOW + timedelta(minutes=54)]
    assert plan.sentence.startswith("30 kWh by 20:54 cannot be reached: 8.3 kWh are possible")


def test_a_car_that_is_to_leave_with_less_than_its_usual_trip_gets_no_more() -> None:
    plan = make_plan(inputs(0.1, 0.2, departures=(replace(leaves(1, 5.0), trip_kwh=8.0),)))
    assert plan.grid_kwh == pytest.approx(5.0)
    assert not plan.unmet


def test_a_little_sun_is_not_worth_a_word() -> None:
    given = inputs(0.2, 0.1, pv_w={1: 300.0})
    usual = tuple(replace(slot, usual_sun_w=slot.pv_w) for slot in given.slots)
    plan = make_plan(replace(given, slots=usual))
    assert (plan.solar_kwh, plan.sentence) == (0.3, "Nothing to charge")


def test_the_sentence_tells_when_how_much_and_what_the_sun_brings() -> None:
    given = inputs(0.20, 0.10, 0.30, 0.30, pv_w={3: 7000.0}, departures=(leaves(4, 15.6),))
    plan = make_plan(replace(given, time_zone="Europe/Stockholm"))
    assert plan.sentence == "22:00 to 23:00 at 16 A x 3 for 0.86 EUR; sun brings 7 kWh before 01:00"
    assert (plan.solar_kwh, plan.grid_kwh) == pytest.approx((7.0, 8.6))
    assert plan.cost == pytest.approx(8.6 * 0.10 + 7.0 * 0.15)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_no_departure_is_planned_for_that_is_over_or_beyond_the_prices() -> None:
    past, far = leaves(-1, 20.0), leaves(9, 20.0)
    plan = make_plan(inputs(0.2, 0.1, departures=(past, far)))
    assert plan.sentence == "Nothing to charge"


def test_a_car_that_is_not_there_makes_no_promises() -> None:
    nobody = Car(0.0, 50.0, connected=False)
    assert not make_plan(inputs(0.2, 0.1, car=nobody, departures=(leaves(2, 9.0),))).unmet
    expected = replace(nobody, connects_at=NOW + HOUR)
    plan = make_plan(inputs(0.1, 0.2, 0.3, car=expected, departures=(leaves(3, 11.0),)))
    assert by_hour(plan) == pytest.approx([0.0, 11.0, 0.0], abs=0.6)


def test_without_anything_known_there_is_no_plan() -> None:
    with pytest.raises(PlanError, match="neither prices nor forecasts"):
        make_plan(inputs())


def test_a_car_that_is_away_charges_after_it_has_come_back() -> None:
    away = Departure(NOW + HOUR, 0.0, 0.0, NOW + 2 * HOUR)
    needs = replace(leaves(4, 11.0))
    plan = make_plan(inputs(0.2, 0.1, 0.4, 0.3, departures=(away, needs)))
    assert by_hour(plan) == pytest.approx([11.0, 0.0, 0.0, 0.0], abs=0.6)


def test_a_peak_that_costs_more_than_the_night_saves_is_not_made() -> None:
    month_ends = NOW + timedelta(hours=4)
    given = inputs(0.20, 0.10, 0.20, 0.20, departures=(leaves(4, 11.0),), load_w=1000.0)
    plan = make_plan(replace(given, peak=PeakTariff(5.0, month_ends=month_ends)))
    assert by_hour(plan) == pytest.approx([2.8] * 4, abs=0.3)
    assert plan.peak_w == pytest.approx(3750 / 0.95, abs=20)
    paid = PeakTariff(5.0, so_far_w=(12_500.0,) * 3, month_ends=month_ends)
    assert by_hour(make_plan(replace(given, peak=paid))) == pytest.approx([0, 11, 0, 0], abs=0.6)


def test_sun_of_the_usual_day_may_be_less_than_a_car_charges_with() -> None:
    """Half of the days bring 2 kW, the others nothing: no energy from the grid lifts the mean."""
    given = inputs(0.20, 0.30, 0.10, pv_w={1: 1000.0}, departures=(leaves(3, 5.0),))
    usual = [replace(slot, usual_sun_w=slot.pv_w) for slot in given.slots]
    plan = make_plan(replace(given, slots=tuple(usual)))
    assert by_hour(plan) == pytest.approx([0.0, 0.0, 4.0], abs=0.2)
    assert plan.solar_kwh == pytest.approx(1.0)


def test_the_house_battery_leaves_the_car_its_sun() -> None:
    battery = HomeBattery(0.0, 10.0, 5000.0, 5000.0)
    given = inputs(0.20, 0.30, pv_w={1: 7000.0}, departures=(leaves(2, 7.0),), battery=battery)
    assert by_hour(make_plan(given)) == [0.0, 0.0]


def test_a_second_car_is_planned_with_what_the_first_leaves() -> None:
    cheap = inputs(
        *(0.30, 0.10, 0.20),
        departures=(leaves(3, 15.0),),
        max_import_w=12_000.0,
        pv_w={0: 8_000.0},
    )
    first = make_plan(cheap)
    assert by_hour(first) == [0.0, 7.1, 0.0]  # beside 8 kWh of sun
    second = make_plan(replace(cheap, slots=beside(cheap.slots, [first])))
    assert second.solar_kwh == 0
    assert by_hour(second) == [0.0, 4.3, 10.9]  # from 21:30, when the first one charges no more
    both_w = [one.car_w + two.car_w for one, two in zip(first.slots, second.slots, strict=True)]
    assert max(both_w) <= 12_000


def test_a_peak_that_another_plan_reaches_costs_nothing_more() -> None:
    tariff = PeakTariff(price_per_kw=5.0, so_far_w=(3000.0, 2000.0, 1000.0))
    assert tariff.reached_by([None, 6000.0]).paid_w == 6000
    assert tariff.reached_by([500.0, None]) == tariff
