"""The charger's contactor and pilot signal, in one-second steps."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from easee_load_balancer.measurements import MIN_CURRENT_A, ChargerMode
from easee_load_balancer.measurements import ReasonForNoCurrent as Reason
from easee_load_balancer.simulation.plant.car import Car
from easee_load_balancer.simulation.plant.grid import (
    IT1,
    IT3,
    IT_GRIDS,
    ONE_PHASE_GRIDS,
    TN3,
    Conductors,
    PerPhase,
)

_NO_LIMIT_A = 40.0
_WAIT_AT_MINIMUM_S = 300


@dataclass(frozen=True, slots=True)
class ChargerSpec:
    """Fixed limits and behaviour of the charger and its circuit; currents in A."""

    max_current_a: float = 32.0
    circuit_max_current_a: PerPhase = (16.0, 16.0, 16.0)
    offline_max_current_a: PerPhase = (16.0, 16.0, 16.0)
    cable_current_a: float = 32.0
    phase_mode: int = 2
    """1 single phase, 2 automatic, 3 three phases."""
    grid_type: int = 1
    """1 TN three-phase, 3 TN one-phase, 4 IT three-phase, 5 IT one-phase (L1 and L3)."""
    authorization_required: bool = False
    schedule: tuple[int, int] | None = None
    """The charger's own schedule: charging allowed between these minutes of the day."""
    waits_at_minimum: bool = False
    """Newer firmware waits five minutes when charging starts at 6 A."""
    command_delay_s: tuple[int, int] = (1, 3)
    phase_change_s: tuple[int, int] = (8, 40)
    wiring: tuple[int, int, int] = (0, 1, 2)
    """The house's line on which each of the charger's phases hangs; 0 = L1."""
    stuck_phases: Literal["never", "until_paused", "until_unplugged"] = "never"
    """How long it stays on its phases whatever the circuit current says."""
    ignores_zero_s: int = 0
    """After a command of 0 A while charging, how long such commands are accepted in vain."""
    stale_power: bool = False
    """The reported power keeps its last value after the charge has stopped."""


@dataclass(frozen=True, slots=True)
class _Command:
    due_s: int
    circuit_a: PerPhase | None
    charger_a: float | None
    expires_s: int | None


