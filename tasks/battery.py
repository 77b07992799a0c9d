"""Keeping the house battery out of the car."""

from __future__ import annotations

from datetime import datetime

from easee_load_balancer.control.decision import Decision
from easee_load_balancer.devices.connections import CONNECTIONS
from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.devices.huawei.hold_record import record_path
from easee_load_balancer.measurements import BatteryHold, InverterReading
from easee_load_balancer.system.settings import Settings
from tasks.step import step


def concerns_battery(site: str, decision: Decision) -> bool:
    """Whether the battery is or was to be held."""
    held = decision.state.hold is not BatteryHold.FREE
    return held or record_path(Settings().folder, site).exists()


async def keep_battery(
    address: InverterAddress, site: str, inverter: InverterReading, decision: Decision
) -> None:
    """Hold or release the battery where that is due and the inverter could be read.

    A battery that has never been held costs nothing.
    """
    path, hold, now = record_path(Settings().folder, site), decision.state.hold, inverter.taken_at
    if inverter.pv_w is None or not concerns_battery(site, decision):
        return
    if (await CONNECTIONS.battery(address, path)).is_due(hold, now):
        await set_battery(address, site, hold, now)


@step(
    name="set battery",
    task_run_name="battery {hold.value}",
    timeout_seconds=16,
)
async def set_battery(
    address: InverterAddress, site: str, hold: BatteryHold, now: datetime
) -> None:
    """Write to the battery; what is refused or takes too long goes on in a later cycle."""
    battery = await CONNECTIONS.battery(address, record_path(Settings().folder, site))
    await battery.apply(hold, now)
