"""Energy totals: what holds for any samples, and the cases that are easy to get wrong."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easee_load_balancer.energy.accounting import Energy, account, per_interval
from easee_load_balancer.energy.counters import session_growth
from easee_load_balancer.energy.power_flows import COLUMNS, gaps, power_flows, usual_interval
from easee_load_balancer.energy.tariff import Prices

START = datetime(2026, 6, 21, tzinfo=UTC)
INTERVAL = timedelta(seconds=30)
LONGEST = 3 * INTERVAL
quick = settings(max_examples=50, deadline=None)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def samples(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Cycles as the history returns them; missing values are unknown."""
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame["at"] = pd.to_datetime(frame["at"], utc=True).dt.as_unit("us")
    frame["outcome"] = [row.get("outcome", "held") for row in rows]
    numbers = [name for name in COLUMNS if name not in ("at", "outcome")]
    frame[numbers] = frame[numbers].astype("float64")
    return frame


def steady(
    since: float = 0, until: float = 3600, step: float = 30, **power_w: float | None
) -> list[dict[str, Any]]:
    """Constant samples; all powers are 0 except the given ones."""
    still: dict[str, Any] = {"pv_w": 0, "inverter_ac_w": 0, "grid_export_w": 0}
    still |= {"battery_charge_w": 0, "car_w": 0, "car_phases": 0, **power_w}
    return [{"at": at(second), **still} for second in np.arange(since, until, step).tolist()]


def totals(rows: list[dict[str, Any]], until: float = 3600, **more: Any) -> Energy:
    return account(samples(rows), START, at(until), INTERVAL, **more)


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
    whole = account(cycles, START, at(3000), INTERVAL, prices, zone)
    one = account(cycles, START, at(second), INTERVAL, prices, zone)
    other = account(cycles, at(second), at(3000), INTERVAL, prices, zone)
    both = one + other
    for field in fields(Energy):
        if field.name == "longest_gap_s":
            assert both.longest_gap_s <= whole.longest_gap_s + 1e-6
        elif len(cycles) or field.name != "cycles_missed":
            mine, theirs = getattr(both, field.name), getattr(whole, field.name)
            assert mine == pytest.approx(theirs, abs=1e-6), field.name


def test_an_hour_of_solar_charging() -> None:
    sums = totals(steady(-30, 3660, pv_w=6000, inverter_ac_w=5900, grid_export_w=1000, car_w=4000))
    balance = (sums.pv_kwh, sums.export_kwh, sums.house_kwh, sums.losses_kwh)
    assert balance == pytest.approx((6.0, 1.0, 1.0, 0.1))
    assert sums.car_kwh == sums.car_from_solar_kwh == pytest.approx(4.0)
    assert sums.self_consumption_pct == pytest.approx(100 * 5 / 6)
    assert sums.autarky_pct == pytest.approx(100.0)
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
    assert sums.autarky_pct is None
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


def test_counters_are_compared_over_the_measured_time() -> None:
    rows = steady(0, 1801, grid_export_w=-6000) + steady(2400, 3601, grid_export_w=-6000)
    for row in rows:
        row["imported_kwh"] = 4000 + (row["at"] - START).total_seconds() / 600
    sums = totals(rows)
    assert sums.import_kwh == pytest.approx(5.0)
    assert sums.meter_import_kwh == pytest.approx(5.0)
    assert sums.meter_import_gaps_kwh == pytest.approx(1.0)
    assert sums.meter_export_kwh is None


@pytest.mark.parametrize(
    "zeros",
    [
        pytest.param((), id="a new car"),
        pytest.param((40, 41, 42, 90), id="zeros in the middle of a session"),
    ],
)
def test_a_session_counter_restarts_with_each_car(zeros: tuple[int, ...]) -> None:
    rows = steady(0, 3631, car_w=1200)
    for row in rows:
        second = (row["at"] - START).total_seconds()
        row["session_kwh"] = (second if second < 1800 else second - 1800) / 3000
    for index in zeros:
        rows[index]["session_kwh"] = 0.0
    sums = totals(rows)
    assert sums.charger_session_kwh == pytest.approx(1.2, abs=0.02)


def counting(rows: list[dict[str, Any]], **true_w: float) -> list[dict[str, Any]]:
    """The rows with counters that count these powers in steps of 0.01 kWh."""
    for row in rows:
        seconds = (row["at"] - START).total_seconds() + 600
        row |= {name: int(watts * seconds / 36_000) / 100 for name, watts in true_w.items()}
    return rows


def test_counters_add_what_happens_between_samples() -> None:
    rows = steady(-30, 3660, pv_w=4000, inverter_ac_w=4000, car_w=4000)
    sums = totals(counting(rows, imported_kwh=22.0, exported_kwh=20.0, discharged_kwh=24.0))
    assert sums.import_kwh == sums.car_from_grid_kwh == pytest.approx(0.022, abs=0.01)
    assert sums.export_kwh == pytest.approx(0.02, abs=0.01)
    assert sums.discharge_kwh == sums.car_from_battery_kwh == pytest.approx(0.024, abs=0.01)
    assert (sums.import_sampled_kwh, sums.charge_sampled_kwh) == (0.0, None)


def test_counters_correct_samples_in_step_with_a_load() -> None:
    # every other sample meets a kettle, which runs for a third of the time
    rows = steady(-30, 3660, step=60, grid_export_w=-200)
    rows += steady(0, 3660, step=60, grid_export_w=-1400)
    rows.sort(key=lambda row: row["at"])
    sums = totals(counting(rows, imported_kwh=600.0))
    assert sums.import_sampled_kwh == pytest.approx(0.8, abs=0.01)
    assert sums.import_kwh == sums.house_kwh == pytest.approx(0.6, abs=0.011)


