"""Finding the inverter, and naming whatever else listens at an address."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Network

import pytest

from easee_load_balancer.devices.huawei.discovery import (
    Finding,
    NotFound,
    ProbeTimeouts,
    find_inverter,
    identify_service,
    reach,
    search,
)
from easee_load_balancer.errors import InverterNotFound
from easee_load_balancer.simulation.huawei import registers
from easee_load_balancer.simulation.huawei.units import InverterSpec
from easee_load_balancer.simulation.plant.day import generate_day
from easee_load_balancer.simulation.plant.plant import BatterySpec, HouseSpec
from easee_load_balancer.simulation.server import HOST, RunSpec, SimulatedHouse, running_house
from easee_load_balancer.system.processes import free_port

QUICK = ProbeTimeouts(settle_time_s=0.05, timeout_s=0.8)
BATTERY = BatterySpec()

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def a_house(spec: HouseSpec | None = None, unit_id: int = 1) -> AsyncIterator[SimulatedHouse]:
    inverter = InverterSpec(unit_id=unit_id, settle_s=0.0, latency_s=0.001)
    house = spec or HouseSpec(battery=BATTERY)
    day = generate_day("clear")
    async with running_house(RunSpec(day=day, speed=0, house=house, inverter=inverter)) as running:
        yield running


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """The port of a server that is not an inverter."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


async def _encrypted_web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"\x15\x03\x01\x00\x02\x02\x46")


async def _ssh(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    await reader.read(1000)


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1000):
        pass


async def _answering(
    pdu: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while True:
        transaction, _, _, unit = struct.unpack(">HHHB", await reader.readexactly(7))
        await reader.readexactly(5)
        writer.write(struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu)


async def _meter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _answering(bytes((0x83, 2)), reader, writer)


async def _zeros(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _answering(bytes((3, 8, *(0,) * 8)), reader, writer)


STRANGERS: dict[str, tuple[Handler, Finding]] = {
    "web server": (_web, Finding.WEB_SERVER),
    "encrypted web server": (_encrypted_web, Finding.WEB_SERVER),
    "ssh": (_ssh, Finding.OTHER_SERVICE),
    "silence": (_silent, Finding.SILENT),
    "Modbus device that does not know the registers": (_meter, Finding.OTHER_DEVICE),
    "Modbus device full of zeros": (_zeros, Finding.OTHER_DEVICE),
}


@pytest.mark.parametrize("name", STRANGERS)
async def test_other_services_are_named(name: str) -> None:
    handler, finding = STRANGERS[name]
    async with serving(handler) as port:
        with pytest.raises(NotFound) as caught:
            await find_inverter(HOST, {port: (1,)}, timeouts=QUICK)
    assert caught.value.finding is finding
    assert f"{HOST}:{port}" in str(caught.value)
    assert caught.value.port == (port if finding is Finding.SILENT else None)


async def test_closed_port_and_impossible_host_are_named() -> None:
    assert await reach(HOST, free_port()) is Finding.REFUSED
    assert await identify_service(HOST, free_port()) is Finding.REFUSED
    with pytest.raises(NotFound, match="no host called a\\.\\.b"):
        await find_inverter("a..b")


async def test_inverter_is_found_on_another_port_and_unit() -> None:
    async with a_house(unit_id=16) as house:
        asked: list[str] = []
        endpoints = {free_port(): (1, 16), house.modbus_port: (2, 16)}
        found = await find_inverter(HOST, endpoints, asked.append, QUICK)
    assert (found.address.port, found.address.unit_id) == (house.modbus_port, 16)
    assert found.address.timeout_s == 5.0
    assert [line.rpartition(", ")[2] for line in asked] == ["unit 2 ...", "unit 16 ..."]


IDENTITIES = {
    "battery": (HouseSpec(battery=BATTERY), "three phases", "10 kWh"),
    "no battery": (HouseSpec(battery=None), "three phases", "none"),
    "battery offline": (
        HouseSpec(battery=BatterySpec(offline=True)), "three phases", "10 kWh, offline",
    ),
    "one phase": (HouseSpec(battery=None, phases=1, rated_w=5000), "one phase", "none"),
    "no meter": (HouseSpec(battery=None, meter_phases=0), "none that answers", "none"),
}  # fmt: skip


@pytest.mark.parametrize("name", IDENTITIES)
async def test_identity_describes_battery_meter_and_model(name: str) -> None:
    spec, meter, battery = IDENTITIES[name]
    model = "SUN2000-5KTL-L1" if spec.phases == 1 else "SUN2000-10KTL-M1"
    async with a_house(spec) as house:
        found = await find_inverter(HOST, {house.modbus_port: (1,)}, timeouts=QUICK)
    identity = found.identity
    assert (identity.meter, identity.battery, identity.model) == (meter, battery, model)
    assert identity.serial_number == "HV2140012345"
    assert identity.rated_w == spec.rated_w


async def test_a_device_without_a_model_name_is_no_inverter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Registers of zeros, as some gateways answer for whatever they do not know."""
    known = registers.fixed
    nothing = dict.fromkeys(range(30000, 30015), 0)
    monkeypatch.setattr(registers, "fixed", lambda *house: known(*house) | nothing)
    async with a_house() as house:
        with pytest.raises(NotFound, match="not a SUN2000"):
            await find_inverter(HOST, {house.modbus_port: (1,)}, timeouts=QUICK)


async def test_busy_device_is_named_busy() -> None:
    async with a_house() as house:
        house.faults.modbus = "busy"
        with pytest.raises(NotFound) as caught:
            await find_inverter(HOST, {house.modbus_port: (1,)}, timeouts=QUICK)
    assert caught.value.finding is Finding.BUSY


async def test_network_search_finds_the_inverter() -> None:
    async with a_house() as house:
        said: list[str] = []
        network = IPv4Network("127.0.0.0/29")
        endpoints = {house.modbus_port: (1,), free_port(): (1,)}
        (found,) = await search(network, endpoints, said.append, QUICK)
        assert found.address.host == HOST
        assert found.address.port == house.modbus_port
    with pytest.raises(InverterNotFound, match="No SUN2000 answers in 127"):
        await search(network, endpoints, said.append, QUICK)


async def test_public_networks_are_not_searched() -> None:
    with pytest.raises(InverterNotFound, match="not a private network"):
        await search(IPv4Network("8.8.8.0/24"))
