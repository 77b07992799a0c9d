"""Reading the inverter."""

from __future__ import annotations

from easee_load_balancer.devices.connections import CONNECTIONS
from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.measurements import InverterReading
from tasks.step import step


@step(name="read inverter", timeout_seconds=17)
async def read_inverter(address: InverterAddress, *, night: bool) -> InverterReading:
    """Grid, PV and battery power; the client has its own retries within its time budget."""
    inverter = await CONNECTIONS.inverter(address)
    return await inverter.read(night=night)
