"""Limits of current and phases: policy, charger, circuit, grid, main fuse."""

from __future__ import annotations

import math
from collections.abc import Sequence

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import Phases
from easee_load_balancer.measurements import ChargerState, InverterReading

TN_THREE_PHASES = 1
"""Grid type on which a charger can change between one and three phases."""
ONE_PHASE_GRIDS = (3, 5)


def possible_phases(charger: ChargerState, policy: Policy) -> tuple[Phases, ...]:
    """Numbers of phases that charger, grid and policy allow, fewest first."""
    if charger.grid_type in ONE_PHASE_GRIDS or charger.phase_mode == 1:
        return (1,)
    if charger.grid_type != TN_THREE_PHASES or charger.phase_mode != 2:
        return (3,)
    wanted: dict[str, tuple[Phases, ...]] = {"auto": (1, 3), "1": (1,), "3": (3,)}
    return wanted[policy.phases]


def lowest_limit(
    charger: ChargerState,
    policy: Policy,
    external_limit_a: tuple[float, float, float] | None,
    phases: int,
) -> tuple[int, str]:
    """The lowest fixed limit in A on so many phases, and who sets it."""
    limits = [
        (policy.max_current_a, "the policy"),
        (charger.charger_max_current_a, "the charger"),
        (charger.charger_current_a, "the Easee app or another controller"),
        *((amps, "the circuit") for amps in charger.circuit_max_current_a[:phases]),
        *(
            (amps, "another controller of the circuit")
            for amps in (external_limit_a or ())[:phases]
        ),
    ]
    return min((int(amps), who) for amps, who in limits if amps is not None)


def unmetered_limit_a(policy: Policy) -> int:
    """Current that the car may take while the house's consumption is unknown: half the fuse."""
    return max(0, policy.main_fuse_a - policy.fuse_margin_a) // 2


def phase_imports_a(inverter: InverterReading, volts: float) -> list[float] | None:
    """Import in A on each phase of the house; None where one is unknown."""
    imports: list[float] = []
    for phase in range(inverter.meter_phases or 3):
        amps = inverter.grid_current_phase_a[phase]
        power_w = inverter.grid_export_phase_w[phase]
        if amps is None and power_w is not None:
            amps = power_w / (inverter.grid_voltage_v[phase] or volts)
        if amps is None:
            return None
        imports.append(-amps)
    return imports


def fuse_headroom(
    policy: Policy, imports_a: Sequence[float] | None, car_a: float
) -> tuple[int, str]:
    """Current in A that the main fuse leaves to the car, and the numbers.

    Whichever phases the car is connected to, the worst phase counts as one of them. `car_a` is
    what the car draws per phase.
    """
    if imports_a is None:
        half_a = unmetered_limit_a(policy)
        return half_a, f"meter unknown: half of the main fuse, {half_a} A"
    worst_a = max(imports_a)
    limit_a = math.floor(policy.main_fuse_a - policy.fuse_margin_a - worst_a + car_a)
    where = f"L{imports_a.index(worst_a) + 1} imports {worst_a:.0f} A"
    return max(0, limit_a), f"main fuse {policy.main_fuse_a} A: {where}"
