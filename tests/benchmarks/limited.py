"""Houses that may not export, or little: what of the PV's surplus the car gets.

    python -m tests.benchmarks.limited [DAY ...]

The inverter throttles its PV, so the meter shows no surplus. "Unaware" is the law without limit in
setting and registers. The bound is that of a house without limit.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import product

from easee_load_balancer.backtest.replay import PolicyLaw
from easee_load_balancer.measurements import ChargerState, InverterReading, Setpoint
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.closed_loop import QUICK, SLOW, Link, run_day
from easee_load_balancer.simulation.plant.day import load_day
from easee_load_balancer.simulation.plant.plant import BatterySpec, HouseSpec
from tests.benchmarks.laws import bound, busiest_hour, value_eur
from tests.benchmarks.tables import as_row

HEAD = (
    "| day | limit W | battery | dongle, cloud | law | of the bound | solar kWh | grid kWh "
    "| battery kWh | imported kWh | starts | phase changes | writes | changes in an hour |"
)
RULE = "|---|--:|---|---|---|" + "--:|" * 9


@dataclass(slots=True)
class CountedLaw:
    """The law, and when it changed the setpoint; unaware, it is not told of the limit."""

    law: PolicyLaw
    aware: bool
    interval_s: int
    time_to_live_s: int | None = 1800
    changes_s: list[int] = field(default_factory=list)
    last: Setpoint | None = None

    def cycle(
        self, now: datetime, inverter: InverterReading, charger: ChargerState
    ) -> Setpoint | None:
        if not self.aware:
            inverter = replace(inverter, export_limit_w=None, throttled=False)
        setpoint = self.law.cycle(now, inverter, charger)
        if setpoint is not None and setpoint != self.last:
            self.changes_s.append(int(now.timestamp()))
            self.last = setpoint
        return setpoint


@dataclass(frozen=True, slots=True)
class Job:
    """A law on a day in a house with a limit."""

    day: str
    limit_w: float
    battery: bool
    link: Link
    interval_s: int
    aware: bool


def row(job: Job) -> str:
    """Play a job: its line of the table."""
    day = load_day(job.day)
    law = CountedLaw(PolicyLaw(interval_s=job.interval_s), job.aware, job.interval_s)
    spec = HouseSpec(car=CarSpec(energy_needed_kwh=1000.0), export_limit_w=job.limit_w)
    out = run_day(law, day, job.link, BatterySpec() if job.battery else None, spec=spec)
    share = value_eur(out.solar_kwh, out.grid_kwh) / bound(day).value_eur
    cells = (
        day.name,
        f"{job.limit_w:.0f}",
        "10 kWh" if job.battery else "none",
        job.link.name,
        f"{'ours' if job.aware else 'unaware'}, {job.interval_s} s",
        f"{100 * share:.1f} %",
        f"{out.solar_kwh:.2f}",
        f"{out.grid_kwh:.2f}",
        f"{out.battery_kwh:.2f}",
        f"{out.imported_kwh:.2f}",
        out.starts,
        out.phase_changes,
        out.writes,
        busiest_hour(law.changes_s),
    )
    return as_row(cells)


def jobs(days: Sequence[str]) -> list[Job]:
    """Zero export at every rhythm, and what today's law makes of it."""
    rhythms = product((False, True), (QUICK, SLOW), (10, 30))
    made = [Job(day, 0.0, *rhythm, aware=True) for day, rhythm in product(days, [*rhythms])]
    unaware = [
        Job(day, 0.0, battery, QUICK, 10, aware=False) for day in days for battery in (False, True)
    ]
    return [*made, *unaware]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("days", nargs="*", default=["clear"], help="built-in days or CSV files")
    print(HEAD, RULE, sep="\n")
    with ProcessPoolExecutor(2) as pool:
        for line in pool.map(row, jobs(parser.parse_args().days)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
