"""The charger's contactor and pilot signal, and the car behind it, in one-second steps."""

from __future__ import annotations

import random
from dataclasses import dataclass

from easee_load_balancer.measurements import MIN_CURRENT_A, ChargerMode
from easee_load_balancer.measurements import ReasonForNoCurrent as Reason

PerPhase = tuple[float, float, float]

_NO_LIMIT_A = 40.0
_WAIT_AT_MINIMUM_S = 300


@dataclass(frozen=True, slots=True)
class CarSpec:
    """A car: phases and maximum of its on-board charger, and the energy until it is full."""

    phases: int = 3
    max_current_a: float = 16.0
    energy_needed_kwh: float = 60.0
    start_delay_s: tuple[int, int] = (10, 60)
    ramp_a_per_s: float = 1.0
    gap_a: float = 0.3
    step_a: float = 0.0
    """Cars with a coarse on-board charger draw multiples of this; 0 = any current."""


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
    """1 TN three-phase, 3 TN one-phase, 4 IT three-phase, 5 IT one-phase."""
    authorization_required: bool = False
    schedule: tuple[int, int] | None = None
    """The charger's own schedule: charging allowed between these minutes of the day."""
    waits_at_minimum: bool = False
    """Newer firmware waits five minutes when charging starts at 6 A."""
    command_delay_s: tuple[int, int] = (1, 3)
    phase_change_s: tuple[int, int] = (8, 40)


class Car:
    """The car, which draws part of the offered current."""

    def __init__(self, spec: CarSpec, rng: random.Random) -> None:
        self.spec = spec
        self.plugged_in = True
        self.current_a = 0.0
        self.energy_kwh = 0.0
        self._rng = rng
        self._starts_at_s: int | None = None

    @property
    def full(self) -> bool:
        return self.energy_kwh >= self.spec.energy_needed_kwh

    def plug_in(self) -> None:
        """Arrive with an empty battery."""
        self.plugged_in, self.energy_kwh, self._starts_at_s = True, 0.0, None

    def unplug(self) -> None:
        self.plugged_in, self.current_a, self._starts_at_s = False, 0.0, None

    def step(self, clock_s: int, offered_a: float) -> None:
        if not self.plugged_in or self.full or offered_a < MIN_CURRENT_A:
            self.current_a, self._starts_at_s = 0.0, None
            return
        if self._starts_at_s is None:
            self._starts_at_s = clock_s + self._rng.randint(*self.spec.start_delay_s)
        if clock_s < self._starts_at_s:
            return
        wanted_a = min(offered_a - self.spec.gap_a, self.spec.max_current_a)
        if self.spec.step_a:
            wanted_a = wanted_a // self.spec.step_a * self.spec.step_a
        self.current_a = min(wanted_a, self.current_a + self.spec.ramp_a_per_s)


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
        self.dynamic_circuit_current_a: PerPhase = (_NO_LIMIT_A,) * 3
        self.dynamic_charger_current_a = spec.max_current_a
        self.output_current_a = 0.0
        self.output_phases = 0
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
        self._phases_before = 0

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
        self.car.step(clock_s, self.output_current_a)
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
    def limit_a(self) -> PerPhase:
        """Lowest of all limits on each phase, before the 6 A rule."""
        shared = min(
            self.spec.max_current_a,
            self.spec.cable_current_a,
            self.dynamic_charger_current_a,
            _NO_LIMIT_A if self.equalizer_a is None else self.equalizer_a,
        )
        circuit, dynamic = self.circuit_max_current_a, self.dynamic_circuit_current_a
        return (
            min(shared, circuit[0], dynamic[0]),
            min(shared, circuit[1], dynamic[1]),
            min(shared, circuit[2], dynamic[2]),
        )

    def car_phase_current_a(self) -> PerPhase:
        """What the car draws on L1, L2, L3."""
        drawn, phases = self.car.current_a, min(self.output_phases, self.car.spec.phases)
        return (drawn, drawn if phases >= 2 else 0.0, drawn if phases >= 3 else 0.0)

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
            if command.circuit_a is not None:
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

    def _allowed(self) -> tuple[float, int]:
        """The current and the number of phases that the limits allow."""
        l1, l2, l3 = self.limit_a
        three = min(l1, l2, l3)
        one_phase_only = self.spec.phase_mode == 1 or self.spec.grid_type in (3, 5)
        if one_phase_only:
            return (l1, 1) if l1 >= MIN_CURRENT_A else (0.0, 0)
        if three >= MIN_CURRENT_A:
            return three, 3
        can_switch = self.spec.phase_mode == 2 and self.spec.grid_type == 1
        if can_switch and l1 >= MIN_CURRENT_A:
            return l1, 1
        return 0.0, 0

    def _signal(self, clock_s: int) -> None:
        allowed_a, phases = self._allowed()
        allowed = self.authorized and self.enabled and self.within_schedule(clock_s)
        if not self.car.plugged_in or not allowed or not phases:
            self.output_current_a, self.output_phases, self._waiting_until_s = 0.0, 0, 0
            return
        paused = self.output_current_a == 0 and clock_s >= self._interrupted_until_s
        if self._phases_before not in (0, phases) and not paused:
            self._interrupted_until_s = clock_s + self._rng.randint(*self.spec.phase_change_s)
            self.phase_changes += 1
        elif self._phases_before not in (0, phases):
            self.phase_changes += 1
        self._phases_before = phases
        if clock_s < self._interrupted_until_s:
            self.output_current_a, self.output_phases = 0.0, 0
            return
        if self.spec.waits_at_minimum and self.output_current_a == 0:
            if allowed_a >= MIN_CURRENT_A + 1:
                self._waiting_until_s = 0
            elif not self._waiting_until_s:
                self._waiting_until_s = clock_s + _WAIT_AT_MINIMUM_S
            if clock_s < self._waiting_until_s:
                return
            self._waiting_until_s = 0
        self.output_current_a, self.output_phases = allowed_a, phases

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
        if self.output_current_a == 0:
            circuit_low = self.dynamic_circuit_current_a[0] < MIN_CURRENT_A
            return ChargerMode.AWAITING_START, (
                Reason.CIRCUIT_CURRENT_TOO_LOW if circuit_low else Reason.CHARGER_CURRENT_TOO_LOW
            )
        if car.current_a == 0:
            return ChargerMode.READY_TO_CHARGE, Reason.CAR_NOT_CHARGING
        if self.equalizer_a is not None and self.equalizer_a == self.output_current_a:
            return ChargerMode.CHARGING, Reason.LIMITED_BY_EQUALIZER
        by_charger = self.dynamic_charger_current_a < self.dynamic_circuit_current_a[0]
        limit = Reason.LIMITED_BY_CHARGER if by_charger else Reason.LIMITED_BY_CIRCUIT
        return ChargerMode.CHARGING, limit
