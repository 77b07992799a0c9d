"""The connections of a process, observed from the simulated house."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from easee_load_balancer.devices import connections as connections_module
from easee_load_balancer.devices.connections import Connections
from easee_load_balancer.devices.easee.client import EaseeClient
from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.devices.huawei.hold_record import HoldFile, HoldRecord
from easee_load_balancer.errors import BadCredentials
from easee_load_balancer.measurements import BatteryHold
from easee_load_balancer.orchestration.blocks import EaseeCredentials
from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.simulation.faults import ModbusFault
from easee_load_balancer.simulation.huawei.units import InverterSpec
from easee_load_balancer.simulation.server import RunSpec, SimulatedHouse, running_house
from tests.support.battery import MAX_W, held_house
from tests.support.easee_cloud import CHARGER, LOGIN, PASSWORD, account
from tests.support.waiting import LONGEST_S, until


@pytest.fixture
async def house() -> AsyncIterator[SimulatedHouse]:
    """A house whose inverter answers quickly."""
    spec = RunSpec(
        speed=0,
        cloud=CloudSpec(password=PASSWORD, cloud_delay_s=0),
        inverter=InverterSpec(settle_s=0.0, latency_s=0.001),
    )
    async with running_house(spec) as running:
        yield running


def address(at: SimulatedHouse | Relay, timeout_s: float = 1.0) -> InverterAddress:
    """The inverter's address."""
    return InverterAddress(
        host="127.0.0.1", port=at.modbus_port, settle_time_s=0.02, timeout_s=timeout_s
    )


class Relay:
    """A relay to the house's inverter that counts open connections."""

    def __init__(self, house: SimulatedHouse) -> None:
        self.modbus_port = 0
        self.open = 0
        self.idle = asyncio.Event()
        self._house = house

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request by request, until the client closes it."""
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
    """A relay to that house's inverter."""
    relay = Relay(house)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.modbus_port = server.sockets[0].getsockname()[1]
    async with server:
        yield relay


@pytest.fixture
def connections() -> Connections:
    """The connections of a process of its own."""
    return Connections()


async def test_holders_share_one_connection(
    house: SimulatedHouse, connections: Connections, tmp_path: Path
) -> None:
    owner = account(house.api_url)
    async with connections.held():
        inverter = await connections.inverter(address(house))
        easee = await connections.easee(owner, tmp_path)
        for _ in range(2):
            async with connections.held():
                assert await connections.inverter(address(house)) is inverter
                assert await connections.easee(account(house.api_url), tmp_path) is easee
                await asyncio.gather(inverter.read(), inverter.read(), easee.state(CHARGER))
        await inverter.read()
    assert house.inverter.connections == 1
    assert house.cloud.calls[LOGIN] == 1


async def test_last_holder_closes_and_the_next_one_reconnects(
    house: SimulatedHouse, relay: Relay, connections: Connections, tmp_path: Path
) -> None:
    owner = account(house.api_url)
    async with connections.held():
        inverter = await connections.inverter(address(relay))
        easee = await connections.easee(owner, tmp_path)
        await asyncio.gather(inverter.read(), easee.state(CHARGER))
        assert relay.open == 1
    await asyncio.wait_for(relay.idle.wait(), LONGEST_S)
    with pytest.raises(RuntimeError, match="closed"):
        await easee.state(CHARGER)
    async with connections.held():
        assert await connections.inverter(address(relay)) is not inverter
        await (await connections.inverter(address(relay))).read()
        await (await connections.easee(owner, tmp_path)).state(CHARGER)
    assert house.inverter.connections == 2
    assert house.cloud.calls[LOGIN] == 1


async def test_connections_are_closed_after_an_error(
    house: SimulatedHouse, connections: Connections, tmp_path: Path
) -> None:
    async def fail() -> None:
        async with connections.held():
            opened.append(await connections.easee(account(house.api_url), tmp_path))
            raise ValueError("wrong")

    opened: list[EaseeClient] = []
    with pytest.raises(ValueError, match="wrong"):
        await fail()
    with pytest.raises(RuntimeError, match="closed"):
        await opened[0].state(CHARGER)