def test_a_counter_of_something_else_is_shown_but_not_used() -> None:
    rows = counting(steady(-30, 3660, grid_export_w=-1000), imported_kwh=4000.0)
    sums = totals(rows)
    assert sums.import_kwh == pytest.approx(1.0)
    assert sums.import_sampled_kwh == pytest.approx(1.0)
    assert sums.meter_import_kwh == pytest.approx(4.0, abs=0.05)


@pytest.mark.parametrize("readings", [(7.0, 0.0), (0.0, 7.0), (0.0, 65_535.0)])
def test_a_counter_that_jumps_is_ignored(readings: tuple[float, float]) -> None:
    rows = steady(-30, 3660, grid_export_w=-1000)
    for index, row in enumerate(rows):
        row["imported_kwh"] = readings[index > 60]
    assert totals(rows).import_kwh == pytest.approx(1.0)
    assert totals(rows).meter_import_kwh == 0


@pytest.mark.parametrize(
    ("before", "after", "booked"),
    [
        pytest.param([8125.0, 8125.0], [0.0, 8125.3], 0.3, id="reads 0 once after the gap"),
        pytest.param([8125.0, 0.0], [8125.3, 8125.3], 0.3, id="reads 0 once before the gap"),
        pytest.param([0.0, 0.0], [8125.0, 8125.0], 0.0, id="first reads 0"),
        pytest.param([7.0, 7.0], [8125.0, 8125.0], 0.0, id="jumps beyond any fuse"),
        pytest.param([7.0, 7.0], [17.0, 17.0], 10.0, id="grows as the fuse allows"),
        pytest.param([8125.0, 8125.0], [0.0, 0.0], 0.0, id="a new meter"),
    ],
)
def test_what_a_counter_shows_after_a_gap_is_booked_only_if_possible(
    before: list[float], after: list[float], booked: float
) -> None:
    rows = steady(0, 60, pv_w=1000) + steady(1260, 1320, pv_w=1000)
    for row, counter in zip(rows, [*before, *after], strict=True):
        row["imported_kwh"] = counter
    sums = totals(rows)
    assert sums.meter_import_gaps_kwh == pytest.approx(booked)
    assert sums.meter_import_kwh == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("last", [13.321, 0.41])
def test_a_session_counter_still_shows_the_last_session_while_the_next_one_begins(
    last: float,
) -> None:
    """After evcc-io/evcc #9884: 20 minutes of the old value, then 1.003, 2.466, 3.559."""
    counter = np.array([last] * 40 + [1.003] * 40 + [2.466] * 28 + [3.559] * 10)
    sampled = np.array([4.4 * 30 / 3600] * len(counter))
    sampled[:13] = 0  # the car began at row 13
    assert session_growth(counter, sampled).sum() == pytest.approx(3.559)


def test_a_session_that_goes_on_in_large_steps_is_one_session() -> None:
    counter = np.repeat([0.4, 1.1, 1.8, 2.5], 20)
    sampled = np.full(len(counter), 0.7 / 20)
    assert session_growth(counter, sampled).sum() == pytest.approx(2.1)


def test_a_house_of_less_than_nothing_is_a_source_that_is_not_read() -> None:
    """After evcc-io/evcc #26888: two inverters at one meter, one of them read."""
    dark = steady(0, 3601, grid_export_w=-500)
    bright = steady(3630, 7201, pv_w=4000, inverter_ac_w=4000, grid_export_w=7000)
    sums = totals(dark + bright, until=7200)
    assert sums.unseen_kwh == pytest.approx(3.0, rel=0.02)
    assert sums.house_kwh == pytest.approx(0.5, rel=0.02)
    assert (sums.self_consumption_pct, sums.autarky_pct) == (None, None)


def test_a_car_that_the_cloud_shows_too_long_is_not_a_source() -> None:
    rows = steady(0, 7200, pv_w=4000, grid_export_w=3000)
    for row in rows[100:104]:
        row["car_w"] = 11_000.0
    sums = totals(rows, until=7200)
    assert sums.unseen_kwh == 0


def test_a_counter_is_used_on_each_side_of_a_gap_but_not_across_it() -> None:
    rows = steady(0, 1801, grid_export_w=-900) + steady(2400, 3601, grid_export_w=-900)
    sums = totals(counting(rows, imported_kwh=1000.0))
    assert sums.import_kwh == pytest.approx(3000 / 3600, abs=0.011)
    assert sums.meter_import_gaps_kwh == pytest.approx(600 / 3600, abs=0.011)


def test_the_meter_shows_the_house_s_use_while_the_inverter_slept() -> None:
    awake = {"grid_export_w": -600.0, "pv_w": 100.0}
    evening, morning = steady(0, 601, **awake), steady(3000, 3661, **awake)
    counting(evening, imported_kwh=600.0)
    counting(morning, imported_kwh=600.0)
    for row in morning:
        row["imported_kwh"] += 0.6
    # 0.6 kWh more than with 600 W: 1 kW for the car, 500 W for the house
    night = steady(630, 3000, grid_export_w=None, car_w=1000.0)
    sums = totals(evening + night + morning)
    assert sums.car_from_grid_kwh == pytest.approx(2370 / 3600)
    assert sums.meter_import_gaps_kwh == pytest.approx(1.0 - 2370 / 3600, abs=0.03)


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
    sums = account(samples(rows), start, end, INTERVAL, prices, ZoneInfo("Europe/Stockholm"))
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
