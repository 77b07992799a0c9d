"""What becomes of values that come by MQTT."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from easee_load_balancer.control.needs import CarReport
from easee_load_balancer.history.store import History, open_history
from easee_load_balancer.integrations.inbound import Reported, Value
from easee_load_balancer.periods import QUARTER
from easee_load_balancer.system.settings import Settings
from tasks.inbound import car_report, is_away, take

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """An empty history."""
    monkeypatch.setenv("EASEE_BALANCER_DATA_FOLDER", str(tmp_path))
    return open_history(Settings().database_url)


async def sent(name: str, value: Value, at: datetime = NOW, site: str = "home") -> None:
    await take(site, Reported(name, value, at), session_kwh=2.0)


async def test_the_cars_word_counts_as_long_as_it_holds() -> None:
    assert car_report("cabin", NOW) is None
    await sent("car_soc", 40.0, site="cabin")
    assert car_report("cabin", NOW + 11 * HOUR) == CarReport(40.0, 2.0)
    await sent("car_soc_limit", 80.0, site="cabin")
    assert car_report("cabin", NOW) == CarReport(40.0, 2.0, 80.0)
    assert car_report("cabin", NOW + 12 * HOUR) is None
    await sent("presence", False, site="cabin")
    assert is_away("cabin", NOW + 23 * HOUR)
    assert not is_away("cabin", NOW + 24 * HOUR)


async def test_the_grid_operators_limit_is_renewed_and_ended(history: History) -> None:
    await sent("grid_limit_w", 4200.0)
    await sent("grid_limit_w", 3000.0, NOW + HOUR / 2)
    active = history.dimmings.under_way("home")
    assert active is not None
    assert active.request.car_limit.at(NOW + 1.4 * HOUR) == 3000
    assert active.request.ended(NOW + 1.5 * HOUR) == "its time is up"
    await sent("grid_limit_w", None, NOW + HOUR)
    assert history.dimmings.under_way("home") is None


async def test_a_forecast_by_the_hour_is_one_for_each_quarter(history: History) -> None:
    await sent("solar_forecast", {NOW: 1000.0, NOW + HOUR: 2000.0})
    found = history.quarters.forecast_since("home", NOW)
    assert found == {NOW + index * QUARTER: 1000.0 + 1000.0 * (index > 3) for index in range(8)}
