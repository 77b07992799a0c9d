"""The energy of the day so far, from cycle to cycle."""

from __future__ import annotations

from datetime import timedelta

import pytest

from easee_load_balancer.energy.day_so_far import DaySoFar, Flows, Sample, flows
from easee_load_balancer.periods import bounds
from tests.support.control_readings import NOW
from tests.support.simulated_day import STOCKHOLM

CASES = [
    (
        "all solar",
        (8000, 500, 0, 7000),
        Flows(pv=8000, exported=500, house=500, car_from_solar=7000),
    ),
    (
        "imported energy goes to the car first",
        (3000, -2000, 0, 4000),
        Flows(pv=3000, imported=2000, house=1000, car_from_grid=2000, car_from_solar=2000),
    ),
    (
        "then the battery's",
        (1000, -1000, -3000, 4500),
        Flows(
            pv=1000,
            imported=1000,
            discharged=3000,
            house=500,
            car_from_grid=1000,
            car_from_battery=3000,
            car_from_solar=500,
        ),
    ),
    (
        "a sleeping inverter has no meter",
        (0, None, 0, 2000),
        Flows(imported=2000, car_from_grid=2000),
    ),
    ("a silent meter by day", (3000, None, 0, 2000), None),
    ("a silent inverter", (None, None, None, 2000), None),
    (
        "an unknown car is part of the house",
        (3000, 1000, 0, None),
        Flows(3000, 0, 1000, house=2000),
    ),
]


@pytest.mark.parametrize(
    ("powers", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_each_power_of_a_moment_has_its_source_unless_the_meter_is_silent(
    powers: tuple[float | None, ...], expected: Flows | None
) -> None:
    assert flows(Sample(NOW, *powers)) == expected


def test_nothing_is_assumed_for_a_gap_and_nothing_counts_twice() -> None:
    day = DaySoFar(*bounds(NOW.date(), STOCKHOLM))
    for minutes in (0, 1, 2, 62, 63, 63, 62):  # an hour without cycles, one twice, a clock set back
        day.add(Sample(NOW + timedelta(minutes=minutes), 6000.0, 6000.0, 0.0, 0.0))
    assert day.total.pv / 3.6e6 == pytest.approx(6 * 3 / 60)
    assert day.measured_s == 180
    assert [(number, mean.pv) for number, mean in day.means()] == [(56, 6000.0), (60, 6000.0)]


def test_the_day_begins_at_midnight() -> None:
    start, end = bounds(NOW.date(), STOCKHOLM)
    day = DaySoFar(start, end)
    for seconds in (-10, 20):
        day.add(Sample(start + timedelta(seconds=seconds), 0.0, -360.0, 0.0, 0.0))
    assert day.total.imported == pytest.approx(20 * 360)
