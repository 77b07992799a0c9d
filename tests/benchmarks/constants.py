"""The constants of the control law at half and at double: the tables of docs/law.md.

    python -m tests.benchmarks.constants [--write] [--values] [DAYS_FOLDER]

Those that matter on ordinary days are played on the folder's day `variable` (else the built-in
one) from 9 to 17 h, without a battery and with one. Reasons are the
comments under the constants in the code.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from easee_load_balancer import control
from easee_load_balancer.simulation.plant.closed_loop import Outcome, run_day
from easee_load_balancer.simulation.plant.day import Day
from tests.benchmarks.control import BATTERY
from tests.benchmarks.days import find_days
from tests.benchmarks.laws import Ours, bound, value_eur
from tests.support.paths import PROJECT

PAGE = PROJECT / "docs" / "law.md"
BEGIN, END = "<!-- constants -->", "<!-- end of constants -->"
PLAYED = (
    "lending.STRICT_GRID_WEIGHT",
    "rules.RAISE_AFTER",
    "rules.RAISE_PAYS_WH",
    "rules.COVERED_WH",
    "rules.SCARCE_RAISE_WH",
    "rules.SCARCE_LOWERING_WH",
    "changes._PLENTY",
    "changes.MOST_AN_HOUR",
    "changes.HUNTING_PAUSE",
    "power_estimate.METER_SETTLES",
    "power_estimate.CLOUD_SETTLES",
    "power_estimate.STABLE_FOR",
    "power_estimate.DRAWING_W",
    "car_model.CAR_UNDERDRAW_A",
    "car_model.LINES_STEADY",
    "state.CAR_STARTS",
    "state.START_PATIENCE",
    "state_update.NEWEST_COUNTS",
    "battery.LIMIT_HOLDS",
    "battery.REGULATES_WITHIN",
    "cycle_inputs.RAISE_MARGIN_A",
)
FROM_H, HOURS = 9, 8.0
_NUMBERS = (int, float, timedelta)


@dataclass(frozen=True, slots=True)
class Constant:
    """A number or a time at the top of a module of the law."""

    module: str
    name: str
    value: Any
    reason: str

    @property
    def key(self) -> str:
        """Module and name."""
        return f"{self.module}.{self.name}"


def constants() -> Iterator[Constant]:
    """All of the law, in the order of the code."""
    for found in pkgutil.iter_modules(control.__path__):
        module = importlib.import_module(f"{control.__name__}.{found.name}")
        body = ast.parse(Path(str(module.__file__)).read_text()).body
        reasons = _reasons(body)
        for statement in body:
            for name in _assigned(statement):
                value = getattr(module, name)
                if isinstance(value, _NUMBERS) and not isinstance(value, bool):
                    yield Constant(found.name, name, value, reasons.get(name, ""))


def _assigned(statement: ast.stmt) -> list[str]:
    if not isinstance(statement, ast.Assign):
        return []
    return [one.id for one in statement.targets if isinstance(one, ast.Name) and one.id.isupper()]


def _reasons(body: list[ast.stmt]) -> dict[str, str]:
    """The string below a constant; one string serves those right above it too."""
    reasons: dict[str, str] = {}
    waiting: list[str] = []
    for statement in body:
        text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if names := _assigned(statement):
            waiting += names
        elif text and isinstance(statement, ast.Expr):
            reasons |= dict.fromkeys(
                waiting, " ".join(str(ast.literal_eval(statement.value)).split())
            )
            waiting = []
        else:
            waiting = []
    return reasons


@dataclass(frozen=True, slots=True)
class Trial:
    """A day with one constant at a multiple of its value."""

    day: Day
    battery: bool
    key: str = ""
    factor: float = 1.0


def play(trial: Trial) -> Outcome:
    """Play a trial, in a process of its own: the constant stays changed there until it is over."""
    changed = _change(trial.key, trial.factor) if trial.key else []
    try:
        battery = BATTERY if trial.battery else None
        return run_day(Ours(), trial.day, battery=battery, hours=HOURS)
    finally:
        for module, name, value in changed:
            setattr(module, name, value)


def _change(key: str, factor: float) -> list[tuple[Any, str, Any]]:
    """Change it in its module and wherever it was imported; what it was before."""
    module_name, name = key.split(".")
    value = getattr(sys.modules[f"{control.__name__}.{module_name}"], name)
    changed = value * factor
    if isinstance(value, int):
        changed = round(changed)
    where = [
        module
        for full_name, module in sys.modules.items()
        if full_name.startswith(f"{control.__name__}.") and getattr(module, name, None) is value
    ]
    for module in where:
        setattr(module, name, changed)
    return [(module, name, value) for module in where]


def _shown(value: Any) -> str:
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"
    return f"{value:g}"


def _effect(trial: Trial, outcomes: dict[Trial, Outcome]) -> str:
    """What changes: points of the bound, starts and phase changes, writes."""
    best, base = bound(trial.day).value_eur, outcomes[Trial(trial.day, trial.battery)]
    one = outcomes[trial]
    points = 100 * (_eur(one) - _eur(base)) / best
    parts = (points, one.starts - base.starts, one.writes - base.writes)
    return f"{parts[0]:+.1f}, {parts[1]:+d}, {parts[2]:+d}" if any(parts) else "no change"


def _from_morning(day: Day) -> Day:
    """The day, beginning at `FROM_H`."""
    first = FROM_H * 60
    pv_w, load_w = day.pv_w[first:] + day.pv_w[:first], day.load_w[first:] + day.load_w[:first]
    return Day(day.name, pv_w, load_w)


def _eur(outcome: Outcome) -> float:
    return value_eur(outcome.solar_kwh, outcome.grid_kwh)


def values() -> str:
    """All constants with their reasons."""
    rows = [f"| `{each.key}` | {_shown(each.value)} | {each.reason} |" for each in constants()]
    return "\n".join(["| constant | value | why |", "|---|--:|---|", *rows])


def effects(day: Day) -> str:
    """What happens at half and at double."""
    known = {each.key: each for each in constants()}
    trials = [Trial(day, battery) for battery in (False, True)]
    trials += [
        Trial(day, battery, key, factor)
        for key in PLAYED
        for battery in (False, True)
        for factor in (0.5, 2.0)
    ]
    with ProcessPoolExecutor(2) as pool:
        outcomes = dict(zip(trials, pool.map(play, trials), strict=True))
    lines = [
        "| constant | value | half: no battery | double: no battery | half: battery "
        "| double: battery |",
        "|---|--:|---|---|---|---|",
    ]
    for key in PLAYED:
        changes = [
            _effect(Trial(day, battery, key, factor), outcomes)
            for battery in (False, True)
            for factor in (0.5, 2.0)
        ]
        lines.append(f"| `{key}` | {_shown(known[key].value)} | {' | '.join(changes)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables, or write them into the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("days", nargs="?", type=Path, help="folder with CSV files")
    parser.add_argument("--write", action="store_true", help="into docs/law.md")
    parser.add_argument("--values", action="store_true", help="values and reasons only")
    options = parser.parse_args()
    text = values()
    if not options.values:
        day = next(each for each in find_days(options.days) if each.name == "variable")
        text = f"{effects(_from_morning(day))}\n\n{text}"
    print(text)
    if options.write:
        page = PAGE.read_text()
        head, rest = page.split(BEGIN)
        PAGE.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
