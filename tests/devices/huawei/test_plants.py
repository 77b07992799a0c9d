"""Cascades, EMMA and SmartLogger over real Modbus: the reading is that of a single inverter."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from typing import Any

import pytest

from easee_load_balancer.devices.huawei import behind_gateway
from easee_load_balancer.devices.huawei.registers import BatteryValues, PowerValues
from easee_load_balancer.devices.huawei.sun2000 import InverterValues, battery_ac_headroom_w
from easee_load_balancer.measurements import InverterReading
from easee_load_balancer.simulation.plant.plant import BatterySpec, HouseSpec
from tests.support.huawei_plant import ADDRESSES, RunningPlant, a_plant

WITH_BATTERY = HouseSpec()
WITHOUT = HouseSpec(battery=None)
TWO_BATTERIES = {"battery_shares": (0.7, 0.3)}
EXACT = {"grid_export_w": 0.5, "battery_soc_pct": 0.06, "grid_current_phase_a": 0.051}
"""Largest difference from the single inverter's value that the registers' steps allow."""
NIGHT_S, NOON_S = 2 * 3600, 12 * 3600


def test_battery_reaches_the_house_through_its_own_inverter_only() -> None:
    battery = BatteryValues(charge_w=3000.0, soc_pct=60.0)
    full = InverterValues(PowerValues(8000.0, 5000.0), battery, rated_w=5000.0)
    spare = InverterValues(PowerValues(1000.0, 1000.0), None, rated_w=5000.0)
    second = InverterValues(PowerValues(4000.0, 3500.0), battery, rated_w=5000.0)
    unknown = InverterValues(PowerValues(None, None), battery, rated_w=5000.0)
    assert battery_ac_headroom_w([full, spare]) == 0
    assert battery_ac_headroom_w([full, spare, second]) == 1500
    assert battery_ac_headroom_w([spare]) == 0
    assert battery_ac_headroom_w([full, unknown]) is None


async def test_headroom_of_a_cascade_is_the_masters() -> None:
    async with a_plant("cascade", WITH_BATTERY) as running:
        master_w = 0.6 * (running.plant.inverter_ac_w + running.plant.battery_charge_w)
        master_w -= running.plant.battery_charge_w
        reading = await running.inverter.read()
    assert reading.battery_ac_headroom_w == pytest.approx(max(0.0, 6000 - master_w), abs=30)


def assert_same(reading: InverterReading, other: InverterReading) -> None:
    """Both show the same, but for the steps of the registers."""
    different = {"taken_at", "unchanged_since", "battery_ac_headroom_w"}
    ours, theirs = asdict(reading), asdict(other)
    for name in ours.keys() - different:
        if isinstance(theirs[name], (tuple, float)):
            assert ours[name] == pytest.approx(theirs[name], abs=EXACT.get(name, 1.0)), name
        else:
            assert ours[name] == theirs[name], name


@pytest.mark.parametrize("house", [WITH_BATTERY, WITHOUT], ids=["battery", "no battery"])
@pytest.mark.parametrize("kind", [kind for kind in ADDRESSES if kind != "single"])
@pytest.mark.parametrize("hour", [12, 20], ids=["exporting", "importing"])
async def test_reading_is_that_of_a_single_inverter(kind: str, house: HouseSpec, hour: int) -> None:
    readings = []
    for one in ("single", kind):
        async with a_plant(one, house, start_s=hour * 3600) as running:
            running.plant.car.unplug()
            running.plant.extra_load_w = (3000.0, 0.0, 500.0)
            for _ in range(60):
                running.plant.step()
            readings.append(await running.inverter.read())
    single, other = readings
    if house is WITHOUT:
        assert ((single.grid_export_w or 0) > 500) == (hour == 12)
    assert_same(other, single)


@pytest.mark.parametrize("kind", ["single", "emma", "smartlogger"])
async def test_one_phase_house_is_read_as_one(kind: str) -> None:
    async with a_plant(kind, HouseSpec(phases=1)) as running:
        reading = await running.inverter.read()
        assert reading.meter_phases == 1
        assert reading.grid_export_w == pytest.approx(running.plant.meter.grid_export_w[0], abs=1)
        assert reading.grid_export_phase_w[1:] == (None, None)


@pytest.mark.parametrize(
    ("kind", "house", "requests"),
    [
        ("single", WITH_BATTERY, 3),
        ("single", WITHOUT, 2),
        ("cascade", WITH_BATTERY, 4),
        ("cascade, dongle's sums", WITH_BATTERY, 4),
        ("emma", WITH_BATTERY, 2),
        ("emma", WITHOUT, 2),
        ("smartlogger", WITHOUT, 3),
        ("smartlogger", WITH_BATTERY, 4),
    ],
)
async def test_requests_of_a_reading(kind: str, house: HouseSpec, requests: int) -> None:
    async with a_plant(kind, house) as running:
        await running.inverter.read()
        before = running.server.requests
        await running.inverter.read()
        assert running.server.requests - before == requests
        assert running.server.connections == 1


async def test_batteries_are_added_where_they_hang() -> None:
    async with a_plant("cascade", WITH_BATTERY, spec=TWO_BATTERIES) as running:
        both = await running.inverter.read()
    async with a_plant("single", WITH_BATTERY) as running:
        assert_same(both, await running.inverter.read())


def dark_house(running: RunningPlant) -> None:
    """Ten minutes after the last light: what has no battery sleeps."""
    while not running.plant.dark:
        running.plant.step()


@pytest.mark.parametrize("drops", [False, True], ids=["meter offline", "connection ends"])
async def test_off_the_grid_the_inverter_is_read_without_its_meter(drops: bool) -> None:
    house = HouseSpec(islands=((NOON_S, NOON_S + 3600),))
    async with a_plant("single", house, spec={"drops_off_grid": drops}) as running:
        reading = await running.inverter.read()
        assert running.server.connections == 1
    assert (reading.off_grid, reading.grid_export_w) == (True, None)
    assert reading.problem == "meter: offline"
    assert reading.battery_soc_pct == pytest.approx(50, abs=1)


async def test_sleeping_slave_makes_nothing_and_counters_go_on() -> None:
    async with a_plant("cascade", WITH_BATTERY, start_s=21 * 3600) as running:
        awake = await running.inverter.read()
        dark_house(running)
        asleep = await running.inverter.read()
    assert (asleep.pv_w, asleep.has_battery) == (0.0, True)
    assert asleep.inverter_ac_w == pytest.approx(-(asleep.battery_charge_w or 0), abs=1)
    assert asleep.discharged_kwh == pytest.approx(awake.discharged_kwh, abs=1)


async def test_slave_that_is_asleep_from_the_start_leaves_the_counters_unknown() -> None:
    async with a_plant("cascade", WITH_BATTERY, start_s=NIGHT_S) as running:
        reading = await running.inverter.read()
    assert (reading.pv_w, reading.rated_w, reading.charged_kwh) == (0.0, None, None)
    assert reading.battery_soc_pct == pytest.approx(50, abs=1)


async def test_cascade_without_battery_sleeps_as_a_whole() -> None:
    async with a_plant("cascade", WITHOUT, start_s=21 * 3600) as running:
        dark_house(running)
        await asyncio.sleep(0.1)
        assert (await running.inverter.read(night=True)).asleep


@pytest.mark.parametrize("kind", ["emma", "smartlogger"])
async def test_meter_behind_a_gateway_stays_awake_at_night(kind: str) -> None:
    async with a_plant(kind, WITHOUT, start_s=NIGHT_S) as running:
        reading = await running.inverter.read(night=True)
        assert reading.grid_export_w == pytest.approx(running.plant.grid_export_w, abs=50)
    assert (reading.pv_w, reading.asleep, reading.has_battery) == (0.0, False, False)


async def test_silent_slave_by_day_is_unknown_and_soon_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with a_plant("cascade", WITH_BATTERY, spec=TWO_BATTERIES, timeout_s=0.4) as running:
        units = running.server._units
        good = await running.inverter.read()
        monkeypatch.setattr(type(units), "knows", lambda _, unit_id: unit_id != 2)
        silent = [await running.inverter.read() for _ in range(3)]
        before, connections = running.server.requests, running.server.connections
        resting = await running.inverter.read()
        assert running.server.requests - before == 3
        assert running.server.connections == connections
        for reading in (*silent, resting):
            assert reading.grid_export_w == good.grid_export_w
            assert (reading.pv_w, reading.battery_charge_w) == (None, None)
            assert reading.charged_kwh == good.charged_kwh
        monkeypatch.undo()
        monkeypatch.setattr(behind_gateway, "_REST_S", 0.0)
        other = running.inverter._plant._others[0]  # type: ignore[attr-defined]
        other._rests_until_s = 0.0
        assert_same(await running.inverter.read(), good)


@pytest.mark.parametrize("kind", ["single", "cascade", "emma", "smartlogger"])
async def test_meter_that_counts_backwards_is_turned_round(kind: str) -> None:
    wrong: dict[str, Any] = {"spec": {"meter_reversed": True}}
    async with a_plant(kind) as running:
        right = await running.inverter.read()
    async with a_plant(kind, **wrong) as running:
        assert (await running.inverter.read()).grid_export_w == -(right.grid_export_w or 0)
    async with a_plant(kind, **wrong, meter_counts_backwards=True) as running:
        turned = await running.inverter.read()
    assert turned.meter_counts_backwards
    assert_same(replace(turned, meter_counts_backwards=False), right)


async def test_battery_without_communication_is_unknown_behind_an_emma() -> None:
    async with a_plant("emma", HouseSpec(battery=BatterySpec(offline=True))) as running:
        assert running.plant.battery is None
        assert (await running.inverter.read()).grid_export_w is not None


async def test_emma_is_asked_at_once_because_it_drops_silent_connections() -> None:
    async with a_plant("emma", settle_time_s=1.3, timeout_s=1.0) as running:
        with pytest.raises(Exception, match=r"lost|closed"):
            await running.inverter.read()
    async with a_plant("emma", settle_time_s=None) as running:
        assert (await running.inverter.read()).grid_export_w is not None


async def test_dongle_without_sums_is_asked_for_them_once() -> None:
    kind = "cascade, dongle's sums"
    async with a_plant(kind, WITH_BATTERY, spec={"dongle_totals": False}) as running:
        first = await running.inverter.read()
        before = running.server.requests
        assert_same(await running.inverter.read(), first)
        assert running.server.requests - before == 4
    assert first.pv_w == pytest.approx(running.plant.pv_w, abs=30)


async def test_device_list_goes_on_where_it_does_not_fit_into_one_answer() -> None:
    shares = {"pv_shares": (0.2,) * 5, "battery_shares": (1.0, *(0.0,) * 4)}
    async with a_plant("cascade", spec=shares) as running:
        listed = await running.inverter.device_list(1)
    assert [b"5=%d;" % unit in one for unit, one in enumerate(listed, 1)] == [True] * 5
