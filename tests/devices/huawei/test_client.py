"""The inverter client: decoders on measured dumps, and the client on a real Modbus server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from easee_load_balancer.devices.huawei.client import Inverter, InverterAddress
from easee_load_balancer.devices.huawei.registers import (
    Battery,
    decode_battery,
    decode_battery_unit_1,
    decode_meter,
    decode_power,
    i32,
    u16,
    u32,
)
from easee_load_balancer.errors import (
    InverterBusy,
    InverterError,
    InverterImplausible,
    InverterUnreachable,
    InverterUnsupported,
)
from easee_load_balancer.simulation.faults import Faults, ModbusFault
from easee_load_balancer.simulation.huawei import registers
from easee_load_balancer.simulation.huawei.modbus_server import InverterServer, InverterSpec
from easee_load_balancer.simulation.huawei.registers import (
    CHARGED_BEFORE_KWH,
    DISCHARGED_BEFORE_KWH,
)
from easee_load_balancer.simulation.plant.day import generate_day
from easee_load_balancer.simulation.plant.plant import HouseSpec, Plant

NOON_S = 12 * 3600


@pytest.fixture
def captures(shared_data: Path) -> dict[str, Any]:
    """Register dumps of real devices by name."""
    dumps = json.loads((shared_data / "huawei" / "captures.json").read_text())
    return {dump["name"]: dump for dump in dumps}


def test_meter_dump(captures: dict[str, Any]) -> None:
    dump = captures["M1"]
    meter, expected = decode_meter(dump["registers"]), dump["expected"]
    assert meter.online
    assert meter.phases == 3
    assert meter.grid_export_w == expected["grid_power_w"]
    assert list(meter.grid_export_phase_w) == expected["phase_power_w"]
    assert list(meter.current_a) == expected["phase_current_a"]
    assert list(meter.voltage_v) == expected["phase_voltage_v"]
    assert meter.exported_kwh == expected["exported_kwh"]
    assert meter.imported_kwh == expected["imported_kwh"]


def test_power_dump(captures: dict[str, Any]) -> None:
    dump = captures["I1"]
    power, expected = decode_power(dump["registers"]), dump["expected"]
    assert power.pv_w == expected["pv_input_w"]
    assert power.inverter_ac_w == expected["active_power_w"]
    assert power.status == expected["device_status"]
    assert power.total_kwh == expected["total_yield_kwh"]
    assert power.today_kwh == expected["daily_yield_kwh"]


def test_battery_dump(captures: dict[str, Any]) -> None:
    dump = captures["B1"]
    battery, expected = decode_battery(dump["registers"]), dump["expected"]
    assert battery.soc_pct == expected["state_of_charge_pct"]
    assert battery.charge_w == expected["battery_power_w"]
    assert (battery.charged_kwh, battery.discharged_kwh) == (4648.64, 4511.90)
    assert decode_battery(dump["registers"][:7]) == replace(
        battery, charged_kwh=None, discharged_kwh=None
    )


@pytest.mark.parametrize(
    ("words", "signed", "unsigned"),
    [
        ((0x0000, 0x0001), 1, 1),
        ((0xFFFF, 0xFFFF), -1, None),
        ((0x7FFF, 0xFFFF), None, 2**31 - 1),
        ((0x8000, 0x0000), None, 2**31),
        ((0x8000, 0x0001), -(2**31) + 1, 2**31 + 1),
    ],
)
def test_not_available_and_signs(
    words: tuple[int, int], signed: int | None, unsigned: int | None
) -> None:
    assert i32(words, 0) == signed
    assert u32(words, 0) == unsigned
    assert u16([0xFFFF], 0) is None
    assert u16([0xFFFE], 0) == 0xFFFE


def test_offline_meter_is_unknown_not_zero() -> None:
    meter = decode_meter([0] * 38)
    assert meter.grid_export_w is None
    assert meter.voltage_v == (None, None, None)


@pytest.mark.parametrize(
    ("registers", "expected"),
    [
        pytest.param([0, 0, 0, 0, 0], None, id="no battery"),
        pytest.param([0, 0, 0, 0, 500], Battery(None, None), id="battery offline"),
        pytest.param([2, 0xFFFF, 0xFC18, 0, 805], Battery(-1000, 80.5), id="discharging"),
        pytest.param([1, 0, 0, 0, 0], Battery(0, 0.0), id="empty and idle"),
    ],
)
def test_battery_unit_1(registers: list[int], expected: Battery | None) -> None:
    assert decode_battery_unit_1(registers) == expected


@pytest.mark.parametrize(
    "wrong",
    [{"host": ""}, {"host": "a b"}, {"host": "x", "port": 0}, {"host": "x", "port": 65536}],
)
def test_wrong_address_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        InverterAddress(**wrong)


@asynccontextmanager
async def an_inverter(
    spec: HouseSpec | None = None, start_s: int = NOON_S, **address: Any
) -> AsyncIterator[tuple[Inverter, InverterServer, Plant, Faults]]:
    """A client and the simulated inverter that it is connected to."""
    plant, faults = Plant(generate_day("clear"), spec, start_s), Faults()
    server = InverterServer(plant, InverterSpec(settle_s=0.05, latency_s=0.001), faults)
    port = await server.start("127.0.0.1", 0)
    settings = {"settle_time_s": 0.1, "timeout_s": 0.4} | address
    inverter = Inverter(InverterAddress(host="127.0.0.1", port=port, **settings))
    try:
        yield inverter, server, plant, faults
    finally:
        await inverter.close()
        await server.stop()


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
    assert reading.meter_phases == 3
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


async def test_a_battery_that_refuses_its_counters_is_asked_for_its_power_alone(
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


async def test_plant_without_battery_charges_none() -> None:
    async with an_inverter(HouseSpec(battery=None)) as (inverter, _, _, _):
        reading = await inverter.read()
    assert reading.battery_charge_w == 0
    assert reading.battery_soc_pct is None
    assert not reading.has_battery


async def test_one_phase_meter() -> None:
    async with an_inverter(HouseSpec(phases=1)) as (inverter, _, plant, _):
        reading = await inverter.read()
        assert reading.meter_phases == 1
        l1_w, *others = reading.grid_export_phase_w
        assert l1_w == pytest.approx(plant.meter.grid_export_w[0], abs=1)
        assert others == [None, None]


async def test_offline_meter() -> None:
    async with an_inverter() as (inverter, _, _, faults):
        faults.meter_offline = True
        await asyncio.sleep(0.1)
        reading = await inverter.read()
    assert reading.grid_export_w is None
    assert reading.pv_w is not None


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
        began = time.monotonic()
        with pytest.raises(error, match=r"127\.0\.0\.1"):
            await inverter.read()
        assert time.monotonic() - began < 1.5
        faults.modbus = None
        await asyncio.sleep(0.1)
        assert (await inverter.read()).grid_export_w is not None


@pytest.mark.parametrize("fault", ["drop", "delay"])
async def test_passing_trouble_is_retried_within_the_budget(fault: ModbusFault) -> None:
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


async def test_another_client_takes_the_connection() -> None:
    async with an_inverter() as (inverter, server, _, _):
        await inverter.read()
        _, writer = await asyncio.open_connection("127.0.0.1", inverter.address.port)
        await asyncio.sleep(0.1)
        assert (await inverter.read()).grid_export_w is not None
        assert server.connections == 3
        writer.close()


async def test_a_battery_that_refuses_is_unknown_not_gone() -> None:
    async with an_inverter() as (inverter, _, plant, _):
        assert (await inverter.read()).has_battery
        plant.battery = None
        await asyncio.sleep(0.1)
        reading = await inverter.read()
    assert reading.battery_charge_w is None or reading.has_battery


async def test_a_wrong_answer_does_not_invent_a_battery() -> None:
    async with an_inverter(HouseSpec(battery=None)) as (inverter, _, _, faults):
        await inverter.read()
        faults.modbus = "implausible"
        with pytest.raises(InverterImplausible):
            await inverter.read()
        faults.modbus = None
        reading = await inverter.read()
    assert (reading.has_battery, reading.battery_charge_w) == (False, 0.0)


async def test_wrong_unit_id_names_it() -> None:
    async with an_inverter(unit_id=7) as (inverter, _, _, _):
        with pytest.raises((InverterUnreachable, InverterUnsupported), match="unit id"):
            await inverter.read()
