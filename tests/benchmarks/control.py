"""The control law against the seed's, evcc's and the bound: a table, and a picture of a day each.

The figure of merit is the money of the whole house over the day and the night after it, more than
if the car charged at night only: in % of what perfect foresight earns, and of what it earns if
starts and phase changes take their time.

    python -m tests.benchmarks.control [DAYS_FOLDER] [--out FOLDER]

The folder holds days as CSV files `time,pv_w,load_w`; default is ../shared/data/days beside the
project, else the built-in days. Table and pictures go to FOLDER (default build/benchmark).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import matplotlib

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.energy.outlook import BatteryOutlook
from easee_load_balancer.periods import quarter_of_day
from easee_load_balancer.simulation.plant.closed_loop import (
    QUICK,
    SLOW,
    Law,
    Link,
    Outcome,
    run_day,
)
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.simulation.plant.plant import BatterySpec
from tests.benchmarks.bounds import Account, Bound, earned_eur, foresee
from tests.benchmarks.days import find_days
from tests.benchmarks.laws import Evcc, Ours, Seed
from tests.benchmarks.tables import as_row
from tests.support.paths import PROJECT

matplotlib.use("Agg")
from matplotlib import pyplot as plt

BATTERY = BatterySpec(efficiency=0.95)
_NIGHT_KWH = 9.5
LAWS: dict[str, Callable[[], Law]] = {
    "ours, 10 s": Ours,
    "ours, 30 s": partial(Ours, interval_s=30),
    "ours, never import": lambda: Ours(Policy(export_margin_w=0)),
    "evcc": Evcc,
    "seed": Seed,
}
BATTERY_LAWS: dict[str, Callable[[], Law]] = {
    "ours, car first": Ours,
    "ours, car first, lends nothing": lambda: Ours(Policy(battery_lends_kwh=0)),
    "ours, battery for the night": lambda: Ours(Policy(battery_night_kwh=_NIGHT_KWH)),
    "ours, battery to 80 %": lambda: Ours(Policy(battery_first_until_pct=80)),
    "ours, seed's rules": lambda: Ours(Policy(battery_first_until_pct=80, battery_support_w=500)),
    "evcc, car first": Evcc,
    "evcc, battery to 80 %": partial(Evcc, priority_soc_pct=80),
    "seed": Seed,
}
HEAD = (
    "| dongle, cloud | law | EUR | of the bound | with delays | solar kWh | grid kWh "
    "| battery kWh | starts | phase changes | API writes | min above fuse "
    "| SoC highest, at midnight |"
)
RULE = "|---|---|" + "--:|" * 11
_LEAST_EUR = 0.05
"""Of less than this there is no percentage."""


@dataclass(frozen=True, slots=True)
class Job:
    """One law on one day."""

    day: Day
    link: Link
    law: str
    battery: bool


@dataclass(frozen=True, slots=True)
class Played:
    """What a law did on a day, and the money of the house."""

    outcome: Outcome
    account: Account


def run(job: Job) -> Played:
    """Play a job; at the top of the module, so that another process can."""
    law, account = (BATTERY_LAWS if job.battery else LAWS)[job.law](), Account()
    if isinstance(law, Ours) and law.policy.battery_night_kwh:
        law.battery_wanted_wh = _outlook(job.day)
    battery = BATTERY if job.battery else None
    return Played(run_day(law, job.day, job.link, battery, each_second=account), account)


def _outlook(day: Day) -> Callable[[datetime], float]:
    """What the battery should hold, had the day before been like this one."""
    outlook = BatteryOutlook.sampled(day.pv_w, day.load_w, per_quarter=15)
    return lambda now: outlook.wanted_wh(quarter_of_day(now))


def run_bound(house: tuple[Day, bool]) -> Bound:
    """The bounds of a day, with or without a battery."""
    day, battery = house
    return foresee(day, BATTERY if battery else None)


@dataclass(frozen=True, slots=True)
class Results:
    """What was played, and the bounds by name of the day and whether there is a battery."""

    played: dict[Job, Played]
    bounds: dict[tuple[str, bool], Bound]


def row(job: Job, days: Sequence[Day], results: Results) -> str:
    """A line of the table: sums over days, the largest number of writes a day."""
    played = [results.played[Job(day, job.link, job.law, job.battery)] for day in days]
    bounds = [results.bounds[day.name, job.battery] for day in days]
    battery = BATTERY if job.battery else None
    earned = sum(
        earned_eur(day, battery, each.account, bound)
        for day, each, bound in zip(days, played, bounds, strict=True)
    )
    outcomes = [each.outcome for each in played]
    soc = [(each.highest_soc_pct, each.final_soc_pct) for each in outcomes]
    shown = "; ".join(f"{high:.0f}, {end:.0f}" for high, end in soc if high is not None)
    cells = (
        job.link.name,
        job.law,
        f"{earned:.3f}",
        _share(earned, sum(each.eur for each in bounds)),
        _share(earned, sum(each.delayed_eur for each in bounds)),
        f"{sum(each.solar_kwh for each in outcomes):.2f}",
        f"{sum(each.grid_kwh for each in outcomes):.2f}",
        f"{sum(each.battery_kwh for each in outcomes):.2f}",
        sum(each.starts for each in outcomes),
        sum(each.phase_changes for each in outcomes),
        max(each.writes for each in outcomes),
        f"{sum(each.over_fuse_min for each in outcomes):.0f}",
        shown or "-",
    )
    return as_row(cells)


def _share(earned_eur: float, bound_eur: float) -> str:
    return f"{100 * earned_eur / bound_eur:.1f} %" if bound_eur >= _LEAST_EUR else "-"


def tables(days: Sequence[Day], results: Results) -> str:
    """All tables as markdown."""
    parts: list[str] = []
    for battery in (False, True):
        house = "with a 10 kWh battery" if battery else "without battery"
        for some in ([*days], *([day] for day in days)):
            name = some[0].name if len(some) == 1 else f"all {len(some)} days"
            bounds = [results.bounds[day.name, battery] for day in some]
            eur, delayed = (sum(b.eur for b in bounds), sum(b.delayed_eur for b in bounds))
            parts += [
                f"\n## {name}, {house}\n",
                f"Bound: {eur:.3f} EUR, {delayed:.3f} with delays; "
                f"{sum(b.car_kwh for b in bounds):.2f} kWh into the car.\n",
            ]
            parts += [HEAD, RULE]
            parts += [
                row(job, some, results)
                for job in results.played
                if job.day is some[0] and job.battery == battery
            ]
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
    parser.add_argument("--out", type=Path, default=PROJECT / "build" / "benchmark")
    options = parser.parse_args()
    days = find_days(options.days)
    jobs = [
        Job(day, link, law, battery)
        for day in days
        for battery, laws in ((False, LAWS), (True, BATTERY_LAWS))
        for link in (QUICK, SLOW)
        for law in laws
    ]
    houses = [(day, battery) for day in days for battery in (False, True)]
    with ProcessPoolExecutor() as pool:
        bounds = pool.map(run_bound, houses)
        played = dict(zip(jobs, pool.map(run, jobs), strict=True))
        named = {(day.name, battery): b for (day, battery), b in zip(houses, bounds, strict=True)}
    text = "# Control laws\n" + tables(days, Results(played, named))
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "control.md").write_text(text)
    shown = next((day for day in days if day.name == "variable"), days[0])
    for job, each in played.items():
        if job.day is shown and job.link is QUICK and not job.battery:
            draw(job, each.outcome, options.out)


if __name__ == "__main__":
    main()
