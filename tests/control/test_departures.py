"""Weekly departures and single ones: what an owner writes, and what is made of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from easee_load_balancer.control.departures import (
    Amount,
    ChargingWishes,
    ReadyBy,
    upcoming,
)
from easee_load_balancer.errors import ConfigurationError

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 26, 11, tzinfo=UTC)
"""Thursday, 12:00 in Berlin."""


def local(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=BERLIN).astimezone(UTC)


def test_the_departures_of_the_coming_days_come_in_order() -> None:
    wishes = ChargingWishes(departures=["Sat 10:00 80 %", "Mon-Fri 07:30-17:00 12,5 kWh"])
    found = list(upcoming(wishes.weekly, NOW, NOW + timedelta(days=4), BERLIN))
    assert found == [
        (local(27, 7, 30), local(27, 17), Amount(kwh=12.5)),
        (local(28, 10), local(28, 19), Amount(soc_pct=80)),
        (local(30, 7, 30), local(30, 17), Amount(kwh=12.5)),
    ]


def test_a_trip_over_midnight_and_over_a_clock_change_ends_by_the_clock() -> None:
    wishes = ChargingWishes(departures=["Sat 22:00-06:00 10 kWh"])
    before = datetime(2026, 10, 23, 12, tzinfo=UTC)
    [(leaves, back, _)] = upcoming(wishes.weekly, before, before + timedelta(days=3), BERLIN)
    assert leaves == datetime(2026, 10, 24, 20, tzinfo=UTC)
    assert back == datetime(2026, 10, 25, 5, tzinfo=UTC)  # nine hours later


@pytest.mark.parametrize(
    "line", ["", "07:30", "Mon 25:00 1 kWh", "Mon 07:30 0 kWh", "Mon 07:30 120 %", "x 7:30 5 kWh"]
)
def test_a_line_that_is_no_departure_is_refused(line: str) -> None:
    with pytest.raises(ValidationError, match="Value error"):
        ChargingWishes(departures=[line])


@pytest.mark.parametrize(
    ("text", "at", "amount"),
    [
        ("tomorrow 07:00, 20 kWh", local(27, 7), Amount(kwh=20)),
        ("07:00, 20kWh", local(27, 7), Amount(kwh=20)),
        ("13:30, 5,5 kWh", local(26, 13, 30), Amount(kwh=5.5)),
        ("today 18:00, 80 %", local(26, 18), Amount(soc_pct=80)),
        ("Thu 07:00, 8 kWh", local(26, 7) + timedelta(days=7), Amount(kwh=8)),
        ("mon 06:15, 8 kWh", local(30, 6, 15), Amount(kwh=8)),
        ("2026-11-29 09:00, 8 kWh", local(29, 9), Amount(kwh=8)),
    ],
)
def test_a_form_asks_for_a_departure(text: str, at: datetime, amount: Amount) -> None:
    asked = ReadyBy.asked(text, "Europe/Berlin", NOW)
    assert (asked.at, asked.amount) == (at, amount)
    assert ReadyBy.model_validate(asked.model_dump(mode="json")) == asked


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("today 11:00, 20 kWh", "today 11:00 is in the past"),
        ("2025-01-01 07:00, 20 kWh", "is in the past"),
        ("2027-01-01 07:00, 20 kWh", "more than a week ahead"),
        ("tomorrow 07:00", "is not like 'tomorrow 07:00, 20 kWh'"),
        ("tomorrow 07:00, 900 kWh", "no car takes 900 kWh"),
        ("soon, 20 kWh", "'soon' is not a time such as"),
        ("tomorrow 27:00, 20 kWh", "is not a time such as"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        ReadyBy.asked(text, "Europe/Berlin", NOW)


def test_what_is_possible_is_said_at_once() -> None:
    soon = ReadyBy.asked("13:00, 30 kWh", "Europe/Berlin", NOW).within(11_000, NOW)
    assert soon.possible_kwh == pytest.approx(11)
    assert soon.progress(NOW) == (
        "ready by Thu 13:00 with 30 kWh: only 11 kWh are possible by then"
    )
    easy = ReadyBy.asked("20:00, 30 kWh", "Europe/Berlin", NOW).within(11_000, NOW)
    assert easy.possible_kwh is None
    assert easy.progress(NOW) == "ready by Thu 20:00 with 30 kWh: waits for a car"
    assert easy.ended(local(26, 19, 59)) is None
    assert easy.ended(local(26, 20)) == "the car may leave"
