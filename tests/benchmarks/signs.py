"""Does a meter with the right sign ever look wrong? A year of clouds and switching loads.

    python -m tests.benchmarks.signs [--days 365]

Each day has its own season, sky and household: an oven and a heat pump that switch all day, and
kettles. Prints the changes that spoke against the sign, and the alarms.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from easee_load_balancer.backtest.replay import PolicyLaw
from easee_load_balancer.measurements import ChargerState, InverterReading, Setpoint
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.closed_loop import QUICK, SLOW, run_day
from easee_load_balancer.simulation.plant.day import MINUTES_PER_DAY, Day
from easee_load_balancer.simulation.plant.plant import BatterySpec, HouseSpec

PEAK_W = 11_000.0
FIRST_HOUR, LAST_HOUR = 5, 21


@dataclass(slots=True)
class WatchedLaw:
    """The law, and what its observations of the sign came to."""

    law: PolicyLaw
    against_w: list[float]
    alarms: int = 0
    tests: int = 0
    time_to_live_s: int | None = 1800
    interval_s: int = 10

    def cycle(
        self, now: datetime, inverter: InverterReading, charger: ChargerState
    ) -> Setpoint | None:
        before = self.law.state.sign
        setpoint = self.law.cycle(now, inverter, charger)
        sign = self.law.state.sign
        self.tests += sign.checked_at != before.checked_at
        if sign.against_w > before.against_w:
            self.against_w.append(sign.against_w - before.against_w)
        self.alarms += sign.wrong_since is not None and before.wrong_since is None
        return setpoint


def play(number: int) -> tuple[int, list[float], int]:
    """Tests of the sign, changes that spoke against it in W, and alarms of one day."""
    rng = random.Random(number)
    law = WatchedLaw(PolicyLaw(interval_s=rng.choice((10, 30))), [])
    law.interval_s = law.law.interval_s
    battery = rng.choice((None, None, BatterySpec(start_soc_pct=rng.uniform(20, 100))))
    spec = HouseSpec(car=CarSpec(phases=rng.choice((1, 3)), energy_needed_kwh=1000.0))
    link = rng.choice((QUICK, SLOW))
    run_day(law, make_day(number, rng), link, battery, spec=spec, hours=LAST_HOUR - FIRST_HOUR)
    return law.tests, law.against_w, law.alarms


def make_day(number: int, rng: random.Random) -> Day:
    """A day of the year that begins at FIRST_HOUR."""
    summer = 0.5 - 0.5 * math.cos(math.tau * (number % 365) / 365)
    half_day_min = 240 + 240 * summer
    pv_w = []
    share, left = 1.0, 0
    sky = rng.choice(((0.95, 1.0, 60), (0.15, 1.05, 6), (0.1, 1.0, 12), (0.1, 0.3, 20)))
    for minute in range(MINUTES_PER_DAY):
        if not left:
            share, left = rng.uniform(sky[0], sky[1]), rng.randint(1, sky[2])
        left -= 1
        angle = (minute + 60 * FIRST_HOUR - 750) / half_day_min
        height = max(0.0, math.cos(min(abs(angle), 1.0) * math.pi / 2)) ** 1.3
        pv_w.append(PEAK_W * (0.35 + 0.65 * summer) * height * share)
    return Day(str(number), tuple(pv_w), tuple(_household(rng)))


def _household(rng: random.Random) -> Sequence[float]:
    load_w = [rng.uniform(150, 400)] * MINUTES_PER_DAY
    for watts, on_min, off_min, pieces in (
        (rng.uniform(1800, 3200), 4, 5, 12),  # oven
        (rng.uniform(1200, 3000), 12, 25, 14),  # heat pump
        (2000.0, 3, 60, 10),  # kettle
        (rng.uniform(80, 150), 15, 25, 40),  # fridge
    ):
        minute = rng.randrange(0, 400)
        for _ in range(pieces):
            for at in range(minute, min(minute + rng.randint(1, on_min), MINUTES_PER_DAY)):
                load_w[at] += watts
            minute = min(minute + on_min + rng.randint(1, off_min), MINUTES_PER_DAY)
    return [watts + rng.uniform(-60, 60) for watts in load_w]


def main() -> None:
    """Play the days and print what they came to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--days", type=int, default=365)
    days = parser.parse_args().days
    tests, alarms, against_w = 0, 0, list[float]()
    with ProcessPoolExecutor(2) as pool:
        for number, (tested, against, alarmed) in enumerate(pool.map(play, range(days)), 1):
            tests, alarms, against_w = tests + tested, alarms + alarmed, against_w + against
            if number % 30 == 0 or number == days:
                shown = ", ".join(f"{watts:.0f}" for watts in sorted(against_w)[-10:])
                print(f"{number} days: {tests} changes tested the sign, {len(against_w)} spoke")
                print(f"against it ({shown} W), {alarms} false alarms.", flush=True)


if __name__ == "__main__":
    main()
