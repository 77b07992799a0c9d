"""When a charger's values are sent to its cloud, and when the cloud shows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from easee_load_balancer.simulation.plant.cloud_lag import (
    CAR_POWER_W,
    VOLTAGE_V,
    CloudLag,
    DeadBand,
)

NOW = datetime(2026, 6, 21, 10, 0, 0, tzinfo=UTC)
BANDS = {"power": CAR_POWER_W, "voltage": VOLTAGE_V, "energy": DeadBand(0.01, every_s=300)}


def test_change_is_shown_after_the_delay_with_the_time_of_its_observation() -> None:
    cloud, later = CloudLag[str](2, BANDS, {}), NOW + timedelta(seconds=10)
    cloud.update({"mode": 6, "power": 0.0}, 0, NOW)
    cloud.update({"mode": 3, "power": 0.0}, 10, later)
    before = cloud.shown(later + timedelta(seconds=1.9))["mode"]
    assert (before.value, before.observed_at) == (6, NOW)
    after = cloud.shown(later + timedelta(seconds=2))
    assert (after["mode"].value, after["mode"].observed_at) == (3, later)
    assert after["power"].observed_at == NOW


@pytest.mark.parametrize(
    ("key", "before", "now", "after_s", "sent"),
    [
        ("power", 6900.0, 7240.0, 1, False),
        ("power", 6900.0, 7250.0, 1, True),
        ("power", 1400.0, 1499.0, 1, False),
        ("power", 1400.0, 1501.0, 1, True),
        ("power", 50.0, 0.0, 1, True),
        ("power", 0.0, 20.0, 1, True),
        ("voltage", 230.0, 231.9, 1, False),
        ("voltage", 230.0, 227.9, 1, True),
        ("energy", 5.0, 5.4, 299, False),
        ("energy", 5.0, 5.4, 300, True),
        ("energy", 5.0, 0.0, 1, True),
        ("limit", 16.0, 15.0, 1, True),
        ("enabled", True, False, 1, True),
        ("schedule", "", "{}", 1, True),
    ],
)
def test_only_a_change_beyond_the_dead_band_is_sent(
    key: str, before: Any, now: Any, after_s: int, sent: bool
) -> None:
    cloud = CloudLag[str](0, BANDS, {})
    cloud.update({key: before}, 0, NOW)
    cloud.update({key: now}, after_s, NOW)
    assert cloud.shown(NOW)[key].value == (now if sent else before)


def test_small_steps_add_up_until_they_leave_the_dead_band() -> None:
    cloud = CloudLag[str](0, BANDS, {})
    for step in range(4):
        cloud.update({"voltage": 230.0 + step}, step, NOW)
    assert cloud.shown(NOW)["voltage"].value == 233.0


def test_currents_are_sent_together_with_the_power() -> None:
    cloud = CloudLag[str](0, BANDS, {"power": ("current",)})
    for power, current in ((6900.0, 10.0), (6950.0, 12.0), (8000.0, 11.5)):
        cloud.update({"power": power, "current": current}, 1, NOW)
        shown = cloud.shown(NOW)
        assert shown["current"].value == (11.5 if power == 8000 else 10.0)
