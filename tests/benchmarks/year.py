"""A year of a car's energy: what charging costs, ours against other ways, and the bound.

    python -m tests.benchmarks.year PRICES.csv... [--without-battery]

The price files hold a row `start_local,eur_kwh` for each hour of a year; the house is the one of
../shared/data/year beside the project. Import costs spot x 1.25 + 0.10 EUR/kWh, export earns the
spot price. The car's cost is the house's bill with the car less the bill without. A step of the
simulation is five minutes long, so that power is what the law's setpoint says.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.tables import as_row
from tests.benchmarks.year_house import (
    START_KWH,
    BatterySize,
    Charging,
    Outcome,
    Year,
    load_year,
    run,
)
from tests.benchmarks.year_plan import ERROR, Forecast, Planned
from tests.benchmarks.year_rules import (
    CheapestBeforeDeparture,
    Next,
    OnArrival,
    SunThenLate,
    lowest_bill,
)
from tests.support.paths import SHARED_DATA

HOUSE = SHARED_DATA / "year" / "house.csv"
BOUND = "bound"
ARRIVAL = "on arrival, then sun"
ROWS: dict[str, Callable[[Year, BatterySize | None], Charging]] = {
    ARRIVAL: lambda year, _: OnArrival(Next(year)),
    "sun, then late at night": lambda year, _: SunThenLate(Next(year)),
    "evcc: sun, then cheapest slots": lambda year, _: CheapestBeforeDeparture(Next(year)),
    "ours, no forecast": lambda year, size: Planned(year, Forecast.none(year), size),
    "ours, forecast 20 % off": lambda year, size: Planned(
        year, Forecast.with_error(year, ERROR), size
    ),
    "ours, perfect forecast": lambda year, size: Planned(
        year, Forecast.with_error(year, 0.0), size
    ),
}
HEAD = (
    "| charging | cost EUR | of the possible saving | solar share | departures missed | starts "
    "| CPU s | slowest plan s |\n|---|--:|--:|--:|--:|--:|--:|--:|"
)


@dataclass(frozen=True, slots=True)
class Job:
    """One way of charging in one house."""

    prices: Path
    row: str
    battery: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What the car's energy cost."""

    cost: float
    outcome: Outcome | None = None
    cpu_s: float = 0.0
    slowest_s: float = 0.0


def play(job: Job) -> Result:
    """Run a job; at the top of the module, so that another process can."""
    began = time.process_time()
    year, size = load_year(HOUSE, job.prices), BatterySize() if job.battery else None
    if job.row == BOUND:
        bills = [lowest_bill(year, size, car=car) for car in (True, False)]
        return Result(bills[0] - bills[1], cpu_s=time.process_time() - began)
    without = run(year, None, size).bill
    charging = ROWS[job.row](year, size)
    outcome = run(year, charging, size)
    cost = outcome.bill - without
    # what is in the car at the end, more than at the start, has been bought too
    cost *= 1 - (outcome.end_kwh - START_KWH) / outcome.car_kwh
    slowest_s = charging.slowest_s if isinstance(charging, Planned) else 0.0
    return Result(cost, outcome, time.process_time() - began, slowest_s)


def table(prices: Path, results: dict[Job, Result], *, battery: bool) -> str:
    """The rows of one house."""
    of_house = {
        job.row: result
        for job, result in results.items()
        if job.prices == prices and job.battery == battery
    }
    highest, lowest = of_house[ARRIVAL].cost, of_house[BOUND].cost
    house = "with a 10 kWh battery" if battery else "without battery"
    lines = [f"\n## {prices.stem}, {house}\n", HEAD]
    for row, result in of_house.items():
        share = f"{100 * (highest - result.cost) / (highest - lowest):.1f} %"
        cells = [row, f"{result.cost:.1f}", share]
        if (outcome := result.outcome) is None:
            cells += ["", "0", "", f"{result.cpu_s:.0f}", ""]
        else:
            solar = f"{100 * outcome.solar_kwh / outcome.car_kwh:.0f} %"
            cells += [solar, str(outcome.missed), str(outcome.starts), f"{result.cpu_s:.0f}"]
            cells.append(f"{result.slowest_s:.2f}" if result.slowest_s else "")
        lines.append(as_row(cells))
    return "\n".join(lines)


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("prices", nargs="+", type=Path)
    parser.add_argument("--without-battery", action="store_true", help="that house alone")
    options = parser.parse_args()
    batteries = (False,) if options.without_battery else (False, True)
    jobs = [
        Job(prices, row, battery)
        for prices in options.prices
        for battery in batteries
        for row in (*ROWS, BOUND)
    ]
    with ProcessPoolExecutor() as pool:
        results = dict(zip(jobs, pool.map(play, jobs), strict=True))
    for prices in options.prices:
        for battery in batteries:
            print(table(prices, results, battery=battery))


if __name__ == "__main__":
    main()
