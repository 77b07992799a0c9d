"""The control law on awkward plants: time above the fuse, changes, writes, starts, energy.

    python -m tests.benchmarks.adversarial [--only NAME] [--trace] [--list]

Goals: no overload that a controller could have prevented lasts longer than the interval and 15 s;
no more changes an hour than 12 in a house that stands still, 40 in any other; 95 % of the energy
that the plant allows. The exit code is 1 when a scenario misses one.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from easee_load_balancer.backtest.replay import PolicyLaw
from easee_load_balancer.measurements import (
    MIN_CURRENT_A,
    ChargerState,
    InverterReading,
    Setpoint,
)
from easee_load_balancer.simulation.plant.closed_loop import MIDNIGHT, run_day
from easee_load_balancer.simulation.plant.plant import Plant
from tests.benchmarks.adversity import AXES, HOURS, NAMED, Scenario, scenarios
from tests.benchmarks.clairvoyant import BIN_S, STEP_S, Clairvoyant, worth_kwh
from tests.benchmarks.laws import busiest_hour
from tests.benchmarks.tables import as_row

REACTION_S = 15
LEAST_PCT = 95.0
_TOLERANCE_A = 0.1
_TAKES_EFFECT_S = 5
_WORTH_MENTIONING_KWH = 0.3
_CAUSES = ("law", "reaction", "house", "charger", "meter")
HEAD = (
    "| scenarios with | hours | longest preventable s (allowed) | s above fuse: "
    f"{' / '.join(_CAUSES)} | changes an hour, still | changes an hour, other | writes an hour "
    "| starts | energy, worst | energy, mean | miss a goal |"
)
RULE = "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"


@dataclass(frozen=True, slots=True)
class Result:
    """What one scenario came to."""

    scenario: Scenario
    longest_s: int
    """Longest overload that the law could have ended."""
    over_s: Counter[str]
    """Seconds above the fuse by cause: `law` beyond the allowed reaction, `reaction` within it,
    `house` without the car's part, `charger` or car not obeying, `meter` showing nonsense."""
    changes: int
    writes: int
    """In the worst hour."""
    starts: int
    energy_pct: float | None
    """Of what the plant allows; None where that is next to nothing."""

    @property
    def misses(self) -> list[str]:
        """The goals that it misses, with figures."""
        scenario, missed = self.scenario, []
        if self.over_s["law"]:
            allowed_s = scenario.interval_s + REACTION_S
            missed.append(f"overload {self.longest_s} s (allowed {allowed_s})")
        if self.changes > scenario.most_changes_an_hour:
            missed.append(f"{self.changes} changes an hour ({scenario.most_changes_an_hour})")
        if self.energy_pct is not None and self.energy_pct < LEAST_PCT:
            missed.append(f"{self.energy_pct:.0f} % of the energy")
        return missed


@dataclass(slots=True)
class WatchedLaw:
    """The law, and what it commands."""

    law: PolicyLaw
    trace: bool = False
    writes_s: list[int] = field(default_factory=list)
    changes_s: list[int] = field(default_factory=list)
    last: Setpoint | None = None
    reason: str = ""
    interval_s: int = field(init=False)
    time_to_live_s: int | None = field(init=False)

    def __post_init__(self) -> None:
        self.interval_s, self.time_to_live_s = self.law.interval_s, self.law.time_to_live_s

    def cycle(
        self, now: datetime, inverter: InverterReading, charger: ChargerState
    ) -> Setpoint | None:
        setpoint, clock_s = self.law.cycle(now, inverter, charger), _seconds(now)
        if setpoint is not None:
            self.writes_s.append(clock_s)
            if setpoint != self.last:
                self.changes_s.append(clock_s)
            self.last = setpoint
        if self.trace:
            self._print(now, charger, inverter, pushed=setpoint is not None)
        return setpoint

    def _print(
        self, now: datetime, charger: ChargerState, inverter: InverterReading, *, pushed: bool
    ) -> None:
        reason = self.law.reason
        if not pushed and reason == self.reason:
            return
        self.reason = reason
        mode = None if charger.mode is None else charger.mode.name.lower()
        imports = " ".join(_amps(a and -a) for a in inverter.grid_current_phase_a)
        currents = " ".join(_amps(a) for a in charger.car_current_a)
        print(
            f"{now:%H:%M:%S} {'push' if pushed else '    '} {reason}\n"
            f"{'':14}import {imports} A, car {currents} A, {mode}, "
            f"{charger.output_phases} phase output, circuit {charger.circuit_current_a[:3]}"
        )


