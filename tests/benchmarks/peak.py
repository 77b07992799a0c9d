"""Nights under a capacity tariff, second by second: a plan that knows it against one that does not.

    python -m tests.benchmarks.peak [--nights 4]

5 EUR per kW of the mean of the month's three highest hours. The month is as many nights as are
played, over and over; its energy is counted for 30 days. Load is that of a built-in day, and what
the plan expects of it is another one.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.peak import PeakLimit, PeakTariff
from easee_load_balancer.control.plan import (
    Car,
    Departure,
    Plan,
    PlanInputs,
    PlanSlot,
    grid_allowance,
)
from easee_load_balancer.control.planner import make_plan
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import TIME_TO_LIVE, ControllerState
from easee_load_balancer.measurements import ChargerState, InverterReading, Setpoint
from easee_load_balancer.periods import QUARTER
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.charger import ChargerSpec
from easee_load_balancer.simulation.plant.closed_loop import QUICK, run_day
from easee_load_balancer.simulation.plant.day import generate_day
from easee_load_balancer.simulation.plant.plant import HouseSpec, Plant

START = datetime(2026, 1, 12, 17, tzinfo=UTC)
NIGHT = timedelta(hours=14.5)
HOURS = 15 + 1 / 3600
DAYS_A_MONTH = 30
NEEDED_KWH = 20.0
TARIFF = PeakTariff(price_per_kw=5.0, month_ends=START + timedelta(days=DAYS_A_MONTH))
_AWAKE_W = 200.0
"""The inverter, and with it the meter, is read all night."""
SPOT = (
    *(0.042, 0.028, 0.025, 0.023, 0.025, 0.027, 0.049, 0.071, 0.073, 0.070, 0.069, 0.069),
    *(0.069, 0.067, 0.070, 0.076, 0.116, 0.128, 0.106, 0.068, 0.065, 0.060, 0.050, 0.043),
)
"""A winter day's prices by the hour."""


@dataclass(frozen=True, slots=True)
class _NightLoad:
    """A night's load from 17:00 on, without sun."""

    shift_s: int
    name: str = "night"

    def pv_at(self, second: int) -> float:
        return _AWAKE_W

    def load_at(self, second: int) -> float:
        return _REAL.load_at(second + self.shift_s)


_REAL, _EXPECTED = generate_day("overcast"), generate_day("clear")


def import_price(at: datetime) -> float:
    return SPOT[at.hour] * 1.25 + 0.10


def slots(now: datetime) -> tuple[PlanSlot, ...]:
    """A night ahead, with the load of another day."""
    first = now - timedelta(minutes=now.minute % 15, seconds=now.second)
    starts = [first + index * QUARTER for index in range(24 * 4)]
    return tuple(PlanSlot(at, import_price(at), SPOT[at.hour], 0.0, _expected(at)) for at in starts)


def _expected(at: datetime) -> float:
    second = at.hour * 3600
    return sum(_EXPECTED.load_at(second + 60 * minute) for minute in range(60)) / 60


@dataclass(slots=True)
class Planner:
    """`make_plan` every quarter-hour and `decide` every 10 s, as the flows call them."""

    tariff: PeakTariff | None
    interval_s: int = 10
    time_to_live_s: int | None = int(TIME_TO_LIVE.total_seconds())
    state: ControllerState = field(default_factory=ControllerState)
    plan: Plan | None = None
    car_kwh: float = 0.0
    agreed_w: float = 0.0

    def cycle(
        self, now: datetime, inverter: InverterReading, charger: ChargerState
    ) -> Setpoint | None:
        back_at = START + timedelta(days=1)
        departures = [Departure(START + NIGHT, NEEDED_KWH, NEEDED_KWH, back_at)]
        self.car_kwh = charger.session_kwh or self.car_kwh
        car = Car(self.car_kwh, 40.0, charging=bool(charger.car_w), phases=(1, 3))
        if self.plan is None or now - self.plan.made_at >= QUARTER:
            given = PlanInputs(now, slots(now), car, tuple(departures), peak=self.tariff)
            self.plan = make_plan(replace(given, later_price=0.0, max_import_w=23 * 690.0))
            self.agreed_w = max(self.agreed_w, self.plan.peak_w or 0.0)
        peak = PeakLimit(self.agreed_w, 60) if self.tariff else None
        allowance = grid_allowance(now, self.plan, car, departures)
        inputs = CycleInputs(now, inverter, charger, Policy(), grid=allowance, peak=peak)
        decision = decide(inputs, self.state)
        if decision.push:
            decision = decision.pushed(now)
        self.state = decision.state
        return decision.setpoint if decision.push else None


