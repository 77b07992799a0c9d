"""Two and three cars on every benchmark day: who got what, and how much of the bound.

python -m tests.benchmarks.several [DAYS_FOLDER] [--out FOLDER]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from pathlib import Path

from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.peak import PeakLimit
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.several.cars import OneOfSeveral
from easee_load_balancer.control.several.controller import SharedState, decide_together
from easee_load_balancer.control.state import TIME_TO_LIVE, ControllerState
from easee_load_balancer.measurements import ChargerState, InverterReading, Setpoint
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.charger import ChargerSpec
from easee_load_balancer.simulation.plant.closed_loop import QUICK, SLOW, Link
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.simulation.plant.other_chargers import OtherSpec
from easee_load_balancer.simulation.plant.plant import HouseSpec
from easee_load_balancer.simulation.plant.several_loop import (
    Commands,
    SeveralOutcome,
    run_several,
)
from tests.benchmarks.days import find_days
from tests.benchmarks.laws import GAP_A, Bound, bound, value_eur
from tests.benchmarks.tables import as_row
from tests.support.paths import PROJECT

_ENDLESS_KWH = 1000.0
_DAWN_S, _DUSK_S = 5 * 3600, 22 * 3600


@dataclass(frozen=True, slots=True)
class Home:
    """Chargers with their circuits and priorities; the first is on circuit 0."""

    name: str
    circuits: tuple[int, ...]
    priorities: tuple[int, ...]
    circuit_a: float = 16.0
    main_fuse_a: int = 25
    modes: tuple[str, ...] = ()
    peak_w: float | None = None
    """What no hour's mean import should exceed."""

    def spec(self) -> HouseSpec:
        """The house with cars that are never full."""
        charger = ChargerSpec(circuit_max_current_a=(self.circuit_a,) * 3)
        car = CarSpec(energy_needed_kwh=_ENDLESS_KWH)
        others = tuple(OtherSpec(car, charger, circuit) for circuit in self.circuits[1:])
        return HouseSpec(
            battery=None,
            car=car,
            charger=charger,
            others=others,
            main_fuse_a=self.main_fuse_a,
        )

    def shares(self, k: int) -> bool:
        """Whether the charger shares its circuit."""
        return self.circuits.count(self.circuits[k]) > 1


HOMES = (
    Home("two, own circuits, equal", (0, 1), (1, 1)),
    Home("two, own circuits, by priority", (0, 1), (1, 2)),
    Home("two on one circuit, equal", (0, 0), (1, 1), circuit_a=20.0),
    Home("two on 10 A, equal", (0, 0), (1, 1), circuit_a=10.0),
    Home("three, two of them on one circuit, equal", (0, 1, 1), (1, 1, 1), circuit_a=20.0),
    Home("two, one of them fast, fuse 16 A", (0, 1), (1, 2), 16.0, 16, ("solar", "fast")),
    Home("three, own circuits, by priority", (0, 1, 2), (1, 2, 3)),
    Home("two, own circuits, equal, fuse 12 A", (0, 1), (1, 1), main_fuse_a=12),
    Home("two, both fast, fuse 35 A, peak 8 kW", (0, 1), (1, 1), 16.0, 35, ("fast",) * 2, 8000.0),
)


@dataclass(slots=True)
class OursForSeveral:
    """`decide_together`, as the flow calls it."""

    home: Home
    interval_s: int = 10
    time_to_live_s: int | None = int(TIME_TO_LIVE.total_seconds())
    states: list[ControllerState] = field(default_factory=list)
    shared: SharedState = field(default_factory=SharedState)
    reasons: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.states = [ControllerState() for _ in self.home.circuits]

    def cycle(
        self, now: datetime, inverter: InverterReading, chargers: Sequence[ChargerState]
    ) -> Commands:
        """What to send now."""
        home = self.home
        peak = None if home.peak_w is None else PeakLimit(home.peak_w, 60)
        ones = [
            OneOfSeveral(
                name=f"car {k + 1}",
                priority=home.priorities[k],
                circuit=home.circuits[k],
                inputs=CycleInputs(now, inverter, charger, self._policy(k), peak=peak),
                state=self.states[k],
            )
            for k, charger in enumerate(chargers)
        ]
        together = decide_together(ones, self.shared)
        self.shared = together.state
        for circuit, amps in together.ceilings.items():
            self.shared = self.shared.sent(circuit, amps, now)
        self.reasons = [decision.reason for decision in together.decisions]
        sent: dict[int, Setpoint] = {}
        for k, decision in enumerate(together.decisions):
            self.states[k] = decision.state
            if decision.push and decision.setpoint is not None:
                self.states[k] = decision.pushed(now).state
                sent[k] = decision.setpoint
        return Commands(sent, together.ceilings)

    def _policy(self, k: int) -> Policy:
        modes = self.home.modes or ("solar",) * len(self.home.circuits)
        return Policy.model_validate({"mode": modes[k], "main_fuse_a": self.home.main_fuse_a})


