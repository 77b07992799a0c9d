"""The sun that several cars share: what planned ones take of it, what is left to the others."""

from __future__ import annotations

from collections.abc import Sequence

from easee_load_balancer.control.power_estimate import PowerRange
from easee_load_balancer.control.several.cars import Car, Part
from easee_load_balancer.measurements import Setpoint


def shared_sun(cars: Sequence[Car]) -> PowerRange | None:
    """What there is for all cars that take it, with what they draw now; None: unknown."""
    takers = [car for car in cars if car.part in (Part.PLANNED, Part.SHARES)]
    if not takers:
        return None
    if takers[0].case.inputs.inverter.asleep:
        return PowerRange(0.0, 0.0)
    rests_w = []
    for car in takers:
        if car.sun is None:
            return None
        rests_w.append(car.sun.low_w - car.case.car.power.low_w)
    low_w = high_w = min(rests_w)
    for car in cars:
        if car.part > Part.SHARES:
            continue
        draws = car.left_over(car.case.active) if car.part is Part.TAKES else car.draws
        low_w, high_w = low_w + draws.low_w, high_w + draws.high_w
    return PowerRange(low_w, high_w)


def planned_targets(
    cars: Sequence[Car], sun: PowerRange | None
) -> tuple[dict[int, Setpoint], PowerRange | None]:
    """What planned cars should be set to, the most urgent first, and the sun that they leave."""
    targets = {}
    planned = [k for k, car in enumerate(cars) if car.part is Part.PLANNED]
    for k in sorted(planned, key=lambda one: cars[one].turn):
        car, left_w = cars[k], 0.0 if sun is None else max(0.0, sun.middle_w)
        amps = car.case.best_current_a(car.phases, left_w + car.case.inputs.planned_w)
        targets[k] = Setpoint(amps, car.phases)
        if sun is not None:
            sun += -min(left_w, car.from_sun_w(targets[k]))
    return targets, sun
