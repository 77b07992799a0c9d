"""Circuits with several chargers: the circuit's current is the ceiling of all, the charger's own
dynamic current the share of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict

from easee_load_balancer.control.limits import IT_GRIDS
from easee_load_balancer.measurements import (
    CIRCUIT_CURRENTS_OBSERVED,
    MIN_CURRENT_A,
    ChargerState,
    GridType,
    PhaseValues,
)

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
        self, allowed_a: int, needed_a: int, shown_a: float | None, now: datetime
    ) -> int | None:
        """What to send now: down at once, up where it is needed or after a while; else None."""
        age = now - self.sent_at
        if allowed_a < self.current_a or age >= RENEW_AFTER or needed_a > self.current_a:
            return allowed_a
        if allowed_a >= self.current_a + _WORTH_A and age >= _RAISE_AFTER:
            return allowed_a
        forgotten = shown_a is not None and shown_a > self.current_a and age >= _SHOWN_AFTER
        return allowed_a if forgotten else None


def due(
    ceilings: Mapping[int, Ceiling],
    circuit: int,
    allowed_a: int,
    needed_a: int,
    shown_a: float | None,
    now: datetime,
) -> int | None:
    """The current in A to send to a shared circuit now; None where nothing is to be sent."""
    allowed_a = allowed_a if allowed_a >= MIN_CURRENT_A else 0
    known = ceilings.get(circuit)
    return allowed_a if known is None else known.next_a(allowed_a, needed_a, shown_a, now)


def as_own_circuit(charger: ChargerState) -> ChargerState:
    """The charger of a shared circuit as if its own current were that of a circuit of its own.

    So the law confirms, renews and repeats the charger's current as it does with a circuit's. A
    car that is plugged in resets it, which shows as a command that was not obeyed.
    """
    l1, *_ = charger.circuit_current_a
    observed_at = dict(charger.observed_at)
    for name in CIRCUIT_CURRENTS_OBSERVED:
        observed_at.pop(name, None)
        if "charger_current_a" in charger.observed_at:
            observed_at[name] = charger.observed_at["charger_current_a"]
    return replace(
        charger,
        circuit_current_a=_on_all(charger, charger.charger_current_a),
        offline_current_a=_on_all(charger, charger.charger_max_current_a),
        charger_current_a=l1,
        observed_at=observed_at,
    )


def _on_all(charger: ChargerState, amps: float | None) -> PhaseValues:
    """The current on the phases that a setpoint of this charger names."""
    one = charger.grid_type == GridType.TN_ONE_PHASE or charger.phase_mode == 1
    if one and charger.grid_type not in IT_GRIDS and amps is not None:
        return (amps, 0.0, 0.0)
    return (amps, amps, amps)
