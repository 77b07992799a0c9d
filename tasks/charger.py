"""Reading and commanding the charger."""

from __future__ import annotations

from easee_load_balancer.control.state import TIME_TO_LIVE
from easee_load_balancer.devices.connections import CONNECTIONS
from easee_load_balancer.devices.easee.models import Account, ChargerAddress
from easee_load_balancer.measurements import ChargerState, Setpoint
from easee_load_balancer.system.settings import Settings
from tasks.step import step


@step(name="read charger", timeout_seconds=15)
async def read_charger(
    charger: ChargerAddress, account: Account, *, closely: bool = False, near_fuse: bool = False
) -> ChargerState:
    """The charger's state, from at most one call to the Easee cloud."""
    cloud = await CONNECTIONS.easee(account, Settings().folder)
    return await cloud.recent_state(charger, closely=closely, near_fuse=near_fuse)


@step(name="push setpoint", task_run_name="push {setpoint}", timeout_seconds=15)
async def push_setpoint(
    charger: ChargerAddress, account: Account, setpoint: Setpoint, *, urgent: bool = False
) -> None:
    """Set the circuit's current; what fails is sent again by the next cycle.

    `urgent`: the main fuse may depend on it, so that it is tried again after a minute.
    """
    cloud = await CONNECTIONS.easee(account, Settings().folder)
    await cloud.set_circuit_current(charger, setpoint, TIME_TO_LIVE, urgent=urgent)


@step(name="push share", task_run_name="push {current_a} A to {name}", timeout_seconds=15)
async def push_share(
    name: str, charger: ChargerAddress, account: Account, current_a: int, *, urgent: bool = False
) -> None:
    """Set the current of one of several chargers on a circuit."""
    cloud = await CONNECTIONS.easee(account, Settings().folder)
    await cloud.set_charger_current(charger, current_a, TIME_TO_LIVE, urgent=urgent)


@step(name="push ceiling", task_run_name="push {current_a} A to the circuit", timeout_seconds=15)
async def push_ceiling(charger: ChargerAddress, account: Account, current_a: int) -> None:
    """Set the current of a circuit with several chargers, the ceiling of them all."""
    cloud = await CONNECTIONS.easee(account, Settings().folder)
    await cloud.set_circuit_current(charger, Setpoint(current_a), TIME_TO_LIVE, urgent=True)
