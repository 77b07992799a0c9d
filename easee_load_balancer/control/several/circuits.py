"""Circuits with several chargers: the circuit's current is the ceiling of all, the charger's own
dynamic current the share of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict

from easee_load_balancer.control.limits import ROUNDING_A
from easee_load_balancer.control.several.cars import Car, Part
from easee_load_balancer.measurements import MIN_CURRENT_A, Setpoint

RENEW_AFTER = timedelta(minutes=25)
_RAISE_AFTER = timedelta(minutes=5)
_WORTH_A = 4
"""A ceiling is raised by less than this only where a car needs it."""
_SHOWN_AFTER = timedelta(seconds=60)


class Ceiling(BaseModel):
    """The last current in A that a circuit has accepted for all of its chargers."""

    model_config = ConfigDict(frozen=True)

    current_a: int
    sent_at: AwareDatetime

    def next_a(
        self, allowed_a: int, needed_a: float, shown_a: float | None, now: datetime
    ) -> int | None:
        """What to send now: down at once, up where it is needed or after a while; else None."""
        age = now - self.sent_at if self.sent_at <= now else timedelta.max  # the clock was set back
        if allowed_a < self.current_a or age >= RENEW_AFTER or needed_a > self.current_a:
            return allowed_a
        if allowed_a >= self.current_a + _WORTH_A and age >= _RAISE_AFTER:
            return allowed_a
        forgotten = shown_a is not None and shown_a > self.current_a and age >= _SHOWN_AFTER
        return allowed_a if forgotten else None


def ceilings_due(
    cars: Sequence[Car],
    rated_a: Mapping[int, float],
    lines_a: Sequence[float],
    setpoints: Sequence[Setpoint | None],
    sent: Mapping[int, Ceiling],
) -> dict[int, int]:
    """The currents in A that have to be sent to shared circuits now.

    `rated_a`: what each of them may carry beside chargers that are left alone; `lines_a`: what the
    main fuse leaves to all other cars. The circuit's current limits those that are left alone too,
    so it has to leave them what they draw.
    """
    due: dict[int, int] = {}
    for circuit, most_a in rated_a.items():
        members = [car for car in cars if car.one.circuit == circuit]
        if all(car.part is Part.LEFT_ALONE for car in members):
            continue
        left_a, needed_a = list(lines_a), 0.0
        for car, setpoint in zip(cars, setpoints, strict=True):
            amps = 0 if setpoint is None else setpoint.current_a
            if car.part is Part.LEFT_ALONE:
                if car in members:
                    drawn_a = car.case.car.metered_a
                    most_a, needed_a = most_a + max(drawn_a), needed_a + max(drawn_a)
                    for line in car.lines:
                        left_a[line] += drawn_a[line]
            elif car in members:
                needed_a += amps
            else:
                for line in car.lines:
                    left_a[line] -= max(amps, car.held_a)
        allowed_a = max(0, int(min(most_a, *left_a) + ROUNDING_A))
        allowed_a = allowed_a if allowed_a >= MIN_CURRENT_A else 0
        shown = [car.inputs.charger.charger_current_a for car in members]
        shown_a = max((amps for amps in shown if amps is not None), default=None)
        known, now = sent.get(circuit), cars[0].inputs.now
        next_a = allowed_a if known is None else known.next_a(allowed_a, needed_a, shown_a, now)
        if next_a is not None:
            due[circuit] = next_a
    return due
