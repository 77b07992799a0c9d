"""The devices' own counters beside the samples: when they count, and when they are wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from easee_load_balancer.energy.counters import session_growth
from tests.support.energy_samples import START, steady, totals


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
