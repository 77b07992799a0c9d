"""Finding plants of all kinds, with and without the device's own list."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from easee_load_balancer.devices.huawei.client import Inverter
from easee_load_balancer.devices.huawei.discovery import Found, ProbeTimeouts, find_inverter
from easee_load_balancer.devices.huawei.survey import Device, parse_entry
from easee_load_balancer.simulation.plant.plant import HouseSpec
from tests.support.huawei_plant import RunningPlant, a_plant

HOST = "127.0.0.1"
QUICK = ProbeTimeouts(settle_time_s=0.05, timeout_s=0.3)


@asynccontextmanager
async def found(
    kind: str, units: tuple[int, ...] = (1, 0, 16), *, settle_s: float = 0.05, **more: Any
) -> AsyncIterator[tuple[Found, RunningPlant]]:
    """What is found at a plant of that kind."""
    async with a_plant(kind, **more) as running:
        port = running.inverter.address.port
        timeouts = ProbeTimeouts(settle_s, QUICK.timeout_s)
        yield await find_inverter(HOST, {port: units}, timeouts=timeouts), running


def chosen(one: Found) -> dict[str, Any]:
    """What setup stores of the plant, without host and timeouts."""
    return one.address.model_dump(exclude={"host", "port", "timeout_s"}, exclude_defaults=True)


PLANTS = {
    "single": {},
    "cascade": {"plant": "cascade", "other_units": (2,), "dongle_totals": True},
    "emma": {"plant": "emma", "unit_id": 0},
    "smartlogger": {"plant": "smartlogger", "unit_id": 0, "other_units": (1, 2)},
}


@pytest.mark.parametrize("device_list", [True, False], ids=["device list", "probing"])
@pytest.mark.parametrize("kind", PLANTS)
async def test_plant_is_found_and_readable(kind: str, device_list: bool) -> None:
    async with found(kind, spec={"device_list": device_list}) as (one, running):
        assert chosen(one) == PLANTS[kind]
        assert one.identity.rated_w == 10_000
        assert one.identity.battery == "10 kWh"
        assert one.identity.meter == "three phases"
        again = Inverter(one.address.model_copy(update={"settle_time_s": 0.0}))
        try:
            reading = await again.read()
        finally:
            await again.close()
        assert reading.grid_export_w == pytest.approx(running.plant.grid_export_w, abs=50)


async def test_every_device_is_named() -> None:
    async with found("smartlogger") as (one, _):
        assert [str(device) for device in one.devices] == [
            "SmartLogger, serial number 10230000001, unit 0",
            "SUN2000-6KTL-M1, serial number HV2140012345, unit 1",
            "SUN2000-4KTL-M1, serial number HV2140012346, unit 2",
            "DTSU666-H, unit 11",
        ]


async def test_meter_behind_a_smartlogger_is_found_at_its_own_unit() -> None:
    async with found("smartlogger", spec={"meter_unit": 7}) as (one, _):
        assert one.address.meter_unit == 7


async def test_master_of_a_cascade_is_the_inverter_with_the_meter() -> None:
    async with found("cascade", units=(2, 1)) as (one, _):
        assert (one.address.unit_id, one.address.other_units) == (1, (2,))


async def test_dongle_without_sums_is_not_asked_for_them() -> None:
    async with found("cascade", spec={"dongle_totals": False}) as (one, _):
        assert chosen(one) == {"plant": "cascade", "other_units": (2,)}


async def test_emma_is_found_although_it_drops_connections_that_settle() -> None:
    async with found("emma", units=(0,), settle_s=1.2) as (one, _):
        assert chosen(one) == PLANTS["emma"]
    assert one.address.settle_s == 0


@pytest.mark.parametrize("kind", ["emma", "smartlogger"])
async def test_plant_without_battery_has_none(kind: str) -> None:
    async with found(kind, house=HouseSpec(battery=None)) as (one, _):
        assert (one.identity.battery, one.identity.meter) == ("none", "three phases")


@pytest.mark.parametrize(
    ("entry", "device"),
    [
        (
            b"1=SUN2000-8K-MAP0;2=V200;3=P1.11-D1.0;4=HV24;5=3;6=1.0;8=33793",
            Device(3, "inverter", "SUN2000-8K-MAP0", "HV24"),
        ),
        (b"1=SmartHEMS;5=0", Device(0, "emma", "SmartHEMS")),
        (b"4=SC2024;5=13;x", Device(13, "other", "unnamed device", "SC2024")),
        (b"1=SUN2000;4=HV24", None),
        (b"1=SUN2000;5=999", None),
        (b"5=one", None),
        (b"\xff\x00;;=;", None),
    ],
)
def test_entries_of_the_device_list_are_read_leniently(entry: bytes, device: Device | None) -> None:
    assert parse_entry(entry) == device
