"""How much of a boost comes out of the battery, with and without holding it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.energy.totals import Energy
from easee_load_balancer.history.store import History
from easee_load_balancer.periods import Period
from easee_load_balancer.reports.summary import sum_up
from tests.support.held_night import BoostedHouse, boosted
from tests.support.history import insert

DAY = date(2026, 1, 10)
MIDNIGHT = datetime(2026, 1, 10, tzinfo=UTC)


def accounts(folder: Path, house: BoostedHouse) -> Energy:
    """The day's totals as the summary shows them."""
    url = f"sqlite:///{folder / 'history.db'}"
    insert(url, house.cycles)
    history = History(url)
    period = Period.around(DAY, "day", ZoneInfo("UTC"))
    energy = sum_up(history, "home", period, None, datetime(2027, 1, 1, tzinfo=UTC)).total
    history.close()
    return energy


@pytest.mark.parametrize("pv_w", [0.0, 1500.0], ids=["night", "winter day"])
async def test_a_boost_takes_nothing_from_a_battery_that_is_held(
    tmp_path: Path, pv_w: float
) -> None:
    policy = Policy(hold_battery=True, battery_lends_kwh=0)
    held = await boosted(tmp_path, MIDNIGHT, policy, pv_w)
    shown, counters = accounts(tmp_path, held), held.plant.counters
    assert counters.car_kwh == pytest.approx(10, abs=0.7)
    assert counters.car_from_battery_kwh < 0.1
    assert shown.car_from_battery_kwh < 0.1
    assert held.plant.battery is not None
    controls = held.plant.battery.controls
    assert (controls.forced, controls.discharge_limit_w) == (0, 5000), "free again afterwards"
    assert counters.over_fuse_s == 0


async def test_the_main_fuse_carries_a_hold_that_begins_while_the_battery_gives_most(
    tmp_path: Path,
) -> None:
    """16 A for the car, 1 A for the house, 7 A of them from the battery, at a fuse of 15 A."""
    house = await boosted(tmp_path, MIDNIGHT, Policy(main_fuse_a=15), hours=0.75, held_from_s=1500)
    counters = house.plant.counters
    assert counters.over_fuse_s == 0
    assert house.writes > 0
    given_kwh = 5.0 * (1500 - 600) / 3600
    assert given_kwh - 0.5 < counters.car_from_battery_kwh < given_kwh + 0.1


async def test_without_the_setting_the_battery_is_emptied_into_the_car(tmp_path: Path) -> None:
    free = await boosted(tmp_path, MIDNIGHT, Policy())
    shown, counters = accounts(tmp_path, free), free.plant.counters
    assert counters.car_from_battery_kwh == pytest.approx(4.2, abs=0.3)
    assert shown.car_from_battery_kwh == pytest.approx(counters.car_from_battery_kwh, rel=0.15)
    assert free.writes == 0
