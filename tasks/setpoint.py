"""Computing the setpoint."""

from __future__ import annotations

from datetime import datetime

from easee_load_balancer.control.boost import Boost
from easee_load_balancer.control.controller import ControllerState, Decision, Policy, decide
from easee_load_balancer.measurements import ChargerState, InverterReading
from tasks.step import step


@step(name="compute setpoint", task_run_name="compute setpoint")
def compute_setpoint(
    now: datetime,
    inverter: InverterReading,
    charger: ChargerState,
    policy: Policy,
    state: ControllerState,
    boost: Boost | None,
) -> Decision:
    """The control law."""
    return decide(now, inverter, charger, policy, state, boost)