@dataclass(slots=True)
class Watch:
    """Follows the plant second by second: loads, overloads, energy."""

    scenario: Scenario
    law: WatchedLaw
    clairvoyant: Clairvoyant
    over_s: Counter[str] = field(default_factory=Counter)
    longest_s: int = 0
    kwh: dict[int, float] = field(default_factory=dict)
    worth_kwh: float = 0.0
    starts: int = 0
    _stretch_s: int = 0
    _car_kwh: float = 0.0

    def __call__(self, plant: Plant) -> None:
        self._overload(plant)
        if plant.clock_s % STEP_S == 0:
            self.clairvoyant.look(plant)
        counters, at = plant.counters, plant.clock_s // BIN_S
        self.kwh[at] = self.kwh.get(at, 0.0) + counters.car_kwh - self._car_kwh
        self._car_kwh = counters.car_kwh
        self.worth_kwh = worth_kwh(counters.car_kwh, counters.car_from_grid_kwh)
        self.starts = plant.charger.starts
        extra = [0.0, 0.0, 0.0]
        for step in self.scenario.steps:
            extra[step.line] += step.watts(plant.clock_s)
        plant.extra_load_w = (extra[0], extra[1], extra[2])

    def _overload(self, plant: Plant) -> None:
        cause = self._cause(plant)
        self._stretch_s = self._stretch_s + 1 if cause == "reaction" else 0
        if cause is None:
            return
        self.longest_s = max(self.longest_s, self._stretch_s)
        allowed_s = self.scenario.interval_s + REACTION_S
        self.over_s["law" if self._stretch_s > allowed_s else cause] += 1

    def _cause(self, plant: Plant) -> str | None:
        """Why a line is above the fuse now; None when none is."""
        fuse_a = plant.spec.main_fuse_a + _TOLERANCE_A
        over = [line for line, amps in enumerate(plant.grid_export_phase_a) if -amps > fuse_a]
        if not over:
            return None
        if plant.meter_fault or plant.off_grid:
            return "meter"
        wiring, drawn_a = plant.charger.spec.wiring, plant.charger.car_phase_current_a()
        car_a = {wiring[phase]: amps for phase, amps in enumerate(drawn_a)}
        guilty = [line for line in over if car_a[line] >= MIN_CURRENT_A]
        if not guilty:
            return "house"
        return "charger" if self._already_commanded(plant, guilty, fuse_a) else "reaction"

    def _already_commanded(self, plant: Plant, lines: Iterable[int], fuse_a: float) -> bool:
        """Whether the last command, had it been obeyed, would have ended what the car adds."""
        sent, charger = self.law.last, plant.charger
        if sent is None or plant.clock_s - self.law.writes_s[-1] < _TAKES_EFFECT_S:
            return False
        told_a = sent.circuit_current_a
        car_a = min(charger.car.current_a, max(told_a))
        stuck = charger.spec.stuck_phases != "never"
        used = tuple(
            phase for phase in charger.car_conductors if stuck or told_a[phase] >= MIN_CURRENT_A
        )
        then_a = plant.lines(car_a, used).current_a
        alone_a = plant.lines(0.0, ()).current_a
        return all(-then_a[line] <= max(fuse_a, -alone_a[line]) for line in lines)

    @property
    def energy_pct(self) -> float | None:
        """Energy, with solar alone its worth, in % of what the plant allows.

        In solar+minimum the better of both: two ways may be worth the same, not their energy.
        """
        mode, allowed = self.scenario.policy.mode, self.clairvoyant.best_kwh
        best_kwh, best_worth_kwh = sum(allowed.values()), self.clairvoyant.best_worth_kwh
        shares = []
        if mode != "solar" and best_kwh >= _WORTH_MENTIONING_KWH:
            got_kwh = sum(min(kwh, self.kwh.get(at, 0.0)) for at, kwh in allowed.items())
            shares.append(got_kwh / best_kwh)
        if mode != "fast" and best_worth_kwh >= _WORTH_MENTIONING_KWH:
            shares.append(self.worth_kwh / best_worth_kwh)
        return 100 * max(shares) if shares else None


