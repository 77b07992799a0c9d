"""Limits of current and phases: policy, charger, circuit, grid, main fuse."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import ControllerState, Phases
from easee_load_balancer.measurements import (
    ChargerState,
    GridType,
    InverterReading,
    plausible_voltage_v,
)

IT_GRIDS = (GridType.IT_THREE_PHASES, GridType.IT_ONE_PHASE)
"""Grids without neutral: current returns on another line, so no line in use may be set to 0 A."""
ROUNDING_A = 1e-6
"""Keeps a current that is a whole number from being rounded down."""
_POWER_DISAGREES_W = 700.0
"""The total imports as much while the phases together export: their currents have no sign."""


def possible_phases(
    charger: ChargerState, policy: Policy, state: ControllerState
) -> tuple[Phases, ...]:
    """Numbers of phases that charger, grid, policy and car allow, fewest first."""
    if charger.grid_type in IT_GRIDS:
        return (3,)
    if charger.grid_type == GridType.TN_ONE_PHASE or charger.phase_mode == 1:
        return (1,)
    if charger.grid_type != GridType.TN_THREE_PHASES or charger.phase_mode != 2:
        return (3,)
    accepted = tuple(phases for phases in policy.phase_counts if phases != state.car.refused)
    return accepted or policy.phase_counts


def lowest_limit(
    charger: ChargerState,
    policy: Policy,
    external_limit_a: tuple[float, float, float] | None,
    phases: int,
) -> tuple[int, str]:
    """The lowest fixed limit in A on that many phases, and who sets it."""
    external = (external_limit_a or ())[:phases]
    limits = [
        (policy.max_current_a, "the policy"),
        (charger.charger_max_current_a, "the charger"),
        (charger.charger_current_a, "the Easee app or another controller"),
        *((amps, "the circuit") for amps in charger.circuit_max_current_a[:phases]),
        *((amps, "another controller of the circuit") for amps in external),
    ]
    return min((int(amps), who) for amps, who in limits if amps is not None)


def unmetered_limit_a(policy: Policy) -> int:
    """Current that the car may take while the house's consumption is unknown: half the fuse."""
    return max(0, policy.main_fuse_a - policy.fuse_margin_a) // 2


def phase_imports_a(
    inverter: InverterReading, volts: float, grid_type: int | None
) -> list[float] | None:
    """Import in A on each phase of the house; None where one is unknown.

    The worse of measured current and measured power counts: some meters give currents without a
    sign. On an IT grid the power of a phase says nothing about its current.
    """
    imports: list[float] = []
    unsigned = _currents_lack_sign(inverter, volts)
    for phase in range(inverter.meter_phases or 3):
        amps = inverter.grid_current_phase_a[phase]
        power_w = inverter.grid_export_phase_w[phase]
        known = [] if amps is None else [abs(amps) if unsigned else -amps]
        if power_w is not None and grid_type not in IT_GRIDS:
            phase_v = plausible_voltage_v(inverter.grid_voltage_v[phase])
            known.append(-power_w / (phase_v or volts))
        if not known:
            return None
        imports.append(max(known))
    return imports


def fuse_headroom(
    policy: Policy,
    imports_a: Sequence[float] | None,
    car_a: Sequence[float],
    car_lines: Iterable[int],
) -> tuple[int, str]:
    """Current in A that the main fuse leaves to the car, and the numbers.

    Of the phases that the car uses the worst decides. `car_a` is what the car draws on each phase
    of the house, if it uses that.
    """
    if imports_a is None:
        half_a = unmetered_limit_a(policy)
        return half_a, f"meter unknown: half of the main fuse, {half_a} A"
    line = max(car_lines, key=lambda phase: imports_a[phase] - car_a[phase])
    house_a = imports_a[line] - car_a[line]
    limit_a = math.floor(policy.main_fuse_a - policy.fuse_margin_a - house_a + ROUNDING_A)
    where = f"L{line + 1} imports {imports_a[line]:.0f} A"
    return max(0, limit_a), f"main fuse {policy.main_fuse_a} A: {where}"


def _currents_lack_sign(inverter: InverterReading, volts: float) -> bool:
    """Whether all currents look like export while the house as a whole imports."""
    amps = [value for value in inverter.grid_current_phase_a if value is not None]
    if not amps or min(amps) < 0 or inverter.grid_export_w is None:
        return False
    return inverter.grid_export_w < -_POWER_DISAGREES_W < 0 < sum(amps) * volts
