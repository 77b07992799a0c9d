"""The learned car: watts per ampere, what it draws of an offer, and where it is connected."""

from __future__ import annotations

import math
from typing import Any

import pytest

from easee_load_balancer.control.car_model import CarModel, learn_draw, learn_lines
from easee_load_balancer.control.wiring import learn_wiring
from easee_load_balancer.measurements import GridType, Setpoint
from tests.support.control_readings import LONG_AGO, NOW, VOLTS, charger, told


@pytest.mark.parametrize(
    ("offered", "grid_type", "factor"),
    [
        (3, GridType.TN_THREE_PHASES, 3.0),
        (1, GridType.TN_THREE_PHASES, 1.0),
        (3, GridType.TN_TWO_PHASES, 2.0),
        (3, GridType.IT_THREE_PHASES, math.sqrt(3)),
        (3, GridType.IT_ONE_PHASE, 1.0),
        (3, None, 3.0),
    ],
)
def test_watts_per_ampere_follow_the_grid(
    offered: int, grid_type: GridType | None, factor: float
) -> None:
    assert CarModel().factor(offered, grid_type) == pytest.approx(factor)


CURRENTS = [
    ("three lines at once", {3: 1}, (15.7, 15.7, 15.7), {}, {3: 3}, 3.0),
    ("one line after it was seen for a while", {3: 3}, (15.7, 0.0, 0.0), {}, {3: 1}, 1.0),
    ("two lines", {}, (9.7, 9.7, 0.0), {}, {3: 2}, 2.0),
    ("two lines of an IT grid", {}, (9.7, 0.0, 9.7), {"grid_type": 4}, {3: 2}, 1.0),
    ("three lines of an IT grid", {}, (9.7,) * 3, {"grid_type": 4}, {3: 3}, math.sqrt(3)),
    ("too little current says nothing", {3: 3}, (2.0, 0.0, 0.0), {}, {3: 3}, 3.0),
]


@pytest.mark.parametrize(
    ("known", "amps", "other", "lines", "factor"),
    [case[1:] for case in CURRENTS],
    ids=[case[0] for case in CURRENTS],
)
def test_lines_are_learned_from_currents(
    known: dict[int, int],
    amps: tuple[float, float, float],
    other: dict[str, Any],
    lines: dict[int, int],
    factor: float,
) -> None:
    factors = {offered: float(count) for offered, count in known.items()}
    seen = {"car_w": LONG_AGO, "car_current_l1_a": LONG_AGO}
    values = {"car_current_a": amps, "car_w": None, "observed_at": seen} | other
    shown = charger(max(amps), output_current_a=16.0, **values)
    car = learn_lines(CarModel(lines=known, factors=factors), NOW, shown, 3, VOLTS)
    assert car.lines == lines
    assert car.factor(3, shown.grid_type) == pytest.approx(factor)


def test_fewer_lines_wait_until_they_have_been_seen_for_half_a_minute() -> None:
    shown = charger(
        15.7, car_current_a=(15.7, 0.0, 0.0), output_current_a=16.0, observed_at={"car_w": NOW}
    )
    car = learn_lines(CarModel(lines={3: 3}, factors={3: 3.0}), NOW, shown, 3, VOLTS)
    assert car.lines == {3: 3}
    assert car.fewer_lines_since == NOW


DRAWS = [
    ("as most cars do", {}, 10, 9.7),
    ("as it was seen", {10: 8.0}, 10, 8.0),
    ("a limit holds for higher offers", {16: 10.0}, 20, 10.0),
    ("a limit does not bind lower offers", {16: 10.0}, 8, 7.7),
    ("no more than of a higher offer", {11: 8.0}, 10, 8.0),
    ("no less than of a lower offer", {9: 9.0}, 9.2, 9.0),
]


@pytest.mark.parametrize(
    ("seen", "offered_a", "drawn_a"), [case[1:] for case in DRAWS], ids=[case[0] for case in DRAWS]
)
def test_the_car_draws_of_an_offer(
    seen: dict[int, float], offered_a: float, drawn_a: float
) -> None:
    assert CarModel(draws_a=seen).draw_a(offered_a) == pytest.approx(drawn_a)


def test_a_surprising_draw_is_remembered_and_an_old_one_at_odds_with_it_forgotten() -> None:
    car = learn_draw(CarModel(draws_a={16: 6.0}), Setpoint(10), 8.0, 3 * VOLTS, 500.0)
    assert car.draws_a == {10: 8.0}
    assert learn_draw(car, Setpoint(10), 8.1, 3 * VOLTS, 500.0) == car


@pytest.mark.parametrize(
    ("imports_a", "wiring"),
    [
        ((12.0, 3.0, 27.0), {}),
        ((6.0, 3.0, 27.0), {0: 0}),
        ((12.0, 3.0, 21.0), {0: 2}),
        ((6.0, 3.0, 21.0), {}),
        ((6.0, 8.0, 27.0), {}),
    ],
    ids=["nothing followed", "L1 followed", "L3 followed", "two followed", "another load moved"],
)
def test_wiring_is_proved_by_the_one_phase_that_follows(
    imports_a: tuple[float, float, float], wiring: dict[int, int]
) -> None:
    state = told(
        6, 1, changed_at=LONG_AGO, imports_before_a=(12.0, 3.0, 27.0),
        car_currents_before_a=(11.7, 0.0, 0.0), wiring_vote=next(iter(wiring.items()), None),
    )  # fmt: skip
    shown = charger(5.7, 1, car_current_a=(5.7, 0.0, 0.0), observed_at={"car_w": NOW})
    assert learn_wiring(state, shown, imports_a).wiring == wiring
