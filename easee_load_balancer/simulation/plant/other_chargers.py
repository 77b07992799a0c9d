"""Further charging points of a house, and how chargers share a circuit among themselves."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from easee_load_balancer.measurements import MIN_CURRENT_A
from easee_load_balancer.simulation.plant.car import Car, CarSpec
from easee_load_balancer.simulation.plant.charger import Charger, ChargerSpec
from easee_load_balancer.simulation.plant.grid import IT_GRIDS, PerPhase, power_between_w

if TYPE_CHECKING:
    from easee_load_balancer.simulation.plant.plant import Plant


@dataclass(frozen=True, slots=True)
class OtherSpec:
    """A further charger with its car; chargers with the same number hang on one circuit.

    The house's first charger is on circuit 0. Only TN grids.
    """

    car: CarSpec = field(default_factory=CarSpec)
    charger: ChargerSpec = field(default_factory=ChargerSpec)
    circuit: int = 1
    plugged_in: bool = True


class ChargingPoint(Protocol):
    """A charger with its car, as its cloud sees it."""

    charger: Charger
    car: Car
    reported_car_w: float
    lifetime_kwh: float
    clock_s: int

    @property
    def voltage_v(self) -> PerPhase:
        """Voltage of each of the house's phases."""


class OtherCharger:
    """A further charger of the house with its car."""

    def __init__(self, plant: Plant, spec: OtherSpec, seed: int) -> None:
        if spec.charger.grid_type in IT_GRIDS:
            raise ValueError("several chargers are simulated on TN grids only")
        rng = random.Random(seed)
        self._plant = plant
        self.circuit = spec.circuit
        self.car = Car(spec.car, rng)
        self.charger = Charger(spec.charger, self.car, rng)
        if not spec.plugged_in:
            self.car.unplug()
        self.clock_s = plant.clock_s
        self.car_w = 0.0
        self.reported_car_w = 0.0
        self.lifetime_kwh = 0.0

    @property
    def voltage_v(self) -> PerPhase:
        """Voltage of each of the house's phases."""
        return self._plant.voltage_v

    def step(self, clock_s: int) -> None:
        """Advance charger and car by one second."""
        self.clock_s = clock_s
        self.charger.step(clock_s)
        charger, car = self.charger, self.car
        used = tuple(charger.spec.wiring[phase] for phase in charger.car_conductors)
        self.car_w = power_between_w(
            charger.spec.grid_type, car.current_a, used, self._plant.voltage_v
        )
        if self.car_w or not charger.spec.stale_power:
            self.reported_car_w = self.car_w

    def count(self, kwh_per_w: float) -> None:
        """Add this second's energy."""
        self.lifetime_kwh += self.car_w * kwh_per_w
        self.car.energy_kwh += self.car_w * kwh_per_w

    def line_currents_a(self) -> PerPhase:
        """What the car draws on L1, L2, L3 of the house."""
        wiring, drawn = self.charger.spec.wiring, self.charger.car_phase_current_a()
        lines = [0.0, 0.0, 0.0]
        for phase in range(3):
            lines[wiring[phase]] += drawn[phase]
        return lines[0], lines[1], lines[2]


def share_circuits(points: Sequence[tuple[int, Charger]]) -> None:
    """What each charger is allotted by the master of its circuit, the first one on it.

    Each charger whose car wants to charge gets the minimum in turn, those that charge already
    first; one that finds too little left waits. The rest is shared out equally.
    """
    for circuit in {number for number, _ in points}:
        members = [charger for number, charger in points if number == circuit]
        if len(members) > 1:
            _share(members)


def _share(members: Sequence[Charger]) -> None:
    master = members[0]
    capacity = tuple(
        min(most, dynamic)
        for most, dynamic in zip(
            master.circuit_max_current_a, master.dynamic_circuit_current_a, strict=True
        )
    )
    left_a = max(capacity)
    waiting = [one for one in members if one.wants_current]
    waiting.sort(key=lambda one: one.car.current_a == 0)
    active: dict[int, float] = {}
    for one in waiting:
        if left_a >= MIN_CURRENT_A:
            active[id(one)] = float(MIN_CURRENT_A)
            left_a -= MIN_CURRENT_A
    hungry = [one for one in waiting if id(one) in active]
    while hungry and left_a > 0.01:
        part_a = left_a / len(hungry)
        for one in list(hungry):
            more_a = min(part_a, one.own_limit_a - active[id(one)])
            active[id(one)] += max(0.0, more_a)
            left_a -= max(0.0, more_a)
            if more_a < part_a:
                hungry.remove(one)
    for one in members:
        amps = active.get(id(one), 0.0)
        l1, l2, l3 = (min(amps, most) for most in capacity)
        one.allotted_a = (l1, l2, l3)
