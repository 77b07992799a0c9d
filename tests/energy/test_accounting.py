"""Energy totals: what holds for any samples, and the cases that are easy to get wrong."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easee_load_balancer.energy.accounting import account, per_interval
from easee_load_balancer.energy.power_flows import gaps, power_flows, usual_interval
from easee_load_balancer.energy.price_table import PriceTable
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.energy.totals import Energy
from tests.support.energy_samples import INTERVAL, START, at, samples, steady, totals

LONGEST = 3 * INTERVAL
quick = settings(max_examples=50, deadline=None)

watts = st.integers(-15_000, 15_000).map(float)
pv_watts = st.integers(0, 15_000).map(float)
count = st.integers(0, 300).map(lambda steps: steps / 100)
"""Counters that go on, stand still, jump and restart."""


@st.composite
def any_samples(draw: st.DrawFn) -> pd.DataFrame:
    """Irregular samples with unknown values, gaps, and counters that restart."""
    steps = draw(st.lists(st.integers(1, 250), max_size=12))
    moments = np.cumsum([draw(st.integers(-200, 200)), *steps])
    rows = [
        {
            "at": at(float(second)),
            "outcome": draw(st.sampled_from(["held", "pushed", "failed"])),
            "pv_w": draw(st.none() | pv_watts),
            "inverter_ac_w": draw(st.none() | watts),
            "grid_export_w": draw(st.none() | watts),
            "battery_charge_w": draw(st.none() | st.just(0.0) | watts),
            "car_w": draw(st.none() | pv_watts),
            "car_age_s": draw(st.none() | st.integers(-5, 400).map(float)),
            "car_phases": draw(st.none() | st.sampled_from([0.0, 1.0, 3.0])),
            "exported_kwh": draw(st.none() | count),
            "imported_kwh": draw(st.none() | count),
            "charged_kwh": draw(st.none() | count),
            "discharged_kwh": draw(st.none() | count),
            "session_kwh": draw(st.none() | count),
        }
        for second in moments.tolist()
    ]
    return samples(rows)


@quick
@given(any_samples())
def test_supply_equals_use_and_the_sources_of_the_car_add_up(cycles: pd.DataFrame) -> None:
    sums = account(cycles, START, at(3000), INTERVAL)
    supply = sums.pv_kwh + sums.import_kwh + sums.discharge_kwh + sums.unseen_kwh
    used = sums.house_kwh + sums.car_kwh + sums.export_kwh + sums.charge_kwh
    assert supply == pytest.approx(used, abs=1e-9)
    by_source = sums.car_from_solar_kwh + sums.car_from_battery_kwh + sums.car_from_grid_kwh
    assert by_source == pytest.approx(sums.car_kwh, abs=1e-9)
    assert sums.car_from_solar_kwh >= -1e-9
    assert sums.car_from_grid_kwh <= sums.import_kwh + 1e-9
    assert sums.car_from_battery_kwh <= sums.discharge_kwh + 1e-9


@quick
@given(any_samples())
def test_no_sample_holds_into_a_gap(cycles: pd.DataFrame) -> None:
    rows = power_flows(cycles, INTERVAL)
    held = rows["until"] - rows["at"]
    assert (held <= LONGEST).all()
    breaks = rows["at"].shift(-1) - rows["at"] > LONGEST
    assert (held[breaks] == timedelta(0)).all()
    sums = account(cycles, START, at(3000), INTERVAL)
    empty = sum(((end - start).total_seconds() for start, end in gaps(rows, START, at(3000))), 0.0)
    assert sums.measured_s + empty == pytest.approx(sums.period_s)


@quick
@given(any_samples(), st.floats(1, 2999))
def test_the_totals_of_two_parts_add_up_to_the_whole(cycles: pd.DataFrame, second: float) -> None:
    prices = Prices(import_price=2, export_price=0.5, import_price_by_hour=list(range(24)))
    zone = ZoneInfo("Europe/Stockholm")
    whole = account(cycles, START, at(3000), INTERVAL, PriceTable(prices, zone))
    one = account(cycles, START, at(second), INTERVAL, PriceTable(prices, zone))
    other = account(cycles, at(second), at(3000), INTERVAL, PriceTable(prices, zone))
    both = one + other
    for field in fields(Energy):
        if field.name == "longest_gap_s":
            assert both.longest_gap_s <= whole.longest_gap_s + 1e-6
        elif len(cycles) or field.name != "cycles_missed":
            mine, theirs = getattr(both, field.name), getattr(whole, field.name)
            assert mine == pytest.approx(theirs, abs=1e-6), field.name


def test_in_an_hour_of_solar_charging_all_of_the_car_is_solar() -> None:
    sums = totals(steady(-30, 3660, pv_w=6000, inverter_ac_w=5900, grid_export_w=1000, car_w=4000))
    balance = (sums.pv_kwh, sums.export_kwh, sums.house_kwh, sums.losses_kwh)
    assert balance == pytest.approx((6.0, 1.0, 1.0, 0.1))
    assert sums.car_kwh == sums.car_from_solar_kwh == pytest.approx(4.0)
    assert sums.self_consumption_pct == pytest.approx(100 * 5 / 6)
    assert sums.self_sufficiency_pct == pytest.approx(100.0)
    assert sums.charging_s == sums.measured_s == 3600
    assert sums.longest_gap_s == 0
    assert sums.cycles == 120


def test_the_car_uses_import_first_then_battery_then_solar() -> None:
    sums = totals(
        steady(-30, 3660, pv_w=3000, grid_export_w=-1000, battery_charge_w=-2000, car_w=5000)
    )
    car = (sums.car_from_grid_kwh, sums.car_from_battery_kwh, sums.car_from_solar_kwh)
    assert (*car, sums.house_kwh) == pytest.approx((1.0, 2.0, 2.0, 1.0))


def test_a_sample_holds_for_three_intervals_and_no_longer() -> None:
    short = totals(steady(0, 1801, pv_w=1000) + steady(1890, 3660, pv_w=1000))
    assert short.pv_kwh == pytest.approx(1.0)
    assert short.cycles_missed == 2
    assert short.longest_gap_s == 0
    long = totals(steady(0, 1801, pv_w=1000) + steady(1891, 3660, pv_w=1000))
    assert long.longest_gap_s == 91
    assert long.measured_s == 3600 - 91
    assert long.pv_kwh == pytest.approx(long.measured_s / 3600)


def test_no_samples_are_one_long_gap() -> None:
    sums = totals([])
    assert sums.measured_s == 0
    assert sums.longest_gap_s == sums.unmeasured_s == 3600
    assert sums.cycles_missed == 120
    assert sums.self_consumption_pct is None
    assert sums.self_sufficiency_pct is None
    assert sums.meter_import_kwh is None


def test_one_failed_reading_leaves_no_gap() -> None:
    rows = steady(-30, 3660, pv_w=2000, grid_export_w=2000)
    unknown = {"pv_w": None, "grid_export_w": None, "battery_charge_w": None, "outcome": "failed"}
    rows[40] |= unknown
    sums = totals(rows)
    assert sums.pv_kwh == pytest.approx(2.0)
    assert sums.cycles_failed == 1
    assert sums.cycles_missed == 0


def test_the_car_counts_as_house_while_the_charger_is_unknown_for_long() -> None:
    rows = steady(-30, 3660, pv_w=5000, car_w=4000)
    for row in rows[21:41]:
        row["car_w"] = None
    sums = totals(rows)
    assert sums.car_unknown_s == 600
    assert sums.car_kwh == pytest.approx(4.0 * 3000 / 3600)
    assert sums.house_kwh == pytest.approx(5.0 - sums.car_kwh)
    rows = steady(-30, 3660, pv_w=5000, car_w=4000)
    for row in rows[21:23]:
        row["car_w"] = None
    assert totals(rows).car_kwh == pytest.approx(4.0)


def test_the_car_draws_from_the_grid_while_the_inverter_sleeps() -> None:
    sums = totals(steady(-30, 3660, grid_export_w=None, car_w=3000))
    assert sums.car_from_grid_kwh == sums.import_kwh == pytest.approx(3.0)
    assert sums.house_kwh == 0
    assert sums.grid_unknown_s == 3600


def test_a_house_of_less_than_nothing_is_a_source_that_is_not_read() -> None:
    """After evcc-io/evcc #26888: two inverters at one meter, one of them read."""
    dark = steady(0, 3601, grid_export_w=-500)
    bright = steady(3630, 7201, pv_w=4000, inverter_ac_w=4000, grid_export_w=7000)
    sums = totals(dark + bright, until=7200)
    assert sums.unseen_kwh == pytest.approx(3.0, rel=0.02)
    assert sums.house_kwh == pytest.approx(0.5, rel=0.02)
    assert (sums.self_consumption_pct, sums.self_sufficiency_pct) == (None, None)


