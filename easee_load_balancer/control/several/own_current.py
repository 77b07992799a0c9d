"""A charger's own current in the place of a circuit's, where several share one."""

from __future__ import annotations

from dataclasses import replace

from easee_load_balancer.control.limits import IT_GRIDS
from easee_load_balancer.measurements import (
    CIRCUIT_CURRENTS_OBSERVED,
    ChargerState,
    GridType,
    PhaseValues,
)


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
