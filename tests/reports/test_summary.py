"""Summing up days from the history."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from easee_load_balancer.history.store import History
from easee_load_balancer.periods import Period
from easee_load_balancer.reports.summary import day_detail, sum_up
from tests.support.history import HOUR, MINUTE, NOON, execute, insert, measured
from tests.support.simulated_day import STOCKHOLM

DAY = date(2026, 6, 21)
NOW = datetime(2026, 7, 1, tzinfo=UTC)
TODAY = Period.around(DAY, "day", STOCKHOLM)


def test_a_day_summed_up_once_stays_after_its_cycles_are_deleted(
    history: History, url: str
) -> None:
    insert(url, measured(30))
    before = sum_up(history, "home", Period.around(DAY, "month", STOCKHOLM), None, NOW)
    assert next(iter(before.days)) == DAY
    execute(url, "DELETE FROM cycles")
    assert sum_up(history, "home", TODAY, None, NOW).total == before.days[DAY]


def test_a_day_that_is_not_over_is_summed_up_so_far_and_not_stored(
    history: History, url: str
) -> None:
    insert(url, [*measured(30), *measured(1, NOON - 48 * HOUR)])
    total = sum_up(history, "home", TODAY, None, NOON + 30 * MINUTE).total
    # local midnight is at 22:00 UTC
    assert total.period_s == pytest.approx(14.5 * 3600)
    assert total.pv_kwh == pytest.approx(5 * total.measured_s / 3600)
    assert history.day("home", DAY, STOCKHOLM.key) is None


def test_the_first_day_begins_with_its_first_cycle(history: History, url: str) -> None:
    insert(url, measured(30))
    total = sum_up(history, "home", TODAY, None, NOON + 30 * MINUTE).total
    assert (total.cycles, total.cycles_missed) == (60, 0)
    assert total.period_s == 1800
    assert day_detail(history, "home", TODAY, NOW).start == NOON