def best(home: Home, day: Day) -> Bound:
    """The best steps of all cars at every second, without any delay.

    Priorities do not bind it: they cost what they cost.
    """
    return bound(day, _steps_w(home))


def _steps_w(home: Home) -> set[float]:
    """What all cars together can draw; on a shared circuit on three phases only."""
    sums: set[float] = {0.0}
    for circuit in sorted(set(home.circuits)):
        members = [k for k, own in enumerate(home.circuits) if own == circuit]
        most_a = int(home.circuit_a)
        choices = [(0, 0)] + [
            (amps, phases)
            for phases in ((3,) if len(members) > 1 else (1, 3))
            for amps in range(6, min(16, most_a) + 1)
        ]
        of_circuit = {
            round(sum((amps - GAP_A) * phases * 230.0 for amps, phases in each if amps), 1)
            for each in product(choices, repeat=len(members))
            if sum(amps for amps, _ in each) <= most_a
        }
        sums = {one + other for one in sums for other in of_circuit}
    return sums


@dataclass(frozen=True, slots=True)
class Job:
    """One home on one day."""

    home: Home
    day: Day
    link: Link
    interval_s: int


def run(job: Job) -> tuple[SeveralOutcome, Bound]:
    """Play a job; at the top of the module, so that another process can."""
    law = OursForSeveral(job.home, job.interval_s)
    spec = job.home.spec()
    outcome = run_several(law, job.day, spec, job.link, since_s=_DAWN_S, until_s=_DUSK_S)
    return outcome, best(job.home, job.day)


HEAD = (
    "| home | link | of the bound | solar of the bound's | solar kWh | grid kWh | each car kWh "
    "| starts | phase changes | writes a day, in the busiest hour | s above fuse, circuit "
    "| highest: fuse A, circuit %, hour kW |"
)


def row(job: Job, results: Sequence[tuple[SeveralOutcome, Bound]]) -> str:
    """A line of the table: sums over days, the highest number of writes."""
    outcomes = [outcome for outcome, _ in results]
    best_eur = sum(each.value_eur for _, each in results)
    earned = sum(value_eur(one.solar_kwh, one.grid_kwh) for one in outcomes)
    solar = sum(one.solar_kwh for one in outcomes)
    cars = [sum(kwh) for kwh in zip(*(one.cars_kwh for one in outcomes), strict=True)]
    cells = (
        job.home.name,
        f"{job.link.name}, {job.interval_s} s",
        f"{100 * earned / best_eur:.1f} %",
        f"{100 * solar / sum(each.solar_kwh for _, each in results):.1f} %",
        f"{solar:.1f}",
        f"{sum(one.grid_kwh for one in outcomes):.1f}",
        " + ".join(f"{kwh:.1f}" for kwh in cars),
        sum(sum(one.starts) for one in outcomes),
        sum(sum(one.phase_changes) for one in outcomes),
        f"{max(one.writes for one in outcomes)}, {max(one.most_writes_h for one in outcomes)}",
        f"{sum(one.over_fuse_s for one in outcomes)}, "
        f"{sum(one.over_circuit_s for one in outcomes)}",
        f"{max(one.highest_fuse_a for one in outcomes):.1f} of {job.home.main_fuse_a}, "
        f"{100 * max(one.highest_circuit_share for one in outcomes):.0f}, "
        f"{max(one.highest_hour_w for one in outcomes) / 1000:.2f}",
    )
    return as_row(cells)


def main() -> None:
    """Run everything, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("days", nargs="?", type=Path, help="folder with CSV files")
    parser.add_argument("--out", type=Path, default=PROJECT / "build" / "benchmark")
    parser.add_argument("--homes", type=int, nargs="*", help="numbers of homes, all by default")
    parser.add_argument("--link", choices=("quick", "slow"), help="only that link")
    options = parser.parse_args()
    days = find_days(options.days)
    homes = HOMES if not options.homes else [HOMES[number] for number in options.homes]
    links = {"quick": (QUICK, 10), "slow": (SLOW, 30)}
    links = {name: links[name] for name in links if options.link in (None, name)}
    groups = [(home, link, every) for home in homes for link, every in links.values()]
    jobs = [Job(home, day, link, every) for home, link, every in groups for day in days]
    with ProcessPoolExecutor() as pool:
        results = dict(zip(jobs, pool.map(run, jobs), strict=True))
    lines = [f"# Several cars, {len(days)} days\n", HEAD, "|---|---|" + "--:|" * 10]
    for home, link, every in groups:
        same = [results[Job(home, day, link, every)] for day in days]
        lines.append(row(Job(home, days[0], link, every), same))
    text = "\n".join(lines) + "\n"
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "several.md").write_text(text)


if __name__ == "__main__":
    main()