async def test_the_last_holder_lifts_the_limit_of_a_battery_if_it_can(
    connections: Connections, tmp_path: Path
) -> None:
    async with held_house(tmp_path) as house:
        endings: tuple[tuple[ModbusFault | None, int | None], ...] = (
            (None, None),
            ("reset", MAX_W),
        )
        for fault, left_w in endings:
            async with connections.held():
                battery = await connections.battery(house.address, HoldFile(house.record))
                await battery.apply(BatteryHold.LIMIT, house.now)
                assert house.battery.discharge_limit_w == 0
                house.faults.modbus = fault
            assert HoldRecord.load(house.record).restore_w == left_w
        house.faults.modbus = None
        async with connections.held():
            await connections.restore_battery(house.record)
        assert house.battery.discharge_limit_w == MAX_W
        assert HoldRecord.load(house.record).restore_w is None


async def test_changed_inverter_address_replaces_the_connection(
    relay: Relay, connections: Connections
) -> None:
    async with connections.held():
        before = await connections.inverter(address(relay))
        await before.read()
        after = await connections.inverter(address(relay, timeout_s=2.0))
        assert after is not before
        assert after.address.timeout_s == 2
        await asyncio.wait_for(relay.idle.wait(), LONGEST_S)
        await after.read()
        assert await connections.inverter(address(relay, timeout_s=2.0)) is after
        assert relay.open == 1


async def test_changed_password_replaces_the_client(
    house: SimulatedHouse, connections: Connections, tmp_path: Path
) -> None:
    async with connections.held():
        right = await connections.easee(account(house.api_url), tmp_path)
        assert (await right.state(CHARGER)).online
        wrong = await connections.easee(account(house.api_url, "guess"), tmp_path)
        with pytest.raises(BadCredentials):
            await wrong.state(CHARGER)
        with pytest.raises(RuntimeError, match="closed"):
            await right.state(CHARGER)
        corrected = await connections.easee(account(house.api_url), tmp_path)
        assert (await corrected.state(CHARGER)).online


async def test_client_of_a_login_that_is_gone_is_closed(
    house: SimulatedHouse,
    connections: Connections,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with connections.streaming():
        gone = await connections.easee(account(house.api_url), tmp_path)
        await gone.recent_state(CHARGER)
        await until(lambda: house.cloud.hub.open, every_s=0.02)
        present = account(house.api_url).model_copy(update={"user_name": "new@example.com"})
        await connections.easee(present, tmp_path)
        assert house.cloud.hub.open == 1
        monkeypatch.setattr(connections_module, "_UNUSED_S", 0.0)
        kept = await connections.easee(present, tmp_path)
        await until(lambda: not house.cloud.hub.open, every_s=0.02)
        with pytest.raises(RuntimeError, match="closed"):
            await gone.state(CHARGER)
        assert await connections.easee(present, tmp_path) is kept


async def test_concurrent_callers_get_the_same_new_connection(
    house: SimulatedHouse, connections: Connections
) -> None:
    async with connections.held():
        before = await connections.inverter(address(house))
        reading = asyncio.create_task(before.read())
        await asyncio.sleep(0.01)
        changed = address(house, timeout_s=2.0)
        one, another = await asyncio.gather(
            connections.inverter(changed), connections.inverter(changed)
        )
        assert one is another
        await reading


async def test_holder_that_arrives_during_closing_gets_a_working_connection(
    house: SimulatedHouse, connections: Connections, tmp_path: Path
) -> None:
    owner, holder = account(house.api_url), AsyncExitStack()
    await holder.enter_async_context(connections.held())
    await (await connections.easee(owner, tmp_path)).state(CHARGER)
    leaving = asyncio.create_task(holder.aclose())
    await asyncio.sleep(0)
    async with connections.held():
        easee = await connections.easee(owner, tmp_path)
        await leaving
        assert (await easee.state(CHARGER)).online
        assert await connections.easee(owner, tmp_path) is easee


async def test_two_sites_with_the_same_login_share_a_client(
    house: SimulatedHouse, tmp_path: Path
) -> None:
    """One that is closed while the other site waits for an answer would fail that site's cycle."""
    login = account(house.api_url).model_dump()
    home, cabin = (EaseeCredentials(**login) for _ in range(2))
    home._block_document_id, cabin._block_document_id = uuid4(), uuid4()
    connections = Connections()
    async with connections.held():
        first = await connections.easee(home, tmp_path)
        assert await connections.easee(cabin, tmp_path) is first
        changed = EaseeCredentials(**login | {"password": "another"})
        assert await connections.easee(changed, tmp_path) is not first
