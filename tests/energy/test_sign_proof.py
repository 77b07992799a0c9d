"""The sign of the grid meter: cases with numbers, and what must hold for any house."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easee_load_balancer.energy.sign_proof import (
    PowerSample,
    Sign,
    by_balance,
    by_step,
    typical,
)

pytestmark = pytest.mark.hypothesis

RIGHT, WRONG, UNPROVEN = Sign.RIGHT, Sign.WRONG, Sign.UNPROVEN


@pytest.mark.parametrize(
    ("export_w", "ac_w", "car_w", "sign"),
    [
        pytest.param(-600, 0, 0, RIGHT, id="night: only import is possible"),
        pytest.param(600, 0, 0, WRONG, id="night: exports from nothing"),
        pytest.param(-3500, 2000, 5000, RIGHT, id="car needs more than the inverter makes"),
        pytest.param(3500, 2000, 5000, WRONG, id="exports more than is made beside a car"),
        pytest.param(4000, 5000, 0, UNPROVEN, id="noon: a large load is possible too"),
        pytest.param(3000, 6000, 3000, UNPROVEN, id="noon with a car that fits both ways"),
        pytest.param(2000, 8000, 5500, UNPROVEN, id="car and house take what is not exported"),
        pytest.param(-2000, 8000, 7000, RIGHT, id="reversed, the house would not feed its car"),
        pytest.param(150, 0, 0, UNPROVEN, id="within the meter's error"),
        pytest.param(7000, 4000, 0, WRONG, id="a source that is not read"),
    ],
)
def test_the_energy_balance_proves_the_sign_where_only_one_is_possible(
    export_w: float, ac_w: float, car_w: float, sign: Sign
) -> None:
    assert by_balance(PowerSample(export_w, ac_w, car_w)) is sign


@pytest.mark.parametrize(
    ("before", "after", "sign"),
    [
        pytest.param((5000, 8000, 4140), (2240, 8000, 6900), RIGHT, id="export falls by the step"),
        pytest.param((-5000, 8000, 4140), (-2240, 8000, 6900), WRONG, id="it rises by the step"),
        pytest.param((5000, 8000, 6900), (6500, 6700, 4140), RIGHT, id="a cloud at the same time"),
        pytest.param((0, 5000, 4140), (0, 7760, 6900), UNPROVEN, id="the battery takes the step"),
        pytest.param((5000, 8000, 4140), (4900, 8000, 4200), UNPROVEN, id="no step"),
        pytest.param((5000, 8000, 4140), (300, 8000, 6900), UNPROVEN, id="an oven as well"),
    ],
)
def test_a_step_of_the_car_proves_the_sign_unless_something_else_changed(
    before: tuple[float, float, float], after: tuple[float, float, float], sign: Sign
) -> None:
    assert by_step(PowerSample(*before), PowerSample(*after)) is sign


powers = st.floats(0, 20_000)


@given(load_w=powers, car_w=powers, ac_w=powers)
def test_a_right_sign_is_never_called_wrong(load_w: float, car_w: float, ac_w: float) -> None:
    sample = PowerSample(ac_w - load_w - car_w, ac_w, car_w)
    assert by_balance(sample) is not WRONG
    reversed_sample = PowerSample(-sample.grid_export_w, ac_w, car_w)
    assert by_balance(reversed_sample) is not RIGHT


@given(load_w=powers, ac_w=powers, before_w=powers, after_w=powers)
def test_a_step_alone_proves_the_sign(
    load_w: float, ac_w: float, before_w: float, after_w: float
) -> None:
    right, wrong = [], []
    for car_w in (before_w, after_w):
        export_w = ac_w - load_w - car_w
        right.append(PowerSample(export_w, ac_w, car_w))
        wrong.append(PowerSample(-export_w, ac_w, car_w))
    large = abs(after_w - before_w) >= 600
    assert by_step(*right) is (RIGHT if large else UNPROVEN)
    assert by_step(*wrong) is (WRONG if large else UNPROVEN)


def test_one_sample_out_of_line_does_not_count() -> None:
    samples = [PowerSample(1000, 2000, 0)] * 4 + [PowerSample(-9000, 100, 50)]
    assert typical(samples) == PowerSample(1000, 2000, 0)
