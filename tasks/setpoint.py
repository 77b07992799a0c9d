"""Computing the setpoint."""

from __future__ import annotations

from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.state import ControllerState
from tasks.step import step


@step(name="compute setpoint")
def compute_setpoint(inputs: CycleInputs, state: ControllerState) -> Decision:
    """The control law."""
    return decide(inputs, state)
