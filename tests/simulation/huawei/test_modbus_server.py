"""The simulated inverter, tested with an independent Modbus client and bare sockets."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress

import pytest

from easee_load_balancer.simulation.faults import ModbusFault
from easee_load_balancer.simulation.huawei.units import InverterSpec
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.simulation.plant.plant import HouseSpec
from tests.support.inverter_socket import (
    HOST,
    QUICK,
    ServedPlant,
    connected,
    is_reset,
    reply,
    request,
    running,
    says_nothing,
)
from tests.support.waiting import until


async def test_client_reads_meter_inverter_and_battery() -> None:
    async with running() as house:
        house.pass_time(10)
        meter = await house.read(37100, 38)
        inverter = await house.read(32064, 26)
        battery = await house.read(37760, 7)
        exported_w = round(sum(house.plant.meter.grid_export_w))
        assert (meter[0], meter[13] << 16 | meter[14], meter[25]) == (1, exported_w, 1)
        assert (inverter[0] << 16 | inverter[1], inverter[25]) == (6000, 0x0200)
        assert battery[5] << 16 | battery[6] == round(house.plant.battery_charge_w) > 4000
        assert house.server.connections == house.server.requests == 3


async def test_only_its_own_unit_and_0_are_answered() -> None:
    async with connected(spec=InverterSpec(unit_id=16, settle_s=0, latency_s=0)) as (
        _house,
        reader,
        writer,
    ):
        writer.write(b"".join(request(unit, 37100, 1, unit=unit) for unit in (16, 1, 0)))
        assert [(await reply(reader))[:2] for _ in range(2)] == [(16, 16), (0, 0)]
        assert await says_nothing(reader)


@pytest.mark.parametrize(
    ("function", "address", "count", "code"),
    [
        (4, 37100, 2, 1),
        (1, 0, 1, 1),
        (0x2B, 0x0E01, 0, 1),
        (6, 43006, 60, 0x80),
        (3, 12, 1, 2),
        (3, 37130, 20, 2),
        (3, 37100, 0, 3),
        (3, 37100, 126, 3),
    ],
)
async def test_invalid_requests_get_their_exception(
    function: int, address: int, count: int, code: int
) -> None:
    async with connected() as (_house, reader, writer):
        writer.write(request(7, address, count, function=function))
        assert await reply(reader) == (7, 1, bytes((function | 0x80, code)))


async def test_requests_may_come_in_pieces_or_together() -> None:
    async with connected() as (_house, reader, writer):
        for byte in request(1, 30000, 15):
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0.001)
        assert (await reply(reader))[2][2:].rstrip(b"\0") == b"SUN2000-10KTL-M1"
        writer.write(request(2, 37100, 1) + request(3, 37100, 2) + request(4, 37100, 3)[:5])
        assert [(await reply(reader))[0] for _ in range(2)] == [2, 3]
        writer.write(request(4, 37100, 3)[5:])
        assert (await reply(reader))[0] == 4


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">HHHBBHH", 1, 1, 6, 1, 3, 37100, 1),
        struct.pack(">HHHB", 1, 0, 1, 1),
        struct.pack(">HHHB", 1, 0, 300, 1),
    ],
)
async def test_bytes_that_are_not_modbus_end_the_connection(nonsense: bytes) -> None:
    async with connected() as (house, reader, writer):
        writer.write(nonsense)
        async with asyncio.timeout(60):
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()
        assert await house.read(37100, 1) == [1]


async def test_second_client_resets_the_first() -> None:
    async with running() as house:
        first, _ = await house.connect()
        second, writer = await house.connect()
        assert await is_reset(first)
        writer.write(request(1, 37100, 1))
        assert (await reply(second))[0] == 1
        assert house.server.connections == 2


async def test_requests_within_the_settle_time_are_ignored() -> None:
    async with connected(spec=InverterSpec(settle_s=0.5, latency_s=0)) as (house, reader, writer):
        writer.write(request(1, 37100, 1))
        await until(lambda: house.server.requests, every_s=0.01)
        await asyncio.sleep(0.5)
        writer.write(request(2, 37100, 1))
        assert (await reply(reader))[0] == 2
        assert await says_nothing(reader)
        assert house.server.requests == 2


async def test_requests_are_answered_one_after_another() -> None:
    async with connected(spec=InverterSpec(settle_s=0, latency_s=0.03)) as (_house, reader, writer):
        clock = asyncio.get_running_loop().time
        began = clock()
        writer.write(request(1, 37100, 1) + request(2, 37100, 1) + request(3, 37100, 1))
        assert [(await reply(reader))[0] for _ in range(3)] == [1, 2, 3]
        assert clock() - began >= 0.09


async def test_inverter_and_meter_refresh_at_different_times() -> None:
    async with running(house=HouseSpec(battery=None, meter_delay_s=0)) as house:
        house.plant.extra_load_w = (1000.0, 0.0, 0.0)
        house.plant.day = Day("cloud", (2000.0,) * 1440, (400.0,) * 1440)
        house.plant.step()
        assert (await house.read(37113, 2))[1] == 600
        assert (await house.read(32080, 2))[1] == 6000
        house.pass_time(2)
        assert (await house.read(32080, 2))[1] == 2000


async def test_energy_counters_grow_from_a_plausible_start() -> None:
    async with running(house=HouseSpec(battery=None)) as house:
        before = await house.read(37119, 4)
        house.pass_time(3600)
        after = await house.read(37119, 4)
        exported_kwh = ((after[0] - before[0] << 16) + after[1] - before[1]) / 100
        assert exported_kwh == pytest.approx(5.6, abs=0.02)
        assert before[2:] == after[2:] != [0, 0]


async def test_sleeping_inverter_disconnects_and_is_silent() -> None:
    async with running(house=HouseSpec(battery=None)) as house:
        reader, _ = await house.connect()
        while not house.plant.asleep:
            house.plant.step()
        assert await is_reset(reader)
        again, writer = await house.connect()
        writer.write(request(1, 37100, 38))
        assert await says_nothing(again)


async def test_battery_keeps_the_inverter_awake_at_night() -> None:
    async with running() as house:
        house.pass_time(8000)
        inverter = await house.read(32064, 26)
        assert inverter[:2] == [0, 0]
        assert inverter[25] == 0xA000
        assert await house.read(37765, 2) == [0xFFFF, 0x10000 - 400]


async def test_meter_goes_offline_and_returns() -> None:
    async with running() as house:
        house.faults.meter = "offline"
        assert (await house.read(37100, 15))[0::13] == [0, 0x7FFF]
        house.faults.meter = None
        assert (await house.read(37100, 1)) == [1]


async def test_meter_shows_its_faults() -> None:
    async with running() as house:
        sound = await house.read(37100, 38)
        for fault, voltages in {"zeros": (0, 0, 0), "dead_phase": (sound[2], 0, sound[6])}.items():
            house.faults.meter = fault  # type: ignore[assignment]
            meter = await house.read(37100, 38)
            assert (meter[0], tuple(meter[2:7:2])) == (1, voltages)
        house.faults.meter = "frozen"
        frozen = await house.read(37100, 38)
        house.plant.extra_load_w = (1000.0, 0.0, 0.0)
        house.pass_time(10)
        assert await house.read(37100, 38) == frozen == sound
        house.faults.meter = "alternating"
        dead = []
        for _ in range(2):
            house.pass_time(30)
            dead.append(await house.read(37102, 1) == [0])
        assert sorted(dead) == [False, True]


async def test_reply_may_be_to_another_function() -> None:
    async with connected("function") as (_house, reader, writer):
        writer.write(request(1, 37100, 1))
        assert await reply(reader) == (1, 1, bytes((4, 2, 0, 1)))


async def test_refusing_inverter_closes_its_port_until_the_fault_ends() -> None:
    async with running() as house:
        reader, _ = await house.connect()

        async def accepts() -> bool:
            try:
                _, writer = await house.connect()
            except ConnectionRefusedError:
                return False
            writer.close()
            return True

        async def refuses() -> bool:
            return not await accepts()

        house.faults.modbus = "refuse"
        assert await is_reset(reader)
        await until(refuses, every_s=0.01)
        house.faults.modbus = None
        await until(accepts, every_s=0.01)
        assert await house.read(37100, 1) == [1]


async def test_server_can_start_refusing() -> None:
    house = ServedPlant(QUICK, HouseSpec(), 6000.0)
    house.faults.modbus = "refuse"
    house.port = await house.server.start(HOST, 0)
    with pytest.raises(ConnectionRefusedError):
        await house.connect()
    await house.server.stop()


async def test_silent_inverter_ignores_requests() -> None:
    async with connected("silent") as (house, reader, writer):
        writer.write(request(1, 37100, 1))
        assert await says_nothing(reader)
        house.faults.modbus = None
        writer.write(request(2, 37100, 1))
        assert (await reply(reader))[0] == 2


async def test_drop_ignores_every_second_request() -> None:
    async with connected("drop") as (_house, reader, writer):
        writer.write(b"".join(request(n, 37100, 1) for n in range(1, 6)))
        assert [(await reply(reader))[0] for _ in range(3)] == [1, 3, 5]


async def test_late_reply_keeps_its_transaction_id() -> None:
    async with running() as house:
        house.faults.modbus, house.faults.modbus_delay_s = "delay", 0.1
        reader, writer = await house.connect()
        clock = asyncio.get_running_loop().time
        began = clock()
        writer.write(request(1, 37100, 1))
        await until(lambda: house.server.requests, every_s=0.01)
        house.faults.modbus = None
        writer.write(request(2, 37101, 2))
        assert (await reply(reader))[0::2] == (1, struct.pack(">BBH", 3, 2, 1))
        assert clock() - began >= 0.1
        late = await reply(reader)
        assert (late[0], late[2][1]) == (2, 4)


async def test_busy_is_exception_6() -> None:
    async with running() as house:
        house.faults.modbus = "busy"
        assert await house.read(37100, 38) == [-6]


async def test_reset_at_each_request() -> None:
    async with connected("reset") as (house, reader, writer):
        writer.write(request(1, 37100, 1))
        assert await is_reset(reader)
        house.faults.modbus = None
        assert await house.read(37100, 1) == [1]


@pytest.mark.parametrize(("asked", "got"), [(38, 19), (2, 1), (1, 0)])
async def test_short_replies_are_well_formed(asked: int, got: int) -> None:
    async with connected("short") as (_house, reader, writer):
        writer.write(request(1, 37100, asked))
        _, _, pdu = await reply(reader)
        assert (len(pdu), pdu[1]) == (2 + 2 * got, 2 * got)


async def test_implausible_replies_have_the_right_length() -> None:
    async with running() as house:
        house.faults.modbus = "implausible"
        meter, battery = await house.read(37100, 38), await house.read(37760, 6)
        assert (len(meter), len(battery)) == (38, 6)
        assert abs(struct.unpack(">i", struct.pack(">2H", *meter[13:15]))[0]) > 100_000_000
        assert battery[0] / 10 > 100


async def test_garbage_is_sent_on_connecting_and_in_replies() -> None:
    async with connected("garbage") as (_house, reader, writer):
        async with asyncio.timeout(60):
            assert (await reader.readline()).startswith(b"SSH-")
            writer.write(request(1, 37100, 1))
            assert (await reader.readline()).startswith(b"HTTP/")


@pytest.mark.parametrize("fault", ["silent", "delay", "garbage", None])
async def test_stop_resets_open_connections(fault: ModbusFault | None) -> None:
    async with connected(fault) as (house, reader, writer):
        writer.write(request(1, 37100, 1))
        await asyncio.sleep(0.02)
        async with asyncio.timeout(60):
            await house.server.stop()
            with pytest.raises(ConnectionResetError):
                await reader.read()
        with pytest.raises(ConnectionRefusedError):
            await house.connect()
