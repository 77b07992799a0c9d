"""Computing the setpoint."""

from __future__ import annotations

from collections.abc import Sequence

from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.several.cars import OneOfSeveral
from easee_load_balancer.control.several.controller import (
    SharedState,
    Together,
    decide_together,
)
from easee_load_balancer.control.state import ControllerState
from tasks.step import step


@step(name="compute setpoint")
def compute_setpoint(inputs: CycleInputs, state: ControllerState) -> Decision:
    """The control law."""
    return decide(inputs, state)


@step(name="compute setpoints")
def compute_setpoints(ones: Sequence[OneOfSeveral], shared: SharedState) -> Together:
    """The control law for several chargers."""
    return decide_together(ones, shared)