def test_a_car_that_the_cloud_shows_too_long_is_not_a_source() -> None:
    rows = steady(0, 7200, pv_w=4000, grid_export_w=3000)
    for row in rows[100:104]:
        row["car_w"] = 11_000.0
    sums = totals(rows, until=7200)
    assert sums.unseen_kwh == 0


def test_the_charger_s_time_stamp_decides_when_the_car_stopped() -> None:
    rows = steady(0, 1801, car_w=3600) + steady(1830, 3631, car_w=0)
    rows[61]["car_age_s"] = 25.0
    assert totals(rows).car_kwh == pytest.approx((1800 + 5) / 1000)
    assert totals(rows).charging_s == 1805


def test_starts_and_phase_changes_are_counted_across_pauses() -> None:
    rows = (
        steady(-30, 600, car_w=0)
        + steady(600, 1200, car_w=7000, car_phases=3)
        + steady(1200, 1800, car_w=0)
        + steady(1800, 2400, car_w=2000, car_phases=1)
        + steady(2400, 3660, car_w=5000, car_phases=3)
    )
    sums = totals(rows)
    assert (sums.starts, sums.phase_changes) == (2, 2)
    assert sums.charging_s == 600 + 600 + 1200


def test_prices_are_those_of_the_local_hour() -> None:
    prices = Prices(
        currency="SEK",
        import_price=9,
        export_price=0.5,
        import_price_by_hour=[1.0] * 12 + [2.0] * 12,
    )
    rows = steady(-30, 2 * 3600 + 30, pv_w=5000, grid_export_w=1000, car_w=4000)
    # 10 to 12 o'clock UTC is 11 to 13 o'clock in winter, one hour at each price
    for row in rows:
        row["at"] += timedelta(hours=10, days=180)
    start = START + timedelta(hours=10, days=180)
    end = start + timedelta(hours=2)
    sums = account(
        samples(rows), start, end, INTERVAL, PriceTable(prices, ZoneInfo("Europe/Stockholm"))
    )
    assert sums.saved == pytest.approx(4 * (1 - 0.5) + 4 * (2 - 0.5), rel=1e-2)
    assert sums.export_income == pytest.approx(2 * 0.5)
    assert sums.import_cost == sums.car_grid_cost == 0


def test_without_prices_there_is_no_money() -> None:
    assert totals(steady()).saved is None
    assert (totals(steady()) + Energy(saved=2.0)).saved == 2.0


def test_the_usual_interval_is_the_median() -> None:
    rows = steady(0, 900, step=10) + steady(2000, 2900, step=10) + steady(2901, 2902)
    assert usual_interval(samples(rows)) == timedelta(seconds=10)
    assert usual_interval(samples([])) == timedelta(seconds=30)


@quick
@given(any_samples())
def test_the_intervals_add_up_to_the_totals(cycles: pd.DataFrame) -> None:
    table = per_interval(power_flows(cycles, INTERVAL), START, at(3000))
    sums = account(cycles, START, at(3000), INTERVAL)
    assert table["seconds"].sum() == pytest.approx(sums.measured_s)
    assert table["car_from_solar_kwh"].sum() == pytest.approx(sums.car_from_solar_kwh, abs=1e-9)
    assert table["house_kwh"].sum() == pytest.approx(sums.house_kwh, abs=1e-9)
