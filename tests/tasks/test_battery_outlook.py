"""What the house battery should hold for the night, from a history of three days."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from easee_load_balancer.history.tables import Cycle
from easee_load_balancer.periods import QUARTER
from easee_load_balancer.simulation.server import RunSpec, running_house
from easee_load_balancer.system.settings import Settings
from tasks.battery_outlook import battery_wanted_wh
from tests.support.history import HOUR, NOON, cycle, insert
from tests.support.site import SITE, site_of

UTC = ZoneInfo("UTC")
DAYS = timedelta(days=3)


def sunny_days() -> Iterator[Cycle]:
    """Three days before noon with 5 kW from 8:00 to 16:00 and a load of 500 W."""
    for number in range(DAYS // QUARTER):
        at = NOON - DAYS + number * QUARTER
        pv_w = 5000.0 if 8 <= at.hour < 16 else 0.0
        powers = {"pv_w": pv_w, "inverter_ac_w": pv_w, "grid_export_w": pv_w - 500, "car_w": 0.0}
        yield cycle(site=SITE, scheduled_at=at, at=at, **powers)


async def test_a_battery_is_asked_to_last_through_a_usual_night(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASEE_BALANCER_DATA_FOLDER", str(tmp_path))
    async with running_house(RunSpec(speed=0)) as house:
        off, on = site_of(house), site_of(house, battery_night_kwh=9.5)
    assert await battery_wanted_wh(off, UTC, NOON) is None
    assert not (tmp_path / "history.db").exists()
    assert await battery_wanted_wh(on, UTC, NOON - HOUR) is None
    insert(Settings().database_url, sunny_days())
    expected_wh = 16 * 500 / 0.95 - 4 * 350 * 0.95
    assert await battery_wanted_wh(on, UTC, NOON) == pytest.approx(expected_wh)
    insert(Settings().database_url, [cycle(1, site=SITE, pv_w=0.0)])
    assert await battery_wanted_wh(on, UTC, NOON + HOUR / 2) == pytest.approx(
        16 * 500 / 0.95 - 3.5 * 350 * 0.95
    )