class Charger:
    """Signals the lowest of all limits per phase to the car, with delays."""

    def __init__(self, spec: ChargerSpec, car: Car, rng: random.Random) -> None:
        self.spec = spec
        self.car = car
        self.circuit_max_current_a = spec.circuit_max_current_a
        self.enabled = True
        self.authorized = not spec.authorization_required
        self.smart_charging = False
        self.equalizer_a: float | None = None
        """Limit of the vendor's own load balancer."""
        self.allotted_a: PerPhase | None = None
        """What the master of a shared circuit gives; None where it is alone on its circuit."""
        self.dynamic_circuit_current_a: PerPhase = (_NO_LIMIT_A,) * 3
        self.dynamic_charger_current_a = spec.max_current_a
        self.output_current_a = 0.0
        self.conductors: Conductors = ()
        """The charger's phases that the output uses."""
        self.stuck_on: Conductors = ()
        """Those that it cannot leave."""
        self.op_mode = ChargerMode.READY_TO_CHARGE
        self.reason_for_no_current = Reason.NONE
        self.starts = 0
        self.phase_changes = 0
        self._rng = rng
        self._commands: list[_Command] = []
        self._circuit_expires_s: int | None = None
        self._charger_expires_s: int | None = None
        self._interrupted_until_s = 0
        self._waiting_until_s = 0
        self._conductors_before: Conductors = ()
        self._carrying: Conductors = ()
        self._zeros_ignored_until_s: int | None = None

    def command_circuit(self, clock_s: int, current_a: PerPhase, ttl_s: int | None) -> None:
        """Set the dynamic circuit current per phase; `ttl_s` None = no end."""
        p1, p2, p3 = (float(int(amps)) for amps in current_a)
        self._queue(clock_s, (p1, p2, p3), None, ttl_s)

    def command_charger(self, clock_s: int, current_a: float, ttl_s: int | None) -> None:
        """Set the dynamic charger current; `ttl_s` None = no end."""
        self._queue(clock_s, None, float(int(current_a)), ttl_s)

    def plug_in(self) -> None:
        """A car arrives: the dynamic charger current returns to the maximum."""
        self.car.plug_in()
        self.stuck_on = ()
        self.authorized = not self.spec.authorization_required
        self.dynamic_charger_current_a, self._charger_expires_s = self.spec.max_current_a, None

    def reboot(self) -> None:
        """Reset everything volatile, as after a power cut."""
        self._commands.clear()
        self.dynamic_circuit_current_a, self._circuit_expires_s = (_NO_LIMIT_A,) * 3, None
        self.dynamic_charger_current_a, self._charger_expires_s = self.spec.max_current_a, None

    def step(self, clock_s: int) -> None:
        if self._commands:
            self._take_effect(clock_s)
        self._expire(clock_s)
        was_drawing = self.car.current_a > 0
        self._signal(clock_s)
        self.car.step(clock_s, self.output_current_a, self.output_phases)
        if self.conductors or not self.car.current_a:
            self._carrying = self.conductors
        if self.car.current_a > 0 and not was_drawing:
            self.starts += 1
        self.op_mode, self.reason_for_no_current = self._mode_and_reason(clock_s)

    def within_schedule(self, clock_s: int) -> bool:
        """Whether the charger's own schedule, if any, allows charging now."""
        if self.spec.schedule is None:
            return True
        begin, end = self.spec.schedule
        now = clock_s // 60 % 1440
        return begin <= now < end if begin < end else now >= begin or now < end

    @property
    def own_limit_a(self) -> float:
        """Lowest of the limits that do not come from the circuit."""
        return min(
            self.spec.max_current_a,
            self.spec.cable_current_a,
            self.dynamic_charger_current_a,
            _NO_LIMIT_A if self.equalizer_a is None else self.equalizer_a,
        )

    @property
    def wants_current(self) -> bool:
        """Whether a car would charge here if the circuit had something left."""
        wants = self.car.plugged_in and not self.car.full and self.authorized and self.enabled
        return wants and self.own_limit_a >= MIN_CURRENT_A

    @property
    def limit_a(self) -> PerPhase:
        """Lowest of all limits on each phase, before the 6 A rule."""
        shared = self.own_limit_a
        circuit, dynamic = self.circuit_max_current_a, self.dynamic_circuit_current_a
        if self.allotted_a is not None:
            circuit = self.allotted_a
        return (
            min(shared, circuit[0], dynamic[0]),
            min(shared, circuit[1], dynamic[1]),
            min(shared, circuit[2], dynamic[2]),
        )

    @property
    def output_phases(self) -> int:
        """Number of phases that are signalled as in use; between two lines of IT it is one."""
        count = len(self.conductors)
        return 1 if self.spec.grid_type in IT_GRIDS and count == 2 else count

    @property
    def car_conductors(self) -> Conductors:
        """The charger's phases that this car uses of those that carry a current."""
        if self.spec.grid_type in IT_GRIDS:
            return self._carrying
        return self._carrying[: self.car.spec.phases]

    def car_phase_current_a(self) -> PerPhase:
        """What the car draws on L1, L2, L3 of the charger."""
        drawn, used = self.car.current_a, self.car_conductors
        return (
            drawn if 0 in used else 0.0,
            drawn if 1 in used else 0.0,
            drawn if 2 in used else 0.0,
        )

    def _queue(
        self, clock_s: int, circuit_a: PerPhase | None, charger_a: float | None, ttl_s: int | None
    ) -> None:
        due_s = clock_s + self._rng.randint(*self.spec.command_delay_s)
        self._commands.append(
            _Command(due_s, circuit_a, charger_a, None if ttl_s is None else clock_s + ttl_s)
        )

    def _take_effect(self, clock_s: int) -> None:
        due = [command for command in self._commands if command.due_s <= clock_s]
        self._commands = [command for command in self._commands if command.due_s > clock_s]
        for command in due:
            if command.circuit_a is not None and not self._ignores(clock_s, command.circuit_a):
                self.dynamic_circuit_current_a = command.circuit_a
                self._circuit_expires_s = command.expires_s
            if command.charger_a is not None:
                self.dynamic_charger_current_a = command.charger_a
                self._charger_expires_s = command.expires_s

    def _expire(self, clock_s: int) -> None:
        if self._circuit_expires_s is not None and clock_s >= self._circuit_expires_s:
            self.dynamic_circuit_current_a = self.spec.offline_max_current_a
            self._circuit_expires_s = None
        if self._charger_expires_s is not None and clock_s >= self._charger_expires_s:
            self.dynamic_charger_current_a, self._charger_expires_s = self.spec.max_current_a, None

    def _ignores(self, clock_s: int, circuit_a: PerPhase) -> bool:
        if not self.spec.ignores_zero_s or max(circuit_a) >= MIN_CURRENT_A:
            return False
        if self._zeros_ignored_until_s is None and self.car.current_a:
            self._zeros_ignored_until_s = clock_s + self.spec.ignores_zero_s
        if self._zeros_ignored_until_s is not None and clock_s < self._zeros_ignored_until_s:
            return True
        self._zeros_ignored_until_s = None
        return False

    def possible_conductors(self) -> tuple[Conductors, ...]:
        """The choices of phases that grid, phase mode and car allow, most phases first."""
        spec = self.spec
        if spec.grid_type == IT1 or (
            spec.grid_type == IT3 and (spec.phase_mode == 1 or self.car.spec.phases < 3)
        ):
            return ((0, 2),)
        if spec.phase_mode == 1 or spec.grid_type in ONE_PHASE_GRIDS:
            return ((0,),)
        if spec.phase_mode == 2 and spec.grid_type == TN3:
            return ((0, 1, 2), (0, 1), (0, 2), (0,))
        return ((0, 1, 2),)

    def _allowed(self) -> tuple[float, Conductors]:
        """The current and the phases that the limits allow; on IT1 every 0 A disrupts."""
        limit_a = self.limit_a
        if self.spec.grid_type == IT1 and min(limit_a) < MIN_CURRENT_A:
            return 0.0, ()
        for conductors in self.possible_conductors():
            allowed_a = min(limit_a[phase] for phase in conductors)
            if allowed_a >= MIN_CURRENT_A:
                stuck = self.stuck_on if self.spec.stuck_phases != "never" else ()
                return allowed_a, stuck or conductors
        return 0.0, ()

    def _signal(self, clock_s: int) -> None:
        allowed_a, conductors = self._allowed()
        allowed = self.authorized and self.enabled and self.within_schedule(clock_s)
        if not self.car.plugged_in or not allowed or not conductors:
            self.output_current_a, self.conductors, self._waiting_until_s = 0.0, (), 0
            if self.spec.stuck_phases == "until_paused":
                self.stuck_on = ()
            return
        paused = self.output_current_a == 0 and clock_s >= self._interrupted_until_s
        if self._conductors_before not in ((), conductors):
            if not paused:
                self._interrupted_until_s = clock_s + self._rng.randint(*self.spec.phase_change_s)
            self.phase_changes += 1
        self._conductors_before = self.stuck_on = conductors
        if clock_s < self._interrupted_until_s:
            self.output_current_a, self.conductors = 0.0, ()
            return
        if self.spec.waits_at_minimum and self.output_current_a == 0:
            if allowed_a >= MIN_CURRENT_A + 1:
                self._waiting_until_s = 0
            elif not self._waiting_until_s:
                self._waiting_until_s = clock_s + _WAIT_AT_MINIMUM_S
            if clock_s < self._waiting_until_s:
                return
            self._waiting_until_s = 0
        self.output_current_a, self.conductors = allowed_a, conductors

    def _mode_and_reason(self, clock_s: int) -> tuple[ChargerMode, Reason]:
        car = self.car
        if not car.plugged_in:
            return ChargerMode.DISCONNECTED, Reason.NO_CAR
        if not self.authorized:
            return ChargerMode.AWAITING_AUTHENTICATION, Reason.AUTHORIZATION_REQUIRED
        if not self.enabled:
            return ChargerMode.AWAITING_START, Reason.DISABLED
        if not self.within_schedule(clock_s):
            return ChargerMode.AWAITING_START, Reason.SCHEDULE
        if car.full:
            return ChargerMode.COMPLETED, Reason.CAR_NOT_CHARGING
        if self.output_current_a == 0 and car.current_a == 0:
            if self.allotted_a is not None and self.wants_current:
                return ChargerMode.AWAITING_START, Reason.LIMITED_BY_LOAD_BALANCING
            circuit_low = self.dynamic_circuit_current_a[0] < MIN_CURRENT_A
            return ChargerMode.AWAITING_START, (
                Reason.CIRCUIT_CURRENT_TOO_LOW if circuit_low else Reason.CHARGER_CURRENT_TOO_LOW
            )
        if car.current_a == 0:
            return ChargerMode.READY_TO_CHARGE, Reason.CAR_NOT_CHARGING
        if self.equalizer_a is not None and self.equalizer_a == self.output_current_a:
            return ChargerMode.CHARGING, Reason.LIMITED_BY_EQUALIZER
        if self.allotted_a is not None and self.allotted_a[0] < self.own_limit_a:
            return ChargerMode.CHARGING, Reason.LIMITED_BY_LOAD_BALANCING
        by_charger = self.dynamic_charger_current_a < self.dynamic_circuit_current_a[0]
        limit = Reason.LIMITED_BY_CHARGER if by_charger else Reason.LIMITED_BY_CIRCUIT
        return ChargerMode.CHARGING, limit
