"""The charging plan as a flow: prices and forecasts over HTTP, and cycles that obey it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from plan import plan
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from easee_load_balancer.history.store import open_history
from easee_load_balancer.orchestration.blocks import ChargingPlan, SolarPlant, Tariff
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.system.settings import Settings
from tests.support.home import Home, a_home, last_run
from tests.support.price_house import tariff
from tests.support.site import SITE
from tests.support.waiting import until

DARK = Day("dark", pv_w=(50.0,) * 1440, load_w=(500.0,) * 1440)
ZONE = "Europe/Berlin"


def clock(hours: float) -> str:
    """A time of day that many hours from now, in UTC."""
    return f"{datetime.now(UTC) + timedelta(hours=hours):%H:%M}"


@asynccontextmanager
async def planning_home(wishes: ChargingPlan | None, **prices: Any) -> AsyncIterator[Home]:
    """A dark house with day-ahead prices, without and with wishes for the car."""
    async with a_home(DARK, mode="solar") as home:
        if wishes is not None:
            await wishes.asave(SITE, overwrite=True)
        fields = dict(tariff(home.house, **prices))
        await Tariff(**fields).asave(SITE, overwrite=True)
        plant = SolarPlant(
            *(),
            latitude=55.6,
            longitude=13.0,
            peak_kw=10,
            address=f"{home.house.api_url}/sources/open-meteo",
        )
        await plant.asave(SITE, overwrite=True)
        try:
            yield home
        finally:
            for block in (ChargingPlan, SolarPlant, Tariff):
                if block is not ChargingPlan or wishes is not None:
                    await block.adelete(SITE)


async def page() -> str | None:
    async with get_client() as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[f"plan-{SITE}"]))
        found = await client.read_artifacts(artifact_filter=wanted)
    return str(found[0].data) if found else None


async def test_a_plan_is_made_shown_and_obeyed() -> None:
    wishes = ChargingPlan(departures=[f"{clock(12)} 30 kWh"], floor_kwh=1)
    async with planning_home(wishes) as home:
        await home.cycle(time_zone="UTC")
        state = await plan(SITE, time_zone="UTC", return_state=True)
        assert state.is_completed(), state.message
        made = await state.aresult()
        assert made.grid_kwh > 29  # and for the departures of the days after
        assert not made.unmet
        assert (await last_run()).name == f"{made.sentence}."
        history = open_history(Settings().database_url)
        assert history.plans.last(SITE) == made
        shown = await until(page)
        assert shown.startswith(f"# {made.sentence}")
        assert "data:image/svg+xml;base64" in shown
        row = await home.cycle(time_zone="UTC")
        assert "up to 1 kWh at once" in (row.message or "")
        assert home.circuit_current_a[0] >= 16
