"""A house with a battery behind a real Modbus server, and one process's control of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.devices.huawei.battery_control import BatteryControl
from easee_load_balancer.devices.huawei.client import Inverter
from easee_load_balancer.devices.huawei.hold_record import HoldFile, record_path
from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.huawei.modbus_server import InverterServer
from easee_load_balancer.simulation.huawei.units import InverterSpec, PlantKind
from easee_load_balancer.simulation.plant.battery_controls import BatteryControls
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.simulation.plant.plant import BatterySpec, HouseSpec, Plant

BEGAN = datetime(2026, 1, 10, tzinfo=UTC)
MAX_W = 5000


def address_of(port: int, timeout_s: float = 5.0) -> InverterAddress:
    return InverterAddress(host="127.0.0.1", port=port, settle_time_s=0.0, timeout_s=timeout_s)


@dataclass
class HeldHouse:
    """The house; `control` belongs to the process that runs now."""

    plant: Plant
    faults: Faults
    server: InverterServer
    address: InverterAddress
    folder: Path
    control: BatteryControl = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    @property
    def record(self) -> Path:
        return record_path(self.folder, "home")

    @property
    def battery(self) -> BatteryControls:
        assert self.plant.battery is not None
        return self.plant.battery.controls

    @property
    def now(self) -> datetime:
        return BEGAN + timedelta(seconds=self.plant.clock_s)

    def restart(self) -> None:
        """A new process, which knows nothing but what is on disk."""
        self.control = BatteryControl(Inverter(self.address), HoldFile(self.record))

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.plant.step()

    def discharges(self) -> bool:
        """Whether the battery supplies the house, once it has had time to."""
        self.pass_time(15)
        return self.plant.battery_charge_w < -100


@asynccontextmanager
async def held_house(
    folder: Path, pv_w: float = 0.0, behind: PlantKind = "single"
) -> AsyncIterator[HeldHouse]:
    """A house that draws 1 kW at any time."""
    day = Day("flat", (pv_w,) * 1440, (1000.0,) * 1440)
    plant = Plant(day, HouseSpec(battery=BatterySpec(max_power_w=MAX_W)), start_s=0)
    plant.car.unplug()
    faults = Faults()
    spec = InverterSpec(settle_s=0.0, latency_s=0.0, write_s=(0.0, 0.0), plant=behind)
    server = InverterServer(plant, spec, faults)
    address = address_of(await server.start("127.0.0.1", 0))
    house = HeldHouse(plant, faults, server, address, folder)
    try:
        yield house
    finally:
        await house.control.inverter.close()
        await server.stop()
