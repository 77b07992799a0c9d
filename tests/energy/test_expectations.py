"""What past days let one expect."""

from __future__ import annotations

from easee_load_balancer.energy.expectations import usual_day, usual_prices


def test_the_usual_day_is_the_mean_of_each_quarter_hour() -> None:
    assert usual_day([[1.0, 2.0, 3.0], [3.0, 2.0, 5.0]]) == [2.0, 2.0, 4.0]


def test_usual_prices_stay_as_far_apart_as_they_are_each_day() -> None:
    """The cheap hour comes first on one day and second on the other two."""
    days = [[0.1, 0.3, 0.4], [0.3, 0.1, 0.4], [0.3, 0.1, 0.4]]
    assert [round(price, 3) for price in usual_day(days)] == [0.233, 0.167, 0.4]
    assert [round(price, 3) for price in usual_prices(days)] == [0.3, 0.1, 0.4]


def test_without_days_nothing_is_expected() -> None:
    assert usual_prices([]) == []
