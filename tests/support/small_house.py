"""Small houses for the control law: a function answers what meter and charger show, in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.measurements import ChargerMode, ChargerState, InverterReading, Setpoint
from tests.support.control_readings import NOW, VOLTS, charger, inverter

UNDERDRAW_A = 0.3


@dataclass(frozen=True, slots=True)
class Cycle:
    """What a cycle saw and decided."""

    at: datetime
    decision: Decision
    inverter: InverterReading
    charger: ChargerState

    @property
    def current_a(self) -> int:
        """The current that is commanded."""
        return self.decision.setpoint.current_a if self.decision.setpoint else 0


House = Callable[[datetime, Setpoint], tuple[InverterReading, ChargerState]]


def play(
    house: House,
    minutes: float,
    state: ControllerState,
    policy: Policy | None = None,
    step_s: int = 30,
) -> list[Cycle]:
    """The law in that house, a cycle every `step_s`; commands take effect by the next cycle."""
    cycles, at = [], NOW
    while at <= NOW + timedelta(minutes=minutes):
        reading, shown = house(at, state.setpoint or Setpoint(0))
        decision = decide(CycleInputs(at, reading, shown, policy or Policy()), state)
        decision = decision.pushed(at) if decision.push else decision
        state = decision.state
        cycles.append(Cycle(at, decision, reading, shown))
        at += timedelta(seconds=step_s)
    return cycles


def meter(at: datetime, *imports_a: float, **other: Any) -> InverterReading:
    """A meter that shows these imports on L1, L2, L3."""
    export_w = -sum(imports_a) * VOLTS
    currents = tuple(-amps for amps in imports_a)
    return inverter(export_w, taken_at=at, grid_current_phase_a=currents, **other)


def car(
    at: datetime,
    setpoint: Setpoint,
    current_a: float,
    lines: int = 3,
    waiting: ChargerMode = ChargerMode.AWAITING_START,
    **other: Any,
) -> ChargerState:
    """A charger whose car has drawn that current on this many lines for four minutes."""
    amps = tuple(current_a if line < lines else 0.0 for line in range(3))
    seen = at - timedelta(seconds=15)
    values: dict[str, Any] = {
        "taken_at": at,
        "mode": ChargerMode.CHARGING if current_a else waiting,
        "car_w": current_a * lines * VOLTS,
        "car_current_a": amps,
        "output_current_a": float(setpoint.current_a),
        "output_phases": setpoint.phases if current_a else 0,
        "circuit_current_a": tuple(float(one) for one in setpoint.circuit_current_a),
        "observed_at": {"car_w": seen, "car_current_l1_a": seen},
    }
    return charger(**(values | other))


def drawn_a(setpoint: Setpoint) -> float:
    """What most cars draw of an offer."""
    return max(0.0, setpoint.current_a - UNDERDRAW_A) if setpoint.current_a else 0.0


def changes(cycles: list[Cycle]) -> int:
    """How often the commanded setpoint differed from the one before."""
    commanded = [cycle.decision.setpoint for cycle in cycles]
    return sum(one != two for one, two in pairwise(commanded))
