"""The charging plan as a flow: prices and forecasts over HTTP, and cycles that obey it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from limit import limit
from plan import plan
from prefect import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
)
from prefect.client.schemas.objects import State
from prefect.states import Cancelling
from ready_by import ready_by

from easee_load_balancer.control.plan import Plan
from easee_load_balancer.history.store import open_history
from easee_load_balancer.orchestration.blocks import ChargingPlan, SolarPlant, Tariff
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.system.settings import Settings
from tests.support.home import Home, a_home, in_hours, last_run
from tests.support.price_house import tariff
from tests.support.site import SITE
from tests.support.waiting import until

DARK = Day("dark", pv_w=(50.0,) * 1440, load_w=(500.0,) * 1440)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests read the history more often than usual."""
    monkeypatch.setattr("tasks.requests._LOOK_EVERY_S", 0.05)


@asynccontextmanager
async def planning_home(wishes: ChargingPlan | None, **prices: Any) -> AsyncIterator[Home]:
    """A dark house with day-ahead prices, without and with wishes for the car."""
    async with a_home(DARK, mode="solar") as home:
        if wishes is not None:
            await wishes.asave(SITE, overwrite=True)
        fields = dict(tariff(home.house, **prices))
        await Tariff(**fields).asave(SITE, overwrite=True)
        plant = SolarPlant(
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
    wishes = ChargingPlan(departures=[f"{in_hours(12)} 30 kWh"], floor_kwh=1)
    async with planning_home(wishes) as home:
        await home.cycle(time_zone="UTC")
        state: State[Any] = await plan(SITE, time_zone="UTC", return_state=True)
        assert state.is_completed(), state.message
        made: Plan
        [made] = await state.aresult()
        assert made.grid_kwh > 29  # and for the departures of the days after
        assert not made.unmet
        assert (await last_run()).name == f"{made.sentence}."
        history = open_history(Settings().database_url)
        assert history.plans.last(SITE) == made
        shown = await until(page)
        assert shown.startswith(f"## {made.sentence}")
        assert "data:image/svg+xml;base64" in shown
        row = await home.cycle(time_zone="UTC")
        assert "up to 1 kWh at once" in (row.message or "")
        assert home.circuit_current_a[0] >= 16


async def deployed_plan() -> UUID:
    """A deployment of `plan` for the site, as `prefect deploy` makes it."""
    async with get_client() as client:
        flow_id = await client.create_flow_from_name("plan")
        return await client.create_deployment(
            flow_id, "Plan", parameters={"site": SITE}, tags=[SITE]
        )


async def asked_for(deployment_id: UUID) -> int:
    """How many plans have been asked for."""
    wanted = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment_id]))
    async with get_client() as client:
        return len(await client.read_flow_runs(flow_run_filter=wanted))


async def test_cycles_ask_for_one_plan_in_a_quarter_hour_and_only_where_there_is_a_wish() -> None:
    deployment_id = await deployed_plan()
    try:
        async with a_home(DARK, mode="solar") as home:
            for _ in range(2):
                await home.cycle()
            assert await asked_for(deployment_id) == 0
        async with planning_home(ChargingPlan(departures=["07:00 5 kWh"])) as home:
            for _ in range(2):
                await home.cycle()
            assert await asked_for(deployment_id) in (1, 2)  # 2 where a quarter-hour begins
    finally:
        async with get_client() as client:
            await client.delete_deployment(deployment_id)


async def run_of(flow: Any, **parameters: Any) -> asyncio.Task[State[Any]]:
    """A run that has begun."""
    return asyncio.ensure_future(flow(site=SITE, **parameters, return_state=True))


async def test_a_departure_that_cannot_be_met_is_said_obeyed_and_ended_by_cancelling() -> None:
    async with a_home(DARK, mode="solar") as home:
        home.house.plant.charger.dynamic_circuit_current_a = (0.0, 0.0, 0.0)
        await home.cycle()
        assert home.circuit_current_a == (0, 0, 0)
        departures = open_history(Settings().database_url).departures
        run = await run_of(ready_by, ready=f"{in_hours(1)}, 60 kWh", time_zone="UTC")
        row = await until(lambda: departures.under_way(SITE))
        name = await until(partial(named, row.run_id, "only"))
        assert "with 60 kWh: only" in name
        assert name.endswith("kWh are possible by then")
        message = (await home.cycle(time_zone="UTC")).message or ""
        assert message.startswith("latest start for 60 kWh: 16 A x 3")
        assert home.circuit_current_a == (16, 16, 16)
        async with get_client() as client:
            await client.set_flow_run_state(UUID(row.run_id), Cancelling())
        await home.cycle(time_zone="UTC")
        assert (await run).name == "Cancelled"


async def test_the_cars_power_is_limited_within_one_cycle_until_the_time_is_up() -> None:
    async with a_home(DARK, mode="fast") as home:
        await home.cycle()
        assert home.circuit_current_a == (16, 16, 16)
        dimmings = open_history(Settings().database_url).dimmings
        run = await run_of(limit, power_w=4200, until="1 h", time_zone="UTC")
        row = await until(lambda: dimmings.under_way(SITE))
        message = (await home.cycle()).message or ""
        assert "grid operator (4.2 kW) allows 6 A" in message
        assert home.circuit_current_a == (6, 6, 6)
        over = row.request.model_copy(update={"until": datetime.now(UTC)})
        dimmings.record(row.run_id, over)
        state = await run
        assert (state.message or "").endswith("its time is up")
        await home.cycle()
        assert home.circuit_current_a == (16, 16, 16)


async def named(run_id: str, part: str) -> str | None:
    async with get_client() as client:
        name = (await client.read_flow_run(UUID(run_id))).name
    return name if part in name else None
