"""What past days let one expect."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from easee_load_balancer.energy.expectations import expected_prices

MONDAY = date(2026, 11, 30)


def before(*days: list[float]) -> dict[date, list[float]]:
    """The days before Monday, the newest one last."""
    return {MONDAY - timedelta(days=len(days) - index): day for index, day in enumerate(days)}


def test_prices_stay_as_far_apart_as_they_are_each_day() -> None:
    """The cheap hour comes first on one day and second on the other two; no mean is as cheap."""
    past = before([0.1, 0.3, 0.4], [0.3, 0.1, 0.4], [0.3, 0.1, 0.4])
    assert expected_prices(past, MONDAY) == pytest.approx([0.3, 0.1, 0.4])


def test_a_day_is_as_its_weekday_was_a_week_ago() -> None:
    past = before([0.4] * 4, *[[0.1] * 4] * 5, [0.4] * 4)
    monday, tuesday = (expected_prices(past, MONDAY + timedelta(days=n))[0] for n in (0, 1))
    assert monday > 0.3
    assert tuesday < 0.25


def test_younger_days_count_more() -> None:
    past = {MONDAY - timedelta(days=14): [0.1], MONDAY - timedelta(days=7): [0.3]}
    weights = 0.95**7, 1.0
    usual = (0.1 * weights[0] + 0.3 * weights[1]) / sum(weights)
    assert expected_prices(past, MONDAY + timedelta(days=70)) == pytest.approx([usual])
    past[MONDAY - timedelta(days=40)] = [9.0]
    assert expected_prices(past, MONDAY + timedelta(days=70)) == pytest.approx([usual])


def test_the_level_of_the_newest_day_stays_for_a_while() -> None:
    past = before(*[[0.1]] * 27, [0.3])
    usual = [expected_prices(past, MONDAY + timedelta(days=n))[0] for n in (0, 1, 2, 70)]
    assert usual[0] > usual[1] > usual[2] > usual[3] > 0.1
    assert usual[0] == pytest.approx((usual[3] + 0.3) / 2)


def test_without_days_nothing_is_expected() -> None:
    assert expected_prices({}, MONDAY) == []
