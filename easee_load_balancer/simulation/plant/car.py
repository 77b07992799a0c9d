"""The car: what it draws of the current that the charger offers, in one-second steps."""

from __future__ import annotations

import random
from dataclasses import dataclass

from easee_load_balancer.measurements import MIN_CURRENT_A

_TAPER_END_A = 2.0
_WOBBLE_S = (20, 45)
_NEVER_S = 10**9


@dataclass(frozen=True, slots=True)
class CarSpec:
    """A car: phases and maximum of its on-board charger, the energy until it is full, and habits.

    The defaults are a well-behaved three-phase car.
    """

    phases: int = 3
    max_current_a: float = 16.0
    energy_needed_kwh: float = 60.0
    start_delay_s: tuple[int, int] = (10, 60)
    ramp_a_per_s: float = 1.0
    gap_a: float = 0.3
    step_a: float = 0.0
    """Cars with a coarse on-board charger draw multiples of this; 0 = any current."""
    taper_kwh: float = 0.0
    """While less than this is missing, the current falls from the maximum to 2 A; 0 = never."""
    fewest_phases: int = 1
    """A car that never starts on fewer phases."""
    refused_offers: int = 0
    """A sleeping car ignores this many offers after plugging in; each pause makes a new offer."""
    ignores_pause_s: int = 0
    """How long it keeps drawing after the offer has ended."""
    wobble_a: float = 0.0
    """The draw moves down and up by this every 20 to 45 s."""


class Car:
    """The car, which draws part of the offered current."""

    def __init__(self, spec: CarSpec, rng: random.Random) -> None:
        self.spec = spec
        self.plugged_in = True
        self.current_a = 0.0
        self.energy_kwh = 0.0
        self._rng = rng
        self._starts_at_s: int | None = None
        self._offers = 0
        self._obeys_pause_at_s: int | None = None
        self._wobbles_at_s = 0
        self._low = False

    @property
    def full(self) -> bool:
        return self.energy_kwh >= self.spec.energy_needed_kwh

    @property
    def max_current_a(self) -> float:
        """What the car would take now, whatever is offered."""
        spec = self.spec
        missing_kwh = spec.energy_needed_kwh - self.energy_kwh
        if missing_kwh >= spec.taper_kwh:
            return spec.max_current_a
        span_a = spec.max_current_a - _TAPER_END_A
        return _TAPER_END_A + span_a * max(0.0, missing_kwh) / spec.taper_kwh

    def drawn_a(self, offered_a: float) -> float:
        """What the car draws of an offer once it has settled."""
        wanted_a = min(offered_a - self.spec.gap_a, self.max_current_a)
        if self.spec.step_a:
            wanted_a = wanted_a // self.spec.step_a * self.spec.step_a
        return wanted_a

    def plug_in(self) -> None:
        """Arrive with an empty battery."""
        self.plugged_in, self.energy_kwh, self._starts_at_s = True, 0.0, None
        self._offers, self._obeys_pause_at_s = 0, None

    def unplug(self) -> None:
        self.plugged_in, self.current_a, self._starts_at_s = False, 0.0, None

    def step(self, clock_s: int, offered_a: float, phases: int = 3) -> None:
        """Follow an offer on that many phases."""
        offered = offered_a >= MIN_CURRENT_A
        if self.plugged_in and not self.full and not offered and self._ignores_pause(clock_s):
            return
        if offered:
            self._obeys_pause_at_s = None
        too_few = phases < self.spec.fewest_phases
        if not self.plugged_in or self.full or not offered or too_few:
            self.current_a, self._starts_at_s = 0.0, None
            return
        if self._starts_at_s is None:
            self._offers += 1
            refuses = self._offers <= self.spec.refused_offers
            delay_s = _NEVER_S if refuses else self._rng.randint(*self.spec.start_delay_s)
            self._starts_at_s = clock_s + delay_s
        if clock_s < self._starts_at_s:
            return
        wanted_a = self.drawn_a(offered_a) - self._wobble(clock_s)
        self.current_a = min(wanted_a, self.current_a + self.spec.ramp_a_per_s)

    def _ignores_pause(self, clock_s: int) -> bool:
        if not self.spec.ignores_pause_s or not self.current_a:
            return False
        if self._obeys_pause_at_s is None:
            self._obeys_pause_at_s = clock_s + self.spec.ignores_pause_s
        return clock_s < self._obeys_pause_at_s

    def _wobble(self, clock_s: int) -> float:
        if not self.spec.wobble_a:
            return 0.0
        if clock_s >= self._wobbles_at_s:
            self._wobbles_at_s = clock_s + self._rng.randint(*_WOBBLE_S)
            self._low = not self._low
        return self.spec.wobble_a if self._low else 0.0
