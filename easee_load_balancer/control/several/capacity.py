"""The main fuse's phases and the circuits, allotted to several cars in whole amperes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from easee_load_balancer.control.limits import ROUNDING_A, unmetered_limit_a
from easee_load_balancer.control.power_limits import peak_leaves_w
from easee_load_balancer.control.several.cars import Car, Part


@dataclass(frozen=True, slots=True)
class Demand:
    """What a car needs: at least `least_a` or nothing, at most `most_a`."""

    key: int
    order: tuple[float, ...]
    """The lowest comes first for its minimum current."""
    rank: tuple[float, ...]
    """The lowest comes first for more than that; equal ones share alike."""
    circuit: int
    lines: tuple[int, ...]
    least_a: int
    most_a: int
    watts_per_a: float = 0.0
    """What an ampere takes of the month's peak, in W; 0: the car may exceed it."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What is available to all cars together: currents in A, and the month's peak in W."""

    lines_a: tuple[float, ...]
    """Below the main fuse, on each phase of the house."""
    circuits_a: Mapping[int, float]
    """On the circuits with several chargers."""
    peak_w: float = math.inf
    """Below the month's peak."""

    @classmethod
    def of(cls, cars: Sequence[Car]) -> Capacity:
        """What the readings leave to the cars; half of the main fuse where the meter is unknown."""
        policy = cars[0].case.inputs.policy
        imports = [car.case.imports_a for car in cars if car.part is not Part.LEFT_ALONE]
        known = next((one for one in imports if one is not None), None)
        usable_a = float(policy.main_fuse_a - policy.fuse_margin_a)
        if known is None or None in imports:
            lines = [float(unmetered_limit_a(policy))] * 3
        else:
            lines = [usable_a - amps for amps in known]
            for car in cars:
                if car.part <= Part.SHARES:
                    for line in car.lines:
                        lines[line] += car.case.car.metered_a[line]
        circuits: dict[int, float] = {}
        for car in cars:
            if car.shares_circuit:
                circuits[car.one.circuit] = min(
                    circuits.get(car.one.circuit, math.inf), _rated_a(car)
                )
        for car in cars:
            if car.shares_circuit and car.part is Part.LEFT_ALONE:
                circuits[car.one.circuit] -= max(car.case.car.metered_a)
        return cls(tuple(lines), circuits, _below_peak_w(cars))

    def allot(self, demands: Iterable[Demand]) -> dict[int, int]:
        """Amperes by key: first each car's minimum in the order of need, then more by rank.

        A car whose minimum does not fit gets nothing.
        """
        left = _Left(list(self.lines_a), dict(self.circuits_a), self.peak_w)
        given: dict[int, int] = {}
        served = []
        for demand in sorted(demands, key=lambda one: one.order):
            fits = demand.least_a <= demand.most_a and left.room_a(demand) >= demand.least_a
            given[demand.key] = demand.least_a if fits else 0
            if fits:
                left.take(demand, demand.least_a)
                served.append(demand)
        self._raise(given, served, left)
        return given

    def raise_further(self, given: dict[int, int], demands: Sequence[Demand]) -> dict[int, int]:
        """The same amperes, and what is left over shared out to those that could take more."""
        left = _Left(list(self.lines_a), dict(self.circuits_a), self.peak_w)
        for demand in demands:
            left.take(demand, given[demand.key])
        more = dict(given)
        self._raise(more, [one for one in demands if given[one.key]], left)
        return more

    @staticmethod
    def _raise(given: dict[int, int], served: Sequence[Demand], left: _Left) -> None:
        if left.has_room(served, given):
            given.update({one.key: one.most_a for one in served})
            return
        for rank in sorted({demand.rank for demand in served}):
            hungry = [one for one in served if one.rank == rank]
            while hungry:
                alike_a = [max(1, math.floor(left.room_a(one) / len(hungry))) for one in hungry]
                for one, part_a in zip(list(hungry), alike_a, strict=True):
                    wanted_a = one.most_a - given[one.key]
                    more_a = min(wanted_a, part_a, math.floor(left.room_a(one)))
                    if more_a < 1:
                        hungry.remove(one)
                        continue
                    given[one.key] += more_a
                    left.take(one, more_a)


@dataclass(slots=True)
class _Left:
    """What is not allotted yet."""

    lines_a: list[float]
    circuits_a: dict[int, float]
    peak_w: float

    def room_a(self, demand: Demand) -> float:
        room_a = min((self.lines_a[line] for line in demand.lines), default=math.inf)
        peak_a = self.peak_w / demand.watts_per_a if demand.watts_per_a else math.inf
        return min(room_a, self.circuits_a.get(demand.circuit, math.inf), peak_a) + ROUNDING_A

    def has_room(self, demands: Sequence[Demand], given: Mapping[int, int]) -> bool:
        """Whether there is enough for the most that all of them could take."""
        lines_a, circuits_a, peak_w = list(self.lines_a), dict(self.circuits_a), self.peak_w
        for one in demands:
            more_a = one.most_a - given[one.key]
            peak_w -= more_a * one.watts_per_a
            for line in one.lines:
                lines_a[line] -= more_a
            if one.circuit in circuits_a:
                circuits_a[one.circuit] -= more_a
        return min([*lines_a, *circuits_a.values(), peak_w]) >= 0

    def take(self, demand: Demand, amps: int) -> None:
        for line in demand.lines:
            self.lines_a[line] -= amps
        self.peak_w -= amps * demand.watts_per_a
        if demand.circuit in self.circuits_a:
            self.circuits_a[demand.circuit] -= amps


def _below_peak_w(cars: Sequence[Car]) -> float:
    """What the month's peak leaves to the cars that may not exceed it."""
    bound = [car for car in cars if car.peak is not None and car.part is not Part.LEFT_ALONE]
    if not bound or bound[0].peak is None:
        return math.inf
    planned_w = [car.case.inputs.grid.grid_w for car in bound if car.case.inputs.grid is not None]
    return peak_leaves_w(
        bound[0].peak,
        bound[0].case.inputs,
        bound[0].case.state,
        sum(car.draws.middle_w for car in bound),
        sum(planned_w) if planned_w else None,
    )


def _rated_a(car: Car) -> float:
    """What the circuit of this charger may carry."""
    amps = [value for value in car.inputs.charger.circuit_max_current_a if value is not None]
    return min(amps, default=float(car.inputs.policy.max_current_a))
