"""What is said and done when prices fail, clocks change or wishes cannot be met."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from easee_load_balancer.control.departures import ReadyBy
from easee_load_balancer.control.needs import CarSeen, needs
from easee_load_balancer.control.plan import Plan
from easee_load_balancer.control.planner import make_plan
from easee_load_balancer.forecasts.prices import fetch_spot
from easee_load_balancer.history.store import open_history
from easee_load_balancer.orchestration.blocks import ChargingPlan, Site, Tariff
from easee_load_balancer.periods import QUARTER
from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.server import RunSpec, SimulatedHouse, running_house
from easee_load_balancer.simulation.sources.market import CET, midnight
from easee_load_balancer.system.settings import Settings
from tasks.plan import fetch_prices, look_at_past
from tests.support.price_house import tariff
from tests.support.site import SITE, site_of

BERLIN = ZoneInfo("Europe/Berlin")
DAY = date(2026, 6, 18)
NOW = datetime(2026, 6, 18, 12, tzinfo=CET).astimezone(UTC)
"""A Thursday at noon: tomorrow's prices are not published."""
WISHES = ChargingPlan(departures=["Mon-Fri 07:00-17:00 12 kWh"])
CAR = CarSeen(connected=True, session_kwh=0.0, max_current_a=16, phases=(1, 3))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[SimulatedHouse]:
    """One house for all tests of this file."""
    async with running_house(RunSpec(speed=0)) as running:
        yield running


@pytest.fixture(autouse=True)
def healthy(house: SimulatedHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without faults at first, and with a history of its own."""
    house.faults.replace_with(Faults())
    monkeypatch.setenv("EASEE_BALANCER_DATA_FOLDER", str(tmp_path))


@dataclass
class Planning:
    """A site, and what came of planning it."""

    setup: Site
    said: str
    plan: Plan
    prices_known: list[bool]

    @property
    def charges(self) -> list[datetime]:
        """The planned quarter-hours."""
        return [slot.start for slot in self.plan.slots if slot.grid_w > 100]


async def planned(
    house: SimulatedHouse,
    now: datetime = NOW,
    ready_by: ReadyBy | None = None,
    max_power_w: int | None = None,
    **prices: Any,
) -> Planning:
    """Fetch, look and plan, as the flow does."""
    setup = site_of(house, max_power_w=max_power_w)
    setup = replace(setup, tariff=Tariff(**dict(tariff(house, **prices))), wishes=WISHES)
    said = await fetch_prices.fn(setup, BERLIN, now)
    known = await look_at_past.fn(setup, BERLIN, now)
    need = needs(CAR, WISHES, setup.policy, now, BERLIN, ready_by)
    inputs = known.plan_inputs(known.cars[0].charger, need, [])
    assert all(later.start - slot.start == QUARTER for slot, later in pairwise(inputs.slots))
    return Planning(setup, said, make_plan(inputs), [slot.price_known for slot in inputs.slots])


async def know(house: SimulatedHouse, first: date, last: date, **prices: Any) -> None:
    """Put the prices of these days into the history."""
    known = tariff(house, **prices)
    spot = open_history(Settings().database_url).spot_prices
    spot.record(SITE, known, await fetch_spot(known, first, last, BERLIN))


def days(count: int) -> timedelta:
    return timedelta(days=count)


on_one_loop = pytest.mark.asyncio(loop_scope="module")


@on_one_loop
async def test_an_outage_costs_nothing_as_long_as_prices_are_known(house: SimulatedHouse) -> None:
    await know(house, DAY - days(8), DAY)
    house.faults.prices = "outage"
    undisturbed = await planned(house)
    assert undisturbed.said == ""  # nothing is due before one o'clock
    late = await planned(house, NOW + timedelta(hours=2))
    assert "has an outage (status 503). Prices are known until Fri 00:00." in late.said
    assert late.charges


@on_one_loop
async def test_after_three_days_without_a_source_the_last_week_is_planned_with(
    house: SimulatedHouse,
) -> None:
    await know(house, DAY - days(10), DAY - days(4))
    house.faults.prices = "outage"
    gone = await planned(house)
    assert gone.said.endswith("The mean of the last known week is used instead.")
    assert not any(gone.prices_known)
    assert gone.charges
    hours = {at.astimezone(BERLIN).hour for at in gone.charges}
    assert hours <= {0, 1, 2, 3, 4, 5, 11, 12, 13, 14, 15}  # the cheap ones of the last week


@pytest.mark.parametrize(
    ("fault", "prices", "said"),
    [
        pytest.param(None, {"zone": "XX9"}, "Is the zone right in the block 'Tariff'?", id="zone"),
        pytest.param("garbage", {}, "sent no JSON", id="garbage"),
        pytest.param("impossible", {}, "out of bounds", id="impossible prices"),
    ],
)
@on_one_loop
async def test_without_any_price_departures_are_planned_with_the_fixed_price(
    house: SimulatedHouse, fault: Any, prices: dict[str, Any], said: str
) -> None:
    house.faults.prices = fault
    without = await planned(house, **prices)
    assert said in without.said
    assert not any(without.prices_known)
    assert without.charges
    assert not without.plan.unmet


@on_one_loop
async def test_what_is_paid_for_is_charged_at_prices_below_zero(house: SimulatedHouse) -> None:
    saturday = NOW + days(2) + timedelta(hours=2)
    sunday = await planned(house, saturday, grid_fee=-0.01)
    noon = midnight(date(2026, 6, 21)) + timedelta(hours=13)
    assert noon in sunday.charges
    assert sunday.plan.cost < 1


@pytest.mark.parametrize(("day", "quarters"), [(date(2026, 3, 29), 92), (date(2025, 10, 26), 100)])
@on_one_loop
async def test_a_plan_goes_across_a_clock_change(
    house: SimulatedHouse, day: date, quarters: int
) -> None:
    before = midnight(day) - timedelta(hours=9)
    across = await planned(house, before)
    assert sum(across.prices_known) == 9 * 4 + quarters
    monday = datetime(day.year, day.month, day.day, 7, tzinfo=BERLIN) + days(1)
    [ahead] = [slot for slot in across.plan.slots if slot.start == monday - QUARTER]
    assert ahead.car_kwh >= 12 - 0.1
    assert not across.plan.unmet


@on_one_loop
async def test_what_is_possible_is_said_where_a_departure_cannot_be_met(
    house: SimulatedHouse,
) -> None:
    asked = ReadyBy.asked("13:00, 30 kWh", "Europe/Berlin", NOW)
    late = await planned(house, ready_by=asked)
    [unmet] = late.plan.unmet
    assert (unmet.at, unmet.energy_kwh) == (asked.at, 30)
    assert unmet.possible_kwh == pytest.approx(11, abs=0.6)
    assert "11" in late.plan.sentence
    assert late.charges[:4] == [NOW + index * QUARTER for index in range(4)]


@on_one_loop
async def test_a_plan_keeps_the_policys_highest_power(house: SimulatedHouse) -> None:
    asked = ReadyBy.asked("18:00, 20 kWh", "Europe/Berlin", NOW)
    quick = await planned(house, ready_by=asked)
    slow = await planned(house, ready_by=asked, max_power_w=4200)
    in_time = [[at for at in each.charges if at < asked.at] for each in (quick, slow)]
    assert len(in_time[0]) < 4 * 20 / 4.2 <= len(in_time[1])
    assert not slow.plan.unmet
    assert max(slot.car_w for slot in slow.plan.slots) == pytest.approx(4200, abs=100)
