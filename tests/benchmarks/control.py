"""The control law against the seed's, evcc's and the bound: a table, and a picture of a day each.

    python tests/benchmarks/control.py [DAYS_FOLDER] [--out FOLDER]

The folder holds days as CSV files `time,pv_w,load_w`; default is ../shared/data/days beside the
project, else the built-in days. Table and pictures go to FOLDER (default build/benchmark).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import matplotlib

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.simulation.plant.closed_loop import (
    QUICK,
    SLOW,
    Law,
    Link,
    Outcome,
    run_day,
)
from easee_load_balancer.simulation.plant.day import BUILT_IN_DAYS, Day, load_day
from easee_load_balancer.simulation.plant.plant import BatterySpec
from tests.benchmarks.laws import Bound, Evcc, Ours, Seed, bound, value_eur

matplotlib.use("Agg")
from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parents[2]
LAWS: dict[str, Callable[[], Law]] = {
    "ours, 10 s": Ours,
    "ours, 30 s": partial(Ours, interval_s=30),
    "ours, never import": lambda: Ours(Policy(export_margin_w=0)),
    "evcc": Evcc,
    "seed": Seed,
}
BATTERY_LAWS: dict[str, Callable[[], Law]] = {
    "ours, car first": Ours,
    "ours, battery to 80 %": lambda: Ours(Policy(battery_first_until_pct=80)),
    "ours, seed's rules": lambda: Ours(Policy(battery_first_until_pct=80, battery_support_w=500)),
    "evcc, car first": Evcc,
    "evcc, battery to 80 %": partial(Evcc, priority_soc_pct=80),
    "seed": Seed,
}
HEAD = (
    "| dongle, cloud | law | of the bound | solar kWh | grid kWh | battery kWh | starts "
    "| phase changes | API writes | min above fuse | SoC highest, at midnight |"
)
RULE = "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"


@dataclass(frozen=True, slots=True)
class Job:
    """One law on one day."""

    day: Day
    link: Link
    law: str
    battery: bool


def run(job: Job) -> Outcome:
    """Play a job; at the top of the module, so that another process can."""
    law = (BATTERY_LAWS if job.battery else LAWS)[job.law]()
    return run_day(law, job.day, job.link, BatterySpec() if job.battery else None)


def find_days(folder: Path | None) -> list[Day]:
    """The days of a folder, or those that are there without one."""
    folder = folder or ROOT.parent / "shared" / "data" / "days"
    files = sorted(folder.glob("*.csv"))
    return [load_day(str(source)) for source in files or BUILT_IN_DAYS]


def row(job: Job, outcomes: Sequence[Outcome], bounds: Iterable[Bound]) -> str:
    """A line of the table: sums over days, the largest number of writes a day."""
    best = sum(each.value_eur for each in bounds)
    earned = sum(value_eur(each.solar_kwh, each.grid_kwh) for each in outcomes)
    soc = [(each.highest_soc_pct, each.final_soc_pct) for each in outcomes]
    shown = "; ".join(f"{high:.0f}, {end:.0f}" for high, end in soc if high is not None)
    cells = (
        job.link.name,
        job.law,
        f"{100 * earned / best:.1f} %",
        f"{sum(each.solar_kwh for each in outcomes):.2f}",
        f"{sum(each.grid_kwh for each in outcomes):.2f}",
        f"{sum(each.battery_kwh for each in outcomes):.2f}",
        sum(each.starts for each in outcomes),
        sum(each.phase_changes for each in outcomes),
        max(each.writes for each in outcomes),
        f"{sum(each.over_fuse_min for each in outcomes):.0f}",
        shown or "-",
    )
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def tables(days: Sequence[Day], outcomes: dict[Job, Outcome]) -> str:
    """All tables as markdown."""
    bounds = {day.name: bound(day) for day in days}
    parts: list[str] = []
    for battery in (False, True):
        house = "with a 10 kWh battery" if battery else "without battery"
        for some in ([*days], *([day] for day in days)):
            name = some[0].name if len(some) == 1 else f"all {len(some)} days"
            of_day = [bounds[day.name] for day in some]
            solar, grid = sum(b.solar_kwh for b in of_day), sum(b.grid_kwh for b in of_day)
            parts += [
                f"\n## {name}, {house}\n",
                f"Bound: {solar:.2f} kWh solar, {grid:.2f} grid.\n",
            ]
            parts += [HEAD, RULE]
            for job in outcomes:
                if job.day is some[0] and job.battery == battery:
                    same = [Job(day, job.link, job.law, battery) for day in some]
                    parts.append(row(job, [outcomes[each] for each in same], of_day))
    return "\n".join(parts) + "\n"


def draw(job: Job, outcome: Outcome, folder: Path) -> None:
    """A picture of a law's day."""
    trace = outcome.trace
    hours = [minute / 60 for minute in trace.minute]
    figure, axes = plt.subplots(figsize=(11, 4), layout="constrained")
    axes.fill_between(hours, trace.surplus_w, color="gold", alpha=0.6, label="surplus")
    axes.plot(hours, trace.car_w, color="tab:blue", linewidth=1, label="car")
    axes.plot(hours, trace.import_w, color="tab:red", linewidth=0.7, label="import")
    axes.set(title=f"{job.law}: {job.day.name}", xlabel="hour", ylabel="W", xlim=(4, 22))
    axes.set_ylim(-1000, 12_000)
    axes.legend(loc="upper left")
    slug = "".join(letter if letter.isalnum() else "-" for letter in job.law)
    figure.savefig(folder / f"{slug}.png", dpi=90)
    plt.close(figure)


def main() -> None:
    """Run everything, print and write the tables, draw the day with the most clouds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("days", nargs="?", type=Path, help="folder with CSV files")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "benchmark")
    options = parser.parse_args()
    days = find_days(options.days)
    jobs = [
        Job(day, link, law, battery)
        for day in days
        for battery, laws in ((False, LAWS), (True, BATTERY_LAWS))
        for link in (QUICK, SLOW)
        for law in laws
    ]
    with ProcessPoolExecutor() as pool:
        outcomes = dict(zip(jobs, pool.map(run, jobs), strict=True))
    text = "# Control laws\n" + tables(days, outcomes)
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "control.md").write_text(text)
    shown = next((day for day in days if day.name == "variable"), days[0])
    for job, outcome in outcomes.items():
        if job.day is shown and job.link is QUICK and not job.battery:
            draw(job, outcome, options.out)


if __name__ == "__main__":
    main()
