"""Solar forecasts from both sources, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
import time_machine

from easee_load_balancer.errors import ForecastError
from easee_load_balancer.forecasts.solar import PvPlant, fetch_pv
from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.server import RunSpec, SimulatedHouse, running_house
from tests.support.history import NOON

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATHS = {"Open-Meteo": "open-meteo", "Forecast.Solar": "forecast-solar"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[SimulatedHouse]:
    """A house on a clear day, which comes again every day."""
    async with running_house(RunSpec(day="clear", speed=0)) as running:
        yield running


@pytest.fixture(autouse=True)
def noon(house: SimulatedHouse) -> Iterator[None]:
    """As the house's clock says; without faults at first."""
    house.faults.replace_with(Faults())
    with time_machine.travel(NOON, tick=False):
        yield


def panels(house: SimulatedHouse, source: Any) -> PvPlant:
    """10 kW of panels."""
    address = f"{house.api_url}/sources/{PATHS[source]}"
    return PvPlant(latitude=55.6, longitude=13.0, peak_kw=10, source=source, address=address)


@pytest.mark.parametrize(("source", "share"), [("Open-Meteo", 0.85 * 1.2), ("Forecast.Solar", 1.2)])
async def test_reads_the_power_of_each_quarter_hour(
    house: SimulatedHouse, source: str, share: float
) -> None:
    found = await fetch_pv(panels(house, source), NOON)
    for hour in (-3, 0, 4, 13):
        true_w = house.plant.day.pv_at(house.plant.clock_s + hour * 3600 + 450)
        at = NOON + timedelta(hours=hour)
        assert found.get(at, 0.0) == pytest.approx(share * true_w, rel=0.05, abs=60), hour
    assert max(found) >= NOON + timedelta(hours=30)


@pytest.mark.parametrize("source", PATHS)
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("outage", "has an outage"),
        ("garbage", "sent no JSON"),
        ("impossible", "out of bounds"),
    ],
)
async def test_a_failing_source_is_named_with_what_it_did(
    house: SimulatedHouse, source: str, fault: Any, said: str
) -> None:
    house.faults.solar_forecast = fault
    with pytest.raises(ForecastError, match=said) as caught:
        await fetch_pv(panels(house, source), NOON)
    assert str(caught.value).startswith(f"{source} (127.0.0.1)")
