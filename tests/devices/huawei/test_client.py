"""The inverter client on a real Modbus server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from easee_load_balancer.devices.huawei import sun2000
from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.devices.huawei.client import Inverter
from easee_load_balancer.errors import (
    InverterBusy,
    InverterError,
    InverterImplausible,
    InverterUnreachable,
    InverterUnsupported,
)
from easee_load_balancer.measurements import InverterReading
from easee_load_balancer.simulation.faults import Faults, ModbusFault
from easee_load_balancer.simulation.huawei import registers
from easee_load_balancer.simulation.huawei.modbus_server import InverterServer
from easee_load_balancer.simulation.huawei.registers import (
    CHARGED_BEFORE_KWH,
    DISCHARGED_BEFORE_KWH,
)
from easee_load_balancer.simulation.huawei.units import INVERTER_REFRESH_S
from easee_load_balancer.simulation.plant.plant import HouseSpec, Plant
from tests.support.huawei_plant import NOON_S, a_plant


@pytest.mark.parametrize(
    "wrong",
    [{"host": ""}, {"host": "a b"}, {"host": "x", "port": 0}, {"host": "x", "port": 65536}],
)
def test_invalid_address_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        InverterAddress(**wrong)


@asynccontextmanager
async def an_inverter(
    spec: HouseSpec | None = None, start_s: int = NOON_S, **address: Any
) -> AsyncIterator[tuple[Inverter, InverterServer, Plant, Faults]]:
    """A client and the simulated inverter it talks to."""
    settings = {"settle_time_s": 0.1} | address
    async with a_plant("single", spec, start_s=start_s, **settings) as one:
        yield one.inverter, one.server, one.plant, one.faults


async def test_reading_agrees_with_the_plant() -> None:
    async with an_inverter() as (inverter, _, plant, _):
        for _ in range(30):
            plant.step()
        await asyncio.sleep(0.1)
        reading = await inverter.read()
    assert reading.grid_export_w == pytest.approx(sum(plant.meter.grid_export_w), abs=2)
    assert reading.pv_w == pytest.approx(plant.pv_w, abs=30)
    assert reading.battery_charge_w == pytest.approx(plant.battery_charge_w, abs=30)
    assert plant.battery is not None
    assert reading.battery_soc_pct == pytest.approx(plant.battery.soc_pct, abs=0.1)
    assert reading.grid_export_phase_w == pytest.approx(plant.meter.grid_export_w, abs=1)
    assert (reading.meter_phases, reading.rated_w) == (3, plant.spec.rated_w)
    counted = plant.counters
    assert reading.charged_kwh == pytest.approx(CHARGED_BEFORE_KWH + counted.charged_kwh, abs=0.01)
    assert reading.discharged_kwh == pytest.approx(
        DISCHARGED_BEFORE_KWH + counted.discharged_kwh, abs=0.01
    )


async def test_one_connection_and_three_requests_a_reading() -> None:
    async with an_inverter() as (inverter, server, _, _):
        await inverter.read()
        first = server.requests
        await inverter.read()
        await inverter.read()
        assert server.connections == 1
        assert server.requests - first == 6


async def test_battery_that_refuses_its_counters_is_read_without_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registers, "_BATTERY_BLOCKS", (range(37760, 37767),))
    async with an_inverter() as (inverter, server, plant, _):
        first = await inverter.read()
        before = server.requests
        second = await inverter.read()
    assert server.requests - before == 3
    for reading in (first, second):
        assert reading.battery_charge_w == pytest.approx(plant.battery_charge_w, abs=30)
        assert reading.charged_kwh is None


@pytest.mark.parametrize("battery", ["none, refused", "none, zeros", "LUNA2000"])
async def test_dongle_that_needs_half_the_timeout_is_readable_after_some_cycles(
    battery: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = HouseSpec() if battery == "LUNA2000" else HouseSpec(battery=None)
    if battery == "none, zeros":
        monkeypatch.setattr(registers, "_BLOCKS", (*registers._BLOCKS, range(37700, 37800)))
    async with an_inverter(spec, settle_time_s=0.15, timeout_s=0.5) as (inverter, server, _, _f):
        server._spec = replace(server._spec, latency_s=0.28)
        outcomes: list[bool | None] = []
        for _ in range(5):
            try:
                outcomes.append((await inverter.read()).has_battery)
            except InverterUnreachable:
                outcomes.append(None)
    assert outcomes[2:] == [battery == "LUNA2000"] * 3
    assert server.connections == 1


async def test_battery_that_appears_later_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async with an_inverter() as (inverter, server, plant, _):
        battery, plant.battery = plant.battery, None
        for _ in range(INVERTER_REFRESH_S):
            plant.step()
        before = server.requests
        assert not (await inverter.read()).has_battery
        assert not (await inverter.read()).has_battery
        assert server.requests - before == 5 + 2
        plant.battery = battery
        for _ in range(INVERTER_REFRESH_S):
            plant.step()
        monkeypatch.setattr(sun2000, "_NO_BATTERY_FOR_S", 0.0)
        assert (await inverter.read()).has_battery
        assert (await inverter.read()).charged_kwh is not None


async def test_slow_answer_at_night_is_not_sleep() -> None:
    async with an_inverter(settle_time_s=0.1, timeout_s=0.5) as (inverter, server, _, _f):
        server._spec = replace(server._spec, latency_s=0.25)
        with pytest.raises(InverterUnreachable, match="answers slowly"):
            await inverter.read(night=True)
        assert not (await inverter.read(night=True)).asleep


async def test_one_phase_meter_knows_only_l1() -> None:
    async with an_inverter(HouseSpec(phases=1)) as (inverter, _, plant, _):
        reading = await inverter.read()
        assert reading.meter_phases == 1
        l1_w, *others = reading.grid_export_phase_w
        assert l1_w == pytest.approx(plant.meter.grid_export_w[0], abs=1)
        assert others == [None, None]


async def test_grid_is_unknown_while_the_meter_is_offline() -> None:
    async with an_inverter() as (inverter, _, _, faults):
        faults.meter = "offline"
        await asyncio.sleep(0.1)
        reading = await inverter.read()
    assert (reading.grid_export_w, reading.problem) == (None, "meter: offline")
    assert reading.pv_w is not None


async def test_values_and_zeros_in_turn_are_unknown_until_they_have_been_steady() -> None:
    async with an_inverter() as (inverter, _, plant, faults):

        async def problems(readings: int) -> list[str | None]:
            seen = []
            for _ in range(readings):
                for _ in range(30):
                    plant.step()
                await asyncio.sleep(0.06)
                seen.append((await inverter.read()).problem)
            return seen

        assert await problems(2) == [None, None]
        faults.meter = "alternating"
        await asyncio.sleep(0.06)
        begun = await problems(6)
        assert "meter: 0 V on all phases" in begun[:3]
        assert begun[4:] == ["meter: values and zeros alternate"] * 2
        faults.meter = None
        await asyncio.sleep(0.06)
        steady = await problems(6)
    assert steady[0] == "meter: values and zeros alternate"
    assert steady[-2:] == [None, None]


async def test_reading_tells_since_when_the_meter_shows_the_same() -> None:
    async with an_inverter() as (inverter, _, plant, faults):

        async def read() -> InverterReading:
            for _ in range(10):
                plant.extra_load_w = (plant.extra_load_w[0] + 10, 0, 0)
                plant.step()
            return await inverter.read()

        await read()
        faults.meter = "frozen"
        await asyncio.sleep(0.1)
        frozen = [await read() for _ in range(4)]
        faults.meter = None
        await asyncio.sleep(0.1)
        thawed = await read()
    assert {one.unchanged_since for one in frozen[1:]} == {frozen[1].unchanged_since}
    assert frozen[1].unchanged_since is not None
    assert frozen[1].unchanged_since < frozen[3].taken_at
    assert thawed.unchanged_since == thawed.taken_at


async def test_night_is_asleep_only_when_night_is_expected() -> None:
    async with an_inverter(HouseSpec(battery=None), start_s=0) as (inverter, _, _, _):
        reading = await inverter.read(night=True)
        assert reading.asleep
        assert reading.grid_export_w is None
        with pytest.raises(InverterUnreachable):
            await inverter.read(night=False)


FAULTS: list[tuple[ModbusFault, type[InverterError]]] = [
    ("refuse", InverterUnreachable),
    ("silent", InverterUnreachable),
    ("busy", InverterBusy),
    ("reset", InverterUnreachable),
    ("short", InverterImplausible),
    ("implausible", InverterImplausible),
    ("garbage", InverterUnreachable),
    ("function", InverterImplausible),
]


@pytest.mark.parametrize(("fault", "error"), FAULTS)
@pytest.mark.parametrize("when", ["before connecting", "while connected"])
async def test_fault_is_named_and_the_next_reading_is_good(
    fault: ModbusFault, error: type[InverterError], when: str
) -> None:
    async with an_inverter() as (inverter, _, _, faults):
        if when == "while connected":
            await inverter.read()
        faults.modbus = fault
        await asyncio.sleep(0.1)
        started = time.monotonic()
        with pytest.raises(error, match=r"127\.0\.0\.1"):
            await inverter.read()
        assert time.monotonic() - started < inverter.address.budget_s + 20
        faults.modbus = None
        await asyncio.sleep(0.1)
        assert (await inverter.read()).grid_export_w is not None


@pytest.mark.parametrize("fault", ["drop", "delay"])
async def test_short_fault_is_retried_within_the_time_budget(fault: ModbusFault) -> None:
    async with an_inverter(timeout_s=0.8) as (inverter, server, _, faults):
        await inverter.read()
        faults.modbus, faults.modbus_delay_s = fault, 1.0

        async def recover() -> None:
            await asyncio.sleep(0.3)
            faults.modbus = None

        recovery = asyncio.create_task(recover())
        assert (await inverter.read()).grid_export_w is not None
        await recovery
        assert server.connections == 2


async def test_client_reconnects_after_another_client_took_the_connection() -> None:
    async with an_inverter() as (inverter, server, _, _):
        await inverter.read()
        _, writer = await asyncio.open_connection("127.0.0.1", inverter.address.port)
        await asyncio.sleep(0.1)
        assert (await inverter.read()).grid_export_w is not None
        assert server.connections == 3
        writer.close()


async def test_known_battery_that_refuses_is_unknown() -> None:
    async with an_inverter() as (inverter, _, plant, _):
        assert (await inverter.read()).has_battery
        plant.battery = None
        for _ in range(INVERTER_REFRESH_S):
            plant.step()
        reading = await inverter.read()
    assert (reading.has_battery, reading.battery_charge_w) == (True, None)


async def test_plant_without_battery_has_none_also_after_a_mixed_up_answer() -> None:
    async with an_inverter(HouseSpec(battery=None)) as (inverter, _, _, faults):
        readings = [await inverter.read()]
        faults.modbus = "implausible"
        with pytest.raises(InverterImplausible):
            await inverter.read()
        faults.modbus = None
        readings.append(await inverter.read())
    for reading in readings:
        assert (reading.has_battery, reading.battery_charge_w) == (False, 0.0)
        assert reading.battery_soc_pct is None


async def test_wrong_unit_id_is_named() -> None:
    async with an_inverter(unit_id=7) as (inverter, _, _, _):
        with pytest.raises((InverterUnreachable, InverterUnsupported), match="unit id"):
            await inverter.read()
