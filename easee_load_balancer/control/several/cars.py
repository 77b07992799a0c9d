"""Each of several cars as the sharing sees it: what it wants, draws and could draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import IntEnum
from functools import cached_property
from math import inf

from easee_load_balancer.control.behaviour import car_is_absent
from easee_load_balancer.control.cycle_inputs import Assessment, CycleInputs, assess
from easee_load_balancer.control.peak import PeakLimit
from easee_load_balancer.control.power_estimate import PowerRange
from easee_load_balancer.control.rules import first_phases, no_action_reason
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
    """Chargers with the same number are on one circuit."""
    inputs: CycleInputs
    state: ControllerState


class Part(IntEnum):
    """What part a car takes in the sharing; the lower number is served first."""

    TAKES = 0
    """Charges with all it can, whatever the sun does: fast mode, a boost, a plan."""
    PLANNED = 1
    """Takes what its plan allows from the grid, beside the sun."""
    SHARES = 2
    """Charges from the surplus."""
    RESTS = 3
    """Full, asleep or limited in the car: an offer costs nothing."""
    ABSENT = 4
    LEFT_ALONE = 5
    """Not controlled: what it draws is the house's load."""


@dataclass(frozen=True)
class Car:
    """One of several cars in this cycle, before anything is decided."""

    one: OneOfSeveral
    inputs: CycleInputs
    """Those of the law; on a shared circuit with the charger's own current as the circuit's."""
    case: Assessment
    shares_circuit: bool
    peak: PeakLimit | None = None
    """What it must not exceed together with all others; None: it may."""

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
        wanted = inputs.obeying_plan()
        if inputs.boost is not None:
            policy = inputs.boost.over(inputs.policy)
            wanted = replace(inputs, policy=policy, peak=None, grid=None)
            state = inputs.boost.hurry(state)
        state = update_state(state, wanted)
        case = assess(replace(wanted, peak=None), state)  # the peak is shared out to all
        return cls(one, inputs, case, shares_circuit, wanted.peak)

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
        if case.inputs.policy.mode == "fast":
            return Part.TAKES
        return Part.PLANNED if self.is_planned else Part.SHARES

    @property
    def is_planned(self) -> bool:
        """Whether it takes energy from the grid by its plan."""
        return self.case.inputs.grid is not None

    @cached_property
    def turn(self) -> tuple[float, float, float]:
        """The order in which cars get their minimum current; the lowest comes first.

        Cars that charge in any case, then plans by urgency, then the others by priority.
        """
        if self.is_planned and self.part < Part.SHARES:
            return (1.0, self._needed_s, self.one.priority)
        never_pauses = self.part is Part.SHARES and 0 not in self.choices
        return (0.0 if never_pauses else float(self.part), 0.0, self.one.priority)

    @property
    def rank(self) -> tuple[float, float, float]:
        """The order in which cars get more than that: plans first, then by priority."""
        if self.is_planned and self.part < Part.SHARES:
            return (0.0, self._needed_s, self.one.priority)
        return (1.0 if self.part <= Part.SHARES else 2.0, 0.0, self.one.priority)

    @property
    def _needed_s(self) -> float:
        """The sooner the car has to be ready, the less."""
        grid = self.case.inputs.grid
        return inf if grid is None or grid.needed_at is None else grid.needed_at.timestamp()

    @cached_property
    def sun(self) -> PowerRange | None:
        """What the law takes for its surplus, without what is planned from the grid."""
        if not self.case.inputs.planned_w:
            return self.case.surplus
        return assess(replace(self.case.inputs, grid=None), self.case.state).surplus

    def from_sun_w(self, setpoint: Setpoint) -> float:
        """What it will draw of that setpoint beside what is planned from the grid, in W."""
        if not setpoint.current_a:
            return 0.0
        return max(0.0, self.case.estimator.offered(setpoint).power_w - self.case.inputs.planned_w)

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
        """The same on that many phases."""
        state, house = self.case.state, len(self.case.imports_a or ()) or 3
        return tuple(state.car.house_lines(phases, state.wiring, house))

    @property
    def phases(self) -> Phases:
        """The phases that it is set to, or would begin with."""
        case = self.case
        if case.active.current_a:
            return case.active.phases
        if self.part is Part.PLANNED:
            return first_phases(case)
        return case.possible[-1] if self.part is Part.TAKES else case.possible[0]

    @property
    def least_a(self) -> int:
        """The least current with which it may charge."""
        return self.case.inputs.policy.min_current_a

    def peak_watts_per_a(self, phases: Phases) -> float:
        """What an ampere takes of the month's peak; 0 where it does not count."""
        return 0.0 if self.peak is None else self.case.estimator.watts_per_ampere(phases)

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
    def choice(self) -> Choice:
        """What it is set to; what it is to begin with where it never pauses."""
        paused = not self.case.choice and 0 not in self.choices
        return self.choices[0] if paused else self.case.choice

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

        Planned energy from the grid is not taken from the others. What is planned for a car that
        does not draw yet is not to be taken by others, nor is it missing: until it draws, nothing
        has to make room.
        """
        if self.part > Part.SHARES:
            return PowerRange(0.0, 0.0)
        will_w = self.from_sun_w(planned)
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
