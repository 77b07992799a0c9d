"""A meter that counts each phase for itself: surplus on another phase is not the car's."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.measurements import ChargerState, InverterReading, Setpoint
from tests.support.control_readings import NOW, charger, inverter, told, with_battery
from tests.support.small_house import play

ON_L1 = {0: 0}
ON_L2 = {0: 1}


def by_phase(reading: InverterReading, *exports_w: float) -> InverterReading:
    l1, l2, l3 = exports_w
    return replace(reading, grid_export_w=sum(exports_w), grid_export_phase_w=(l1, l2, l3))


UNEVEN = by_phase(inverter(), -500.0, 2500.0, 2500.0)
"""A load on L1; 4.5 kW in all."""
CHARGING = by_phase(with_battery(0, 3000, 50), -500.0, 250.0, 250.0)
"""The battery takes 3 kW; the inverter could feed 1 kW of that into each phase."""


@pytest.mark.parametrize(
    ("nets", "reading", "state", "setpoint"),
    [
        (True, UNEVEN, {"wiring": ON_L1}, Setpoint(16, 1)),
        (False, UNEVEN, {"wiring": ON_L1}, Setpoint(0, 1)),
        (False, UNEVEN, {}, Setpoint(0, 1)),
        (False, UNEVEN, {"wiring": ON_L2}, Setpoint(11, 1)),
        (True, CHARGING, {"wiring": ON_L1}, Setpoint(13, 1)),
        (False, CHARGING, {"wiring": ON_L1}, Setpoint(0, 1)),
        (False, by_phase(CHARGING, 800.0, 0.0, 0.0), {"wiring": ON_L1}, Setpoint(8, 1)),
    ],
    ids=[
        "netted: all of it",
        "on L1 there is none",
        "the first phase until it is known",
        "on L2 there are 2.5 kW",
        "netted: what the battery takes is the car's",
        "1 kW of it reaches L1, whose load takes half",
        "with 0.8 kW exported on L1 it is enough",
    ],
)
def test_a_start_on_one_phase(
    nets: bool, reading: InverterReading, state: dict[str, Any], setpoint: Setpoint
) -> None:
    def house(at: datetime, _: Setpoint) -> tuple[InverterReading, ChargerState]:
        return replace(reading, taken_at=at), charger(0.0, taken_at=at)

    policy = Policy(phases="1", meter_nets_phases=nets)
    cycles = play(house, 5, told(0, 1, **state), policy, step_s=10)
    started = next((cycle for cycle in cycles if cycle.current_a), cycles[-1])
    assert started.decision.setpoint == setpoint
    assert (", by phase " in started.decision.reason) is not nets


@pytest.mark.parametrize(
    ("nets", "current_a"), [(True, 11), (False, 7)], ids=["netted", "phase by phase"]
)
def test_a_one_phase_car_takes_what_its_phase_has(nets: bool, current_a: int) -> None:
    """On L1 it imports 0.65 kW while L2 and L3 export 0.4 kW each."""
    reading = by_phase(inverter(), -650.0, 400.0, 400.0)
    policy = Policy(phases="1", meter_nets_phases=nets)
    state = told(10, 1, wiring=ON_L1, accumulated_step_benefit_wh=50.0, drew=True)
    shown = charger(9.7, 1, car_current_a=(9.7, 0.0, 0.0))
    decision = decide(CycleInputs(NOW, reading, shown, policy), state)
    assert decision.setpoint == Setpoint(current_a, 1)


def test_each_phase_of_a_three_phase_car_counts_for_itself() -> None:
    """9.7 A on each; L1 imports 1.2 kW, L2 and L3 export 0.6 kW each, enough for 12.3 A.

    Of another ampere two thirds are solar then, which pays; netted, none of it is.
    """
    reading = by_phase(inverter(), -1200.0, 600.0, 600.0)
    state = told(10, 3, accumulated_step_benefit_wh=50.0, drew=True)
    for nets, current_a in ((True, 10), (False, 12)):
        policy = Policy(meter_nets_phases=nets)
        decision = decide(CycleInputs(NOW, reading, charger(9.7), policy), state)
        assert decision.setpoint == Setpoint(current_a)
