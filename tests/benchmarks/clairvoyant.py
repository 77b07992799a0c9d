"""What a plant allows: the best setpoint at every moment for one who knows everything.

It knows car, phases and loads, keeps the policy's margin to the fuse on the lines that the car
uses, and pays for each start what the car and the policy's delays cost at least. It stays on the
number of phases that turns out better.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.simulation.plant.grid import IT_GRIDS, Conductors
from easee_load_balancer.simulation.plant.plant import Plant
from tests.benchmarks.adversity import Scenario

STEP_S = 10
BIN_S = 300
_REACTION_S = 15
_START_THRESHOLD_S = 60
_WEIGHT = Prices().grid_weight or 0.0


def worth_kwh(car_kwh: float, grid_kwh: float) -> float:
    """Solar energy in the car, less what the energy from the grid costs in terms of it."""
    return car_kwh - grid_kwh - _WEIGHT * grid_kwh


@dataclass(slots=True)
class _Course:
    """One number of phases, from beginning to end."""

    worth_kwh: float = 0.0
    car_kwh: dict[int, float] = field(default_factory=dict)
    """By bins of `BIN_S`."""
    starts_at_s: int | None = None
    met: bool = False
    """Whether this car has been started before."""


class Clairvoyant:
    """Call `look` every `STEP_S` seconds."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._courses = (_Course(), _Course())
        """With the most phases and with the fewest."""

    def look(self, plant: Plant) -> None:
        """Count this step."""
        possible = plant.charger.possible_conductors()
        for course, conductors in zip(self._courses, (possible[0], possible[-1]), strict=True):
            if not plant.car.plugged_in:
                course.starts_at_s, course.met = None, False
                continue
            if plant.car.full:
                continue
            stuck_for_good = plant.charger.spec.stuck_phases == "until_unplugged"
            if stuck_for_good and plant.charger.stuck_on:
                conductors = plant.charger.stuck_on
            worth_w, car_w = self._best(plant, conductors)
            if not car_w:
                course.starts_at_s = None
                continue
            if course.starts_at_s is None:
                course.starts_at_s = plant.clock_s + self._start_s(plant, first=not course.met)
                course.met = True
            if plant.clock_s >= course.starts_at_s:
                hours = STEP_S / 3600
                course.worth_kwh += worth_w / 1000 * hours
                at = plant.clock_s // BIN_S
                course.car_kwh[at] = course.car_kwh.get(at, 0.0) + car_w / 1000 * hours

    @property
    def best_worth_kwh(self) -> float:
        """What is gained with the better number of phases, in kWh of solar energy."""
        return max(course.worth_kwh for course in self._courses)

    @property
    def best_kwh(self) -> dict[int, float]:
        """The energy with the better number of phases by bins of `BIN_S`."""
        if self._scenario.policy.mode == "fast":
            return max((each.car_kwh for each in self._courses), key=lambda kwh: sum(kwh.values()))
        charging = [each for each in self._courses if each.car_kwh]
        return max(charging, key=lambda each: each.worth_kwh).car_kwh if charging else {}

    def _start_s(self, plant: Plant, *, first: bool) -> int:
        scenario, mode = self._scenario, self._scenario.policy.mode
        link = scenario.link
        delay_s = plant.car.spec.start_delay_s[1] + scenario.interval_s + _REACTION_S
        delay_s += link.meter_delay_s + link.read_s
        delay_s += _START_THRESHOLD_S if mode == "solar" else 0
        return delay_s + (scenario.learning_s + link.cloud_delay_s if first else 0)

    def _best(self, plant: Plant, conductors: Conductors) -> tuple[float, float]:
        """Worth and power in W of the best setpoint now."""
        policy, charger = self._scenario.policy, plant.charger
        it = charger.spec.grid_type in IT_GRIDS
        used = conductors if it else conductors[: plant.car.spec.phases]
        output_phases = 1 if it and len(conductors) == 2 else len(conductors)
        if output_phases < plant.car.spec.fewest_phases:
            return 0.0, 0.0
        surplus_w = min(plant.pv_w, plant.spec.rated_w) - plant.load_w
        best = (0.0, 0.0)
        for current_a in range(policy.min_current_a, policy.max_current_a + 1):
            car_a = max(0.0, plant.car.drawn_a(current_a))
            if not self._fits(plant, car_a, used):
                break
            car_w = plant.car_power_w(car_a, used)
            grid_w = max(0.0, car_w - max(0.0, surplus_w))
            worth_w = worth_kwh(car_w, grid_w)
            least = policy.mode == "solar+minimum" and not best[1]
            better = car_w > best[1] if policy.mode == "fast" else worth_w > best[0]
            if least or better:
                best = worth_w, car_w
        return best

    def _fits(self, plant: Plant, car_a: float, used: Conductors) -> bool:
        policy, wiring = self._scenario.policy, plant.charger.spec.wiring
        current_a = plant.lines(car_a, used).current_a
        usable_a = policy.main_fuse_a - policy.fuse_margin_a
        return all(-current_a[wiring[phase]] <= usable_a for phase in used)
