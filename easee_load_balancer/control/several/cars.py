"""Each of several cars as the sharing sees it: what it wants, draws and could draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import IntEnum
from functools import cached_property

from easee_load_balancer.control.behaviour import car_is_absent
from easee_load_balancer.control.cycle_inputs import Assessment, CycleInputs, assess
from easee_load_balancer.control.power_estimate import PowerRange
from easee_load_balancer.control.rules import no_action_reason
from easee_load_balancer.control.several.own_current import as_own_circuit
from easee_load_balancer.control.starts import is_starting
from easee_load_balancer.control.state import Attempt, Choice, ControllerState, Phases
from easee_load_balancer.control.state_update import update_state
from easee_load_balancer.measurements import ChargerMode, Setpoint


@dataclass(frozen=True, slots=True)
class OneOfSeveral:
    """One charger of a home that has several, with what its law needs."""

    name: str
    """As the owner calls it."""
    priority: int
    """1 comes first; chargers with the same number are equal."""
    circuit: int
    """Chargers with the same number hang on one circuit."""
    inputs: CycleInputs
    state: ControllerState


class Part(IntEnum):
    """What part a car takes in the sharing; the lower number is served first."""

    TAKES = 0
    """Charges whatever the sun does: fast mode or a boost."""
    SHARES = 1
    """Charges from the surplus."""
    RESTS = 2
    """Full, asleep or limited in the car: an offer costs nothing."""
    ABSENT = 3
    LEFT_ALONE = 4
    """Not controlled: what it draws is the house's load."""


@dataclass(frozen=True)
class Car:
    """One of several cars in this cycle, before anything is decided."""

    one: OneOfSeveral
    inputs: CycleInputs
    """Those of the law; on a shared circuit with the charger's own current as the circuit's."""
    case: Assessment
    shares_circuit: bool

    @classmethod
    def of(cls, one: OneOfSeveral, *, shares_circuit: bool) -> Car:
        """The car as its readings and its state say."""
        inputs, state = one.inputs, one.state
        if shares_circuit:
            inputs = replace(
                inputs,
                charger=as_own_circuit(inputs.charger),
                policy=inputs.policy.model_copy(update={"phases": "3"}),
            )
        wanted = inputs
        if inputs.boost is not None:
            wanted = replace(inputs, policy=inputs.boost.over(inputs.policy))
            state = inputs.boost.hurry(state)
        return cls(one, inputs, assess(wanted, update_state(state, wanted)), shares_circuit)

    @cached_property
    def part(self) -> Part:
        """What part it takes in the sharing."""
        case, charger = self.case, self.case.inputs.charger
        if no_action_reason(case):
            return Part.LEFT_ALONE
        if car_is_absent(charger):
            return Part.ABSENT
        if not case.drawing and self._takes_nothing:
            return Part.RESTS
        return Part.TAKES if case.inputs.policy.mode == "fast" else Part.SHARES

    @property
    def _takes_nothing(self) -> bool:
        case = self.case
        if case.inputs.charger.mode is ChargerMode.COMPLETED:
            return True
        if case.active.current_a:
            return case.inputs.charger.online and not is_starting(case)
        return case.state.attempt is Attempt.WAKE_UP and not case.state.drew

    @cached_property
    def lines(self) -> tuple[int, ...]:
        """The house's phases that it may use."""
        return self.lines_on(self.phases)

    def lines_on(self, phases: Phases) -> tuple[int, ...]:
        """The same on so many phases."""
        state, house = self.case.state, len(self.case.imports_a or ()) or 3
        return tuple(state.car.house_lines(phases, state.wiring, house))

    @property
    def phases(self) -> Phases:
        """The phases that it is set to, or would begin with."""
        case = self.case
        if case.active.current_a:
            return case.active.phases
        return case.possible[-1] if self.part is Part.TAKES else case.possible[0]

    @property
    def least_a(self) -> int:
        """The least current with which it may charge."""
        return self.case.inputs.policy.min_current_a

    def most_a(self, phases: Phases) -> int:
        """The most that its own limits allow."""
        return self.case.limit(phases)[0]

    @property
    def held_a(self) -> int:
        """The most that it may be allowed at present, whatever became of the last command."""
        state = self.case.state
        pending_a = state.pending_a if state.is_pending else None
        return max(self.case.active.current_a, pending_a or 0)

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """What it could be set to: phases, 0 for a pause."""
        case = self.case
        if case.active.current_a and (is_starting(case) or not self.rested):
            return (0, case.active.phases)
        if case.inputs.policy.mode == "solar":
            return (0, *case.possible)
        return case.possible

    @property
    def rested(self) -> bool:
        """Whether its phases may be changed again."""
        interval = timedelta(seconds=self.case.inputs.policy.phase_interval_s)
        return self.case.since(self.case.state.switched_at) >= interval

    @property
    def may_start(self) -> bool:
        """Whether the time between two starts is over."""
        interval = timedelta(seconds=self.case.inputs.policy.start_interval_s)
        return self.case.since(self.case.state.started_at) >= interval

    @property
    def draws(self) -> PowerRange:
        """What it drew when the meter was read."""
        if self.part in (Part.RESTS, Part.ABSENT):
            return PowerRange(0.0, 0.0)
        return self.case.car.power

    def left_over(self, planned: Setpoint) -> PowerRange:
        """What it draws now less what it will draw of that setpoint, in W.

        What is planned for a car that does not draw yet is not to be taken by others, nor is it
        missing: until it draws, nothing has to make room.
        """
        if self.part not in (Part.TAKES, Part.SHARES):
            return PowerRange(0.0, 0.0)
        will_w = self.case.estimator.offered(planned).power_w if planned.current_a else 0.0
        if planned.current_a and not self.case.active.current_a:
            return PowerRange(-will_w, 0.0)
        return self.case.car.power + -will_w

    def rising_a(self, planned_a: int) -> float:
        """How much more than the meter shows it may come to draw on each of its lines."""
        if self.part is Part.LEFT_ALONE:
            return 0.0
        most_a = max(self.held_a, planned_a)
        may_draw_a = self.case.estimator.offered(Setpoint(most_a, self.phases)).current_a
        shown_a = 0.0 if self.part is Part.ABSENT else self.case.car.low_a
        return max(0.0, may_draw_a - shown_a)