@dataclass(slots=True)
class Night:
    """What a night imported by the hour, and what it cost."""

    hours_w: list[float] = field(default_factory=list)
    cost: float = 0.0
    car_kwh: float = 0.0
    agreed_w: float = 0.0


def play(tariff: PeakTariff | None, night: int, agreed_w: float) -> Night:
    """A night in the closed loop, with steps of a second."""
    planner, result = Planner(tariff, agreed_w=agreed_w), Night()
    counted_kwh = [0.0]

    def each_second(plant: Plant) -> None:
        if plant.clock_s == NIGHT.total_seconds():
            plant.car.unplug()
        if plant.clock_s % 3600 == 0 and plant.clock_s:
            kwh = plant.counters.imported_kwh - counted_kwh.pop()
            counted_kwh.append(plant.counters.imported_kwh)
            at = START + timedelta(seconds=plant.clock_s - 3600)
            result.hours_w.append(kwh * 1000)
            result.cost += kwh * import_price(at)
            result.car_kwh = plant.counters.car_kwh

    spec = HouseSpec(
        car=CarSpec(energy_needed_kwh=1000.0),
        charger=ChargerSpec(circuit_max_current_a=(32.0,) * 3),
    )
    load = _NightLoad(shift_s=17 * 3600 - 420 * night)
    run_day(planner, load, QUICK, spec=spec, hours=HOURS, start=START, each_second=each_second)
    return replace(result, agreed_w=planner.agreed_w)


def month(tariff: PeakTariff | None, nights: int) -> Night:
    """All nights together, the cost with the capacity tariff."""
    total = Night()
    for night in range(nights):
        so_far_w = tuple(sorted(total.hours_w, reverse=True)[:3])
        known = replace(tariff, so_far_w=so_far_w) if tariff else None
        each = play(known, night, total.agreed_w)
        total.hours_w += each.hours_w
        total.cost += each.cost * DAYS_A_MONTH / nights
        total.car_kwh += each.car_kwh
        total.agreed_w = each.agreed_w
    highest_w = sorted(total.hours_w, reverse=True)[:3]
    total.cost += TARIFF.price_per_kw * sum(highest_w) / len(highest_w) / 1000
    return total


def main() -> None:
    """Play both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--nights", type=int, default=4)
    nights = parser.parse_args().nights
    print("| plan | EUR a month | three highest hours, kW | agreed, kW | above it | car kWh |")
    print("|---|--:|--:|--:|--:|--:|")
    rows = {"ignores the tariff": None, "knows the tariff": TARIFF}
    with ProcessPoolExecutor() as pool:
        totals = list(pool.map(month, rows.values(), [nights] * len(rows)))
    for (name, tariff), total in zip(rows.items(), totals, strict=True):
        highest_w = sorted(total.hours_w, reverse=True)[:3]
        shown = ", ".join(f"{watts / 1000:.2f}" for watts in highest_w)
        agreed = f"{total.agreed_w / 1000:.2f}" if tariff else ""
        above = f"{100 * (highest_w[0] / total.agreed_w - 1):+.1f} %" if tariff else ""
        print(f"| {name} | {total.cost:.1f} | {shown} | {agreed} | {above} | {total.car_kwh:.1f} |")


if __name__ == "__main__":
    main()
