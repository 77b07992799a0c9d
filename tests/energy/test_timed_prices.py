"""Prices by month, weekday and time of day, as an owner writes them."""

from __future__ import annotations

from datetime import datetime

import pytest

from easee_load_balancer.energy.timed_prices import TimedPrice, price_at

WINTER_DAYS = "Nov-Mar Mon-Fri 06:00-22:00 0,42"


@pytest.mark.parametrize(
    ("line", "local", "holds"),
    [
        pytest.param(WINTER_DAYS, "2026-11-26T06:00", True, id="a Thursday in November"),
        pytest.param(WINTER_DAYS, "2026-11-26T22:00", False, id="from its end on"),
        pytest.param(WINTER_DAYS, "2026-11-28T12:00", False, id="a Saturday"),
        pytest.param(WINTER_DAYS, "2026-06-25T12:00", False, id="June"),
        pytest.param("Sat,Sun 0.2", "2026-11-29T23:45", True, id="a list of days"),
        pytest.param("22:00-06:00 0.1", "2026-11-29T05:45", True, id="after midnight"),
        pytest.param("22:00-06:00 0.1", "2026-11-29T12:00", False, id="at noon"),
        pytest.param("22:00-24:00 0.1", "2026-11-29T23:59", True, id="until midnight"),
        pytest.param("-0.05", "2026-11-29T23:59", True, id="always"),
    ],
)
def test_a_line_holds_in_its_months_weekdays_and_times(line: str, local: str, holds: bool) -> None:
    assert TimedPrice.parsed(line).holds(datetime.fromisoformat(local)) == holds


def test_the_first_line_that_holds_counts() -> None:
    lines = [TimedPrice.parsed(line) for line in ("17:00-21:00 0.5", "Sun 0.1")]
    assert price_at(lines, datetime.fromisoformat("2026-11-29T18:00")) == 0.5
    assert price_at(lines, datetime.fromisoformat("2026-11-29T08:00")) == 0.1
    assert price_at(lines, datetime.fromisoformat("2026-11-30T08:00")) is None


@pytest.mark.parametrize(
    "line", ["", "free", "25:00-26:00 1", "06:61-07:00 1", "Mon-Foo 1", "Smarch 1", "nan", "1e9"]
)
def test_anything_else_is_refused_with_an_example(line: str) -> None:
    with pytest.raises(ValueError, match=r"is not like 'Nov-Mar|is not a price"):
        TimedPrice.parsed(line)
