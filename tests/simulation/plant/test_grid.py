"""Currents and powers of the house's lines."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easee_load_balancer.simulation.plant.grid import (
    IT1,
    IT3,
    TN1,
    TN3,
    Conductors,
    PerPhase,
    it_lines,
    power_between_w,
    tn_lines,
)

VOLTS: PerPhase = (230.0, 230.0, 230.0)
watts = st.floats(0, 10_000)


@pytest.mark.parametrize(
    ("grid_type", "conductors", "watts_per_a"),
    [
        (TN3, (0, 1, 2), 690.0),
        (TN3, (0, 1), 460.0),
        (TN1, (0,), 230.0),
        (IT3, (0, 1, 2), math.sqrt(3) * 230),
        (IT3, (0, 2), 230.0),
        (IT1, (0, 2), 230.0),
        (IT1, (), 0.0),
    ],
)
def test_the_power_of_an_ampere_follows_grid_and_conductors(
    grid_type: int, conductors: Conductors, watts_per_a: float
) -> None:
    assert power_between_w(grid_type, 1.0, conductors, VOLTS) == pytest.approx(watts_per_a)


@pytest.mark.parametrize(
    ("conductors", "imports_a"),
    [((0, 1, 2), (10.0, 10.0, 10.0)), ((0, 2), (10.0, 0.0, 10.0)), ((0, 1), (10.0, 10.0, 0.0))],
)
def test_car_on_it_carries_its_current_on_every_line_it_uses(
    conductors: Conductors, imports_a: tuple[float, ...]
) -> None:
    lines = it_lines(0.0, (0.0, 0.0, 0.0), VOLTS, 10.0, conductors)
    assert [-amps for amps in lines.current_a] == pytest.approx(imports_a, abs=1e-9)


@given(watts, st.tuples(watts, watts, watts), st.floats(0, 32))
def test_powers_of_the_lines_add_up_to_the_net_power(
    feed_w: float, load_w: PerPhase, car_a: float
) -> None:
    for conductors in ((0, 1, 2), (0, 2), ()):
        car_w = power_between_w(IT3, car_a, conductors, VOLTS)
        lines = it_lines(feed_w, load_w, VOLTS, car_a, conductors)
        assert sum(lines.power_w) == pytest.approx(feed_w - sum(load_w) - car_w, abs=1e-6)
    on_tn = tn_lines(feed_w, load_w, VOLTS, (0.0, car_a, 0.0))
    assert sum(on_tn.power_w) == pytest.approx(feed_w - sum(load_w) - 230 * car_a, abs=1e-6)
    assert on_tn.current_a[1] == pytest.approx(feed_w / 690 - load_w[1] / 230 - car_a, abs=1e-6)
