"""Which way the grid meter counts, proven at a simulated house of each kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from easee_load_balancer.commands import calibrate
from easee_load_balancer.commands.calibrate import Calibration, Calibrator
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.devices.easee.models import Account, ChargerAddress
from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.energy.sign_proof import Sign
from easee_load_balancer.errors import ChargerError
from easee_load_balancer.measurements import MIN_CURRENT_A, ChargerMode
from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.simulation.huawei.units import InverterSpec
from easee_load_balancer.simulation.plant.plant import BatterySpec, HouseSpec
from easee_load_balancer.simulation.server import RunSpec, SimulatedHouse, running_house
from tests.support.huawei_plant import ADDRESSES
from tests.support.simulated_house import SUNNY
from tests.support.waiting import until

KINDS = ("single", "cascade", "emma", "smartlogger")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses as short as the fast clock of these houses."""
    for name, seconds in (
        ("SAMPLE_EVERY_S", 0.05),
        ("LOOK_EVERY_S", 0.2),
        ("METER_FOLLOWS_S", 0.4),
        ("FOLLOWS_WITHIN_S", 10.0),
    ):
        monkeypatch.setattr(calibrate, name, seconds)


@asynccontextmanager
async def a_house(
    kind: str, folder: Path, house: HouseSpec | None = None, *, speed: int = 0, **plant: Any
) -> AsyncIterator[tuple[SimulatedHouse, Calibrator]]:
    """A house at noon with a surplus of 7.5 kW, and the test of its meter."""
    cloud = CloudSpec(rate_limits=False, cloud_delay_s=0.05)
    inverter = InverterSpec(settle_s=0.0, latency_s=0.0, plant=kind, **plant)  # type: ignore[arg-type]
    spec = RunSpec(
        day=SUNNY,
        speed=speed,
        house=house or HouseSpec(battery=None),
        cloud=cloud,
        inverter=inverter,
    )
    async with running_house(spec) as running:
        address = InverterAddress(
            host="127.0.0.1",
            port=running.modbus_port,
            **{"plant": kind, "settle_time_s": 0.0, "timeout_s": 1.0, **ADDRESSES[kind]},
        )
        account = Account(
            user_name=cloud.user_name, password=cloud.password, base_url=running.api_url
        )
        charger = ChargerAddress(
            charger_id=cloud.charger_id, site_id=cloud.site_id, circuit_id=cloud.circuit_id
        )
        yield running, Calibrator(address, account, charger, Policy(), folder, lambda _: None)


async def charging(house: SimulatedHouse, amps: float) -> None:
    """Let the car charge with that current."""
    plant = house.plant
    plant.charger.command_circuit(plant.clock_s, (amps,) * 3, None)
    await until(lambda: plant.charger.op_mode is ChargerMode.CHARGING and plant.car_w > 3000)
    await asyncio.sleep(0.5)


async def calibrated(kind: str, folder: Path, amps: float, **more: Any) -> Calibration:
    """The result with a charging car, which gets its current back."""
    async with a_house(kind, folder, speed=20, **more) as (house, calibrator):
        await charging(house, amps)
        found = await calibrator.run(may_step=True)
        current_a = house.plant.charger.dynamic_circuit_current_a
        await until(lambda: house.plant.charger.dynamic_circuit_current_a[0] == amps)
        assert current_a[0] in (amps, MIN_CURRENT_A, amps + calibrate.STEP_A)
    return found


@pytest.mark.parametrize("kind", KINDS)
async def test_step_of_the_cars_current_proves_the_sign(kind: str, tmp_path: Path) -> None:
    found = await calibrated(kind, tmp_path, 10.0)
    assert found.sign is Sign.RIGHT, found.sentence
    found = await calibrated(kind, tmp_path, 10.0, meter_reversed=True)
    assert found.sign is Sign.WRONG
    assert "counts the wrong way: the car took 2." in found.sentence
    assert ("--meter-backwards" in found.sentence) == (kind != "single")


async def test_low_current_is_raised_where_the_main_fuse_allows_it(tmp_path: Path) -> None:
    assert (await calibrated("single", tmp_path, 7.0)).sign is Sign.RIGHT


async def test_a_change_whose_command_gets_no_answer_is_undone(tmp_path: Path) -> None:
    async with a_house("single", tmp_path, speed=20) as (house, calibrator):
        await charging(house, 10.0)
        calibrator.say = lambda _: setattr(house.faults, "api_body", "cut")
        with pytest.raises(ChargerError):
            await calibrator.run(may_step=True)
        assert house.cloud.writes == 2
        await until(lambda: house.plant.charger.dynamic_circuit_current_a[0] == 10.0)


async def test_step_that_the_battery_takes_over_proves_nothing(tmp_path: Path) -> None:
    spec = HouseSpec(battery=BatterySpec(max_power_w=10_000, start_soc_pct=50), rated_w=20_000)
    found = await calibrated("single", tmp_path, 10.0, house=spec)
    assert found.sign is Sign.UNPROVEN
    assert "battery" in found.sentence


@pytest.mark.parametrize("reverse", [False, True])
async def test_without_sun_the_balance_proves_the_sign(reverse: bool, tmp_path: Path) -> None:
    spec = HouseSpec(battery=None)
    async with a_house("emma", tmp_path, spec, meter_reversed=reverse) as (house, calibrator):
        house.plant.day = type(SUNNY)("night", (0.0,) * 1440, (900.0,) * 1440)
        house.plant.car.unplug()
        house.advance(10)
        found = await calibrator.run(may_step=False)
    assert found.sign is (Sign.WRONG if reverse else Sign.RIGHT)
    assert "0.9 kW of " + ("export" if reverse else "import") in found.sentence


async def test_noon_without_a_car_proves_nothing_and_says_what_would(tmp_path: Path) -> None:
    async with a_house("single", tmp_path) as (house, calibrator):
        house.plant.car.unplug()
        house.advance(30)
        found = await calibrator.run(may_step=True)
    assert found.sign is Sign.UNPROVEN


async def test_offline_meter_proves_nothing(tmp_path: Path) -> None:
    async with a_house("single", tmp_path) as (house, calibrator):
        house.faults.meter = "offline"
        assert (await calibrator.run(may_step=True)).sign is Sign.UNPROVEN