def play(scenario: Scenario, *, trace: bool = False) -> Result:
    """Run a scenario; at the top of the module, so that another process can."""
    law = WatchedLaw(PolicyLaw(scenario.policy, scenario.interval_s), trace=trace)
    watch = Watch(scenario, law, Clairvoyant(scenario))
    run_day(
        law,
        scenario.sky,
        scenario.link,
        scenario.battery,
        spec=scenario.spec,
        hours=HOURS,
        held=scenario.held,
        each_second=watch,
    )
    return Result(
        scenario,
        watch.longest_s,
        watch.over_s,
        busiest_hour(law.changes_s),
        busiest_hour(law.writes_s),
        watch.starts,
        watch.energy_pct,
    )


def _seconds(now: datetime) -> int:
    return int((now - MIDNIGHT).total_seconds())


def _amps(amps: float | None) -> str:
    return "?" if amps is None else f"{amps:.1f}"


def row(title: str, results: Sequence[Result]) -> str:
    """A line of the table."""
    worst = max(results, key=lambda each: each.longest_s)
    over: Counter[str] = sum((each.over_s for each in results), Counter())
    still = [each.changes for each in results if each.scenario.still]
    moving = [each.changes for each in results if not each.scenario.still]
    energy = [each.energy_pct for each in results if each.energy_pct is not None]
    cells = (
        title,
        f"{len(results) * HOURS:.0f}",
        f"{worst.longest_s} ({worst.scenario.interval_s + REACTION_S})",
        " / ".join(str(over[cause]) for cause in _CAUSES),
        max(still, default="-"),
        max(moving, default="-"),
        max(each.writes for each in results),
        sum(each.starts for each in results),
        f"{min(energy):.0f} %" if energy else "-",
        f"{sum(energy) / len(energy):.0f} %" if energy else "-",
        sum(bool(each.misses) for each in results),
    )
    return as_row(cells)


def table(results: Sequence[Result]) -> str:
    """All scenarios, then by option of each axis, then those by hand."""
    made = [each for each in results if each.scenario.name not in NAMED]
    named = [each for each in results if each.scenario.name in NAMED]
    lines = ["# The control law on awkward plants\n", HEAD, RULE, row("all", results)]
    if made:
        for axis, options in AXES.items():
            lines.append(f"| **{axis}** |{' |' * 10}")
            for option in options:
                if some := [each for each in made if option in each.scenario.options]:
                    lines.append(row(option, some))
    if named:
        lines.append(f"| **by hand** |{' |' * 10}")
        lines += [row(each.scenario.name, [each]) for each in named]
    return "\n".join(lines)


def offenders(results: Iterable[Result]) -> list[str]:
    """Scenarios that miss a goal, the longest overload first."""
    missing = sorted(
        (each for each in results if each.misses),
        key=lambda each: (-each.over_s["law"], -each.changes),
    )
    return [f"- {each.scenario.name}: {'; '.join(each.misses)}" for each in missing]


def main() -> int:
    """Run all scenarios or some; print the table and what misses a goal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", metavar="NAME", help="scenarios with this in their names")
    parser.add_argument("--trace", action="store_true", help="print what the law does and why")
    parser.add_argument("--list", action="store_true", help="print the scenarios' names")
    options = parser.parse_args()
    chosen = [each for each in scenarios() if options.only is None or options.only in each.name]
    if not chosen:
        parser.error(f"no scenario has {options.only!r} in its name")
    if options.list:
        print("\n".join(each.name for each in chosen))
        return 0
    if options.trace:
        results = [play(each, trace=True) for each in chosen]
    else:
        with ProcessPoolExecutor(2) as pool:
            results = list(pool.map(play, chosen))
    print(table(results))
    missing = offenders(results)
    print(f"\n{len(missing)} of {len(results)} scenarios miss a goal.")
    print("\n".join(missing))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
