"""A limit of the car's power for a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from easee_load_balancer.control.dimming import Dimming
from easee_load_balancer.errors import ConfigurationError

NOW = datetime(2026, 11, 26, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    ("until", "hours"), [("2 h", 2.0), ("1,5 h", 1.5), ("90 min", 1.5), ("20:30", 2.5)]
)
def test_a_limit_holds_until_its_time_is_up(until: str, hours: float) -> None:
    asked = Dimming.asked(4200, until, "Europe/Berlin", NOW)
    end = NOW + timedelta(hours=hours)
    assert asked.until == end
    assert asked.car_limit.at(end - timedelta(seconds=1)) == 4200
    assert asked.car_limit.at(end) is None
    assert asked.ended(end - timedelta(seconds=1)) is None
    assert asked.ended(end) == "its time is up"
    assert Dimming.model_validate(asked.model_dump(mode="json")) == asked


def test_it_says_what_the_car_gets_meanwhile() -> None:
    asked = Dimming.asked(4200, "2 h", "Europe/Berlin", NOW)
    assert asked.progress(NOW) == "limit 4.2 kW until Thu 20:00: 0.0 kWh so far"


@pytest.mark.parametrize("until", ["0 h", "72 h", f"{10**12} h", "soon", "unplugged"])
def test_a_limit_without_an_end_within_two_days_is_refused(until: str) -> None:
    with pytest.raises(ConfigurationError, match="Until: "):
        Dimming.asked(4200, until, "Europe/Berlin", NOW)
