"""What a law misses of the bound in a house without a battery, and why.

    python -m tests.benchmarks.attribution [DAYS_FOLDER]

Each second's loss against the bound without delays goes to one cause, in % of the day's bound.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from easee_load_balancer.simulation.plant.closed_loop import QUICK, Law, run_day
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.simulation.plant.plant import Plant
from tests.benchmarks.days import find_days
from tests.benchmarks.laws import Bound, Evcc, Ours, bound, value_eur
from tests.benchmarks.tables import as_row

CAUSES = {
    "start": "waits for a start, or pauses, where charging pays",
    "switch": "draws nothing yet after a start or a phase change",
    "one phase": "on one phase where three pay more",
    "three phases": "on three phases where one pays more",
    "pause": "charges where a pause is best",
    "late rise": "the right phases, too little current",
    "late fall": "the right phases, too much current",
}
LAWS: dict[str, Callable[[], Law]] = {"ours": Ours, "evcc": Evcc}
_DRAWS_W = 500.0
_ONE_PHASE_W = 3_700.0


@dataclass(slots=True)
class Attribution:
    """Adds up what is lost by cause in EUR; call it every second."""

    best: Bound
    lost_eur: dict[str, float] = field(default_factory=lambda: dict.fromkeys(CAUSES, 0.0))

    def __call__(self, plant: Plant) -> None:
        """Count this second."""
        best_w = float(self.best.car_w[plant.clock_s % 86_400])
        surplus_w = min(plant.pv_w, plant.spec.rated_w) - plant.load_w
        offered_a = plant.charger.dynamic_circuit_current_a
        lost = _worth_eur(best_w, surplus_w) - _worth_eur(plant.car_w, surplus_w)
        self.lost_eur[_cause(plant.car_w, best_w, paused=max(offered_a) < 6)] += lost


def _worth_eur(car_w: float, surplus_w: float) -> float:
    grid_w = min(car_w, max(0.0, car_w - surplus_w))
    return value_eur((car_w - grid_w) / 3_600_000, grid_w / 3_600_000)


def _cause(car_w: float, best_w: float, *, paused: bool) -> str:
    if car_w < _DRAWS_W:
        return "start" if paused else "switch"
    if best_w < _DRAWS_W:
        return "pause"
    if (car_w > _ONE_PHASE_W) != (best_w > _ONE_PHASE_W):
        return "one phase" if car_w < best_w else "three phases"
    return "late rise" if car_w < best_w else "late fall"


def attribute(job: tuple[Day, str]) -> str:
    """Play a law on a day: its line of the table."""
    day, law = job
    best = bound(day)
    attribution = Attribution(best)
    outcome = run_day(LAWS[law](), day, QUICK, each_second=attribution)
    total_eur = best.value_eur
    lost_pct = [100 * attribution.lost_eur[cause] / total_eur for cause in CAUSES]
    earned_pct = 100 * value_eur(outcome.solar_kwh, outcome.grid_kwh) / total_eur
    shown = (f"{pct:.1f}" for pct in (earned_pct, *lost_pct))
    return as_row([day.name, law, *shown])


def main() -> None:
    """Print the table, and what the causes mean."""
    days = find_days(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    print(f"| day | law | earned | {' | '.join(CAUSES)} |")
    print("|---|---|" + "--:|" * (len(CAUSES) + 1))
    with ProcessPoolExecutor() as pool:
        for line in pool.map(attribute, [(day, law) for day in days for law in LAWS]):
            print(line)
    print("\n".join(f"- {cause}: {meaning}" for cause, meaning in CAUSES.items()))


if __name__ == "__main__":
    main()
