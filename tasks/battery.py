"""Keeping the house battery out of the car."""

from __future__ import annotations

from datetime import datetime

from easee_load_balancer.control.decision import Decision
from easee_load_balancer.devices.connections import CONNECTIONS
from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.devices.huawei.hold_record import (
    HoldFile,
    HoldStore,
    SharedHold,
    record_path,
)
from easee_load_balancer.errors import HoldFailed
from easee_load_balancer.measurements import BatteryHold, InverterReading
from easee_load_balancer.system.settings import Settings
from tasks.step import step


async def concerns_battery(address: InverterAddress, site: str, decision: Decision) -> bool:
    """Whether the battery is or was to be held, as far as that is known."""
    if decision.state.hold is not BatteryHold.FREE:
        return True
    store = _store(site)
    if isinstance(store, HoldFile) and not store.path.exists():
        return False
    try:
        return await (await CONNECTIONS.battery(address, store)).is_limited()
    except HoldFailed:  # `keep_battery` says so
        return True


async def keep_battery(
    address: InverterAddress, site: str, inverter: InverterReading, decision: Decision
) -> None:
    """Hold or release the battery where that is due and the inverter could be read.

    A battery that has never been held costs nothing, or one question to the database where
    workers share a pool.
    """
    hold, now = decision.state.hold, inverter.taken_at
    if inverter.pv_w is None or not await concerns_battery(address, site, decision):
        return
    if await (await CONNECTIONS.battery(address, _store(site))).is_due(hold, now):
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
    await (await CONNECTIONS.battery(address, _store(site))).apply(hold, now)


def _store(site: str) -> HoldStore:
    settings = Settings()
    if settings.shared_pool:
        return SharedHold(settings.database_url, site)
    return HoldFile(record_path(settings.folder, site))
