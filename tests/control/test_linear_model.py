"""The small builder of linear models."""

from __future__ import annotations

import pytest

from easee_load_balancer.control.linear_model import LinearModel
from easee_load_balancer.errors import PlanError


def model(highest: float) -> LinearModel:
    """Two things of 2 kg that are worth 3 and 2, and a bag that holds so much."""
    made = LinearModel()
    taken = made.variables(2, high=1.0, cost=[-3.0, -2.0], whole=1.0)
    made.row((taken, 2.0), high=highest)
    return made


@pytest.mark.parametrize(
    ("most_s", "taken"),
    [
        pytest.param(10.0, [1.0, 0.0], id="in time"),
        pytest.param(0.0, [1.0, 0.5], id="the time is over: halves too"),
    ],
)
def test_where_the_time_is_over_numbers_need_not_be_whole(
    most_s: float, taken: list[float]
) -> None:
    assert list(model(3.0).solve(most_s=most_s)) == pytest.approx(taken)


def test_what_has_no_solution_is_said() -> None:
    with pytest.raises(PlanError, match="No charging plan"):
        model(-1.0).solve(most_s=10.0)
