"""A house with a stopped clock, and a client of its API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.simulation.plant.plant import HouseSpec
from easee_load_balancer.simulation.server import RunSpec, SimulatedHouse, running_house

USER = {"userName": "owner@example.com", "password": "simulated"}
CHARGER = "/api/chargers/EH123456"
CIRCUIT = "/api/sites/54321/circuits/12345"
OBSERVATIONS = "/state/EH123456/observations"

EIGHT_A = {"phase1": 8, "phase2": 8, "phase3": 8}
"""The body of a circuit current."""

SUNNY = Day("sunny", pv_w=(8000.0,) * 1440, load_w=(500.0,) * 1440)
"""7.5 kW of surplus all day."""

Running = tuple[SimulatedHouse, httpx.AsyncClient]


def client(house: SimulatedHouse) -> httpx.AsyncClient:
    """A client without certificates, which take longer to load than a house takes to start."""
    return httpx.AsyncClient(base_url=house.api_url, verify=False)


async def log_in(api: httpx.AsyncClient) -> None:
    """Send the token of a new login with all further calls."""
    answer = await api.post("/api/accounts/login", json=USER)
    api.headers["Authorization"] = f"Bearer {answer.json()['accessToken']}"


@asynccontextmanager
async def logged_in(
    cloud: CloudSpec | None = None, house: HouseSpec | None = None, speed: int = 0
) -> AsyncIterator[Running]:
    """A house without battery and with a stopped clock, and a client with a token."""
    spec = RunSpec(
        speed=speed,
        cloud=cloud or CloudSpec(cloud_delay_s=0),
        house=house or HouseSpec(battery=None),
    )
    async with running_house(spec) as running, client(running) as api:
        await log_in(api)
        yield running, api


async def observed(api: httpx.AsyncClient, *ids: int) -> dict[int, Any]:
    """The values of these observations."""
    answer = await api.get(OBSERVATIONS, params={"ids": ",".join(map(str, ids))})
    answer.raise_for_status()
    return {seen["id"]: seen["value"] for seen in answer.json()["observations"]}


def assert_problem(
    answer: httpx.Response, status: int, code: int | None = None, *, invalid: str | None = None
) -> None:
    """It is an error of that status and code, or about that field."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert {"type", "title", "detail", "traceId"} <= set(body)
    assert body.get("errorCode") == code
    assert ("errorCodeName" in body) == (code is not None)
    if invalid is not None:
        assert invalid in body["errors"]
