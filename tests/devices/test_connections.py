"""The connections that a process shares, seen from the simulated house at their other end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from easee_load_balancer.devices.connections import Connections
from easee_load_balancer.devices.easee.client import EaseeClient
from easee_load_balancer.devices.huawei.client import InverterAddress
from easee_load_balancer.errors import BadCredentials
from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.simulation.huawei.modbus_server import InverterSpec
from easee_load_balancer.simulation.server import RunSpec, SimulatedHouse, running_house
from tests.support.easee_cloud import CHARGER, LOGIN, PASSWORD, account


@pytest.fixture
async def house() -> AsyncIterator[SimulatedHouse]:
    """A house whose inverter is quick to answer."""
    spec = RunSpec(
        speed=0,
        cloud=CloudSpec(password=PASSWORD, cloud_delay_s=0),
        inverter=InverterSpec(settle_s=0.01, latency_s=0.001),
    )
    async with running_house(spec) as running:
        yield running


def address(at: SimulatedHouse | Relay, timeout_s: float = 1.0) -> InverterAddress:
    """Where the inverter is."""
    return InverterAddress(
        host="127.0.0.1", port=at.modbus_port, settle_time_s=0.02, timeout_s=timeout_s
    )


class Relay:
    """Stands before the house's inverter and knows how many connections are open."""

    def __init__(self, house: SimulatedHouse) -> None:
        self.modbus_port = 0
        self.open = 0
        self.idle = asyncio.Event()
        self._house = house

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: request by request, until the client ends it."""
        answers, requests = await asyncio.open_connection(self._house.host, self._house.modbus_port)
        self.open += 1
        self.idle.clear()
        while request := await reader.read(1024):
            requests.write(request)
            writer.write(await answers.read(1024))
        self.open -= 1
        if not self.open:
            self.idle.set()
        requests.close()
        writer.close()


@pytest.fixture
async def relay(house: SimulatedHouse) -> AsyncIterator[Relay]:
    """A relay before that house's inverter."""
    relay = Relay(house)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.modbus_port = server.sockets[0].getsockname()[1]
    async with server:
        yield relay


async def test_everybody_shares_one_connection(house: SimulatedHouse, tmp_path: Path) -> None:
    links, owner = Connections(), account(house.api_url)
    async with links.held():
        inverter, easee = await links.inverter(address(house)), await links.easee(owner, tmp_path)
        for _ in range(2):
            async with links.held():
                assert await links.inverter(address(house)) is inverter
                assert await links.easee(account(house.api_url), tmp_path) is easee
                await asyncio.gather(inverter.read(), inverter.read(), easee.state(CHARGER))
        await inverter.read()
    assert house.inverter.connections == 1
    assert house.cloud.calls[LOGIN] == 1


async def test_the_last_holder_closes(house: SimulatedHouse, relay: Relay, tmp_path: Path) -> None:
    links, owner = Connections(), account(house.api_url)
    async with links.held():
        inverter, easee = await links.inverter(address(relay)), await links.easee(owner, tmp_path)
        await asyncio.gather(inverter.read(), easee.state(CHARGER))
        assert relay.open == 1
    await asyncio.wait_for(relay.idle.wait(), 1)
    with pytest.raises(RuntimeError, match="closed"):
        await easee.state(CHARGER)
    async with links.held():
        assert await links.inverter(address(relay)) is not inverter
        await (await links.inverter(address(relay))).read()
        await (await links.easee(owner, tmp_path)).state(CHARGER)
    assert house.inverter.connections == 2
    assert house.cloud.calls[LOGIN] == 1


async def test_they_are_closed_after_an_error_too(house: SimulatedHouse, tmp_path: Path) -> None:
    links, owner = Connections(), account(house.api_url)

    async def fail() -> None:
        async with links.held():
            opened.append(await links.easee(owner, tmp_path))
            raise ValueError("wrong")

    opened: list[EaseeClient] = []
    with pytest.raises(ValueError, match="wrong"):
        await fail()
    (easee,) = opened
    with pytest.raises(RuntimeError, match="closed"):
        await easee.state(CHARGER)


async def test_a_changed_inverter_replaces_the_connection(relay: Relay) -> None:
    links = Connections()
    async with links.held():
        before = await links.inverter(address(relay))
        await before.read()
        after = await links.inverter(address(relay, timeout_s=2.0))
        assert after is not before
        assert after.address.timeout_s == 2
        await asyncio.wait_for(relay.idle.wait(), 1)
        await after.read()
        assert await links.inverter(address(relay, timeout_s=2.0)) is after
        assert relay.open == 1


async def test_a_changed_password_replaces_the_session(
    house: SimulatedHouse, tmp_path: Path
) -> None:
    links = Connections()
    async with links.held():
        right = await links.easee(account(house.api_url), tmp_path)
        assert (await right.state(CHARGER)).online
        wrong = await links.easee(account(house.api_url, "guess"), tmp_path)
        with pytest.raises(BadCredentials):
            await wrong.state(CHARGER)
        with pytest.raises(RuntimeError, match="closed"):
            await right.state(CHARGER)
        corrected = await links.easee(account(house.api_url), tmp_path)
        assert (await corrected.state(CHARGER)).online


async def test_who_ask_at_the_same_time_get_the_same_connection(house: SimulatedHouse) -> None:
    links = Connections()
    async with links.held():
        before = await links.inverter(address(house))
        reading = asyncio.create_task(before.read())
        await asyncio.sleep(0.01)
        changed = address(house, timeout_s=2.0)
        one, other = await asyncio.gather(links.inverter(changed), links.inverter(changed))
        assert one is other
        await reading


async def test_who_comes_while_the_last_one_leaves_gets_a_connection(
    house: SimulatedHouse, tmp_path: Path
) -> None:
    links, owner = Connections(), account(house.api_url)
    holder = AsyncExitStack()
    await holder.enter_async_context(links.held())
    await (await links.easee(owner, tmp_path)).state(CHARGER)
    leaving = asyncio.create_task(holder.aclose())
    await asyncio.sleep(0)
    async with links.held():
        easee = await links.easee(owner, tmp_path)
        await leaving
        assert (await easee.state(CHARGER)).online
        assert await links.easee(owner, tmp_path) is easee
