"""The simulated push stream, as other clients of the cloud use it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from pysignalr.client import SignalRClient
from websockets.asyncio.client import ClientConnection, connect

from easee_load_balancer.simulation.easee import push_hub
from easee_load_balancer.simulation.server import SimulatedHouse
from tests.support.simulated_house import CHARGER, CIRCUIT, Running
from tests.support.waiting import LONGEST_S, until

ID = "EH123456"
END = "\x1e"


@asynccontextmanager
async def subscribed(
    house: SimulatedHouse, api: httpx.AsyncClient
) -> AsyncIterator[ClientConnection]:
    """A bare connection to the hub with a subscription."""
    hub, headers = f"{house.api_url}/hubs/chargers", {"Authorization": api.headers["Authorization"]}
    permitted = (await api.post(f"{hub}/negotiate?negotiateVersion=1")).json()
    url = f"ws{hub.removeprefix('http')}?id={permitted['connectionToken']}"
    async with connect(url, additional_headers=headers) as socket:
        await socket.send(json.dumps({"protocol": "json", "version": 1}) + END)
        call = {"type": 1, "target": "SubscribeWithCurrentState", "arguments": [ID, True]}
        await socket.send(json.dumps(call) + END)
        yield socket


async def frames(socket: ClientConnection) -> AsyncIterator[dict[str, Any]]:
    """The frames as they come."""
    async for received in socket:
        for text in str(received).split(END):
            if text:
                yield json.loads(text)


async def pushed(socket: ClientConnection, target: str, **fields: Any) -> dict[str, Any]:
    """The argument of the next call with these fields."""
    async with asyncio.timeout(LONGEST_S):
        async for frame in frames(socket):
            argument = (frame.get("arguments") or [None])[0]
            if frame.get("target") == target and fields.items() <= argument.items():
                return dict(argument)
    raise AssertionError("the hub has ended the connection")


async def test_a_client_that_negotiates_without_a_version_is_served(running: Running) -> None:
    """As pyeasee does, by way of pysignalr: the id of the connection proves the permission."""
    house, api = running
    headers = {"Authorization": api.headers["Authorization"]}
    client = SignalRClient(f"{house.api_url}/hubs/chargers", headers=headers)
    seen: dict[int, Any] = {}

    async def subscribe() -> None:
        arguments: list[Any] = [ID, True]
        await client.send("SubscribeWithCurrentState", arguments)

    async def take(updates: list[dict[str, Any]]) -> None:
        seen.update({one["id"]: one["value"] for one in updates})

    client.on_open(subscribe)
    client.on("ProductUpdate", take)
    task = asyncio.create_task(client.run())
    await until(lambda: {31, 109} <= seen.keys(), every_s=0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (seen[31], seen[109]) == ("1", "6")


async def test_a_command_is_confirmed_after_its_answer_with_the_same_ticks(
    running: Running,
) -> None:
    house, api = running
    async with subscribed(house, api) as socket:
        await pushed(socket, "ProductUpdate")
        settings = {"dynamicChargerCurrent": 10, "enabled": True}
        answer = await api.post(f"{CHARGER}/settings", json=settings)
        (ticket,) = answer.json()  # it is enabled already
        assert (answer.status_code, ticket["commandId"]) == (202, 48)
        confirmed = await pushed(socket, "CommandResponse", id=48)
        assert (confirmed["ticks"], confirmed["wasAccepted"]) == (ticket["ticks"], True)
        await api.post(f"{CIRCUIT}/settings", json={"dynamicCircuitCurrentP2": 0})
        assert (await pushed(socket, "CommandResponse", id=22))["serialNumber"] == ID


async def test_a_client_that_sends_no_ping_is_told_and_disconnected(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, api = running
    monkeypatch.setattr(push_hub, "SILENT_S", 0.2)
    async with subscribed(house, api) as socket, asyncio.timeout(LONGEST_S):
        last = [frame async for frame in frames(socket)][-1]
    assert last["type"] == 7
    await until(lambda: not house.cloud.hub.open, every_s=0.02)
