"""Awkward plants for the control law: what can be combined, and the scenarios made of it.

A scenario takes one option of each axis. `pairwise` picks scenarios so that every two options of
different axes meet at least once; `NAMED` adds some that need more than that.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations, product
from typing import Any

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.measurements import Setpoint
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.charger import ChargerSpec
from easee_load_balancer.simulation.plant.closed_loop import PAUSED, QUICK, SLOW, Link
from easee_load_balancer.simulation.plant.meter import MeterFault
from easee_load_balancer.simulation.plant.plant import BatterySpec, HouseSpec, Visit

HOURS = 3.0
BASE_LOAD_W = 500.0
AWAKE_W = 300.0
"""PV without a surplus: an inverter without any sleeps, its meter with it."""
_SEED = 13
_CANDIDATES = 60
"""Random scenarios to choose from: the one with most new pairs is taken."""


@dataclass(frozen=True, slots=True)
class LoadStep:
    """A load on one line that switches on and off; on IT on L1-L2, L2-L3 or L3-L1."""

    line: int
    amps: float
    every_s: int
    for_s: int

    def watts(self, clock_s: int) -> float:
        return 230.0 * self.amps if clock_s % self.every_s >= self.every_s - self.for_s else 0.0


@dataclass(frozen=True, slots=True)
class Sky:
    """PV and base load; with clouds the PV falls to a fifth for 8 of 30 minutes."""

    name: str
    pv_w: float
    cloudy: bool = False

    def pv_at(self, second: int) -> float:
        dark = self.cloudy and second % 1800 >= 1320
        return self.pv_w / 5 if dark else self.pv_w

    def load_at(self, second: int) -> float:
        return BASE_LOAD_W


@dataclass(frozen=True, slots=True)
class Option:
    """What an option changes of the car, the charger, the house, the policy and the loop."""

    car: Mapping[str, Any] = field(default_factory=dict)
    charger: Mapping[str, Any] = field(default_factory=dict)
    house: Mapping[str, Any] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    surplus_w: float | None = None
    cloudy: bool = False
    step: LoadStep | None = None
    link: Link | None = None
    interval_s: int | None = None
    visits: tuple[tuple[int, int, bool], ...] = ()
    """Seconds, and whether it is the scenario's car; else a car with other phases comes."""
    learning_s: int = 0
    """What a first start costs even a controller that does everything right."""
    held: Setpoint | None = None
    battery: BatterySpec | None = None


_END_S = int(HOURS * 3600)

AXES: dict[str, dict[str, Option]] = {
    "car": {
        "3-phase car": Option(),
        "2-phase car": Option(car={"phases": 2}),
        "1-phase car": Option(car={"phases": 1, "max_current_a": 32.0}),
        "2 A steps": Option(car={"step_a": 2.0}),
        "car limit 10 A": Option(car={"max_current_a": 10.0}),
        "tapering": Option(car={"energy_needed_kwh": 14.0, "taper_kwh": 10.0}),
        "starts after 150 s": Option(car={"start_delay_s": (140, 150)}),
        "never on one phase": Option(car={"fewest_phases": 3}, learning_s=300),
        "wobbles": Option(car={"wobble_a": 0.8}),
        "needs a wake-up pause": Option(car={"refused_offers": 1}, learning_s=420),
        "ignores pauses 4 min": Option(car={"ignores_pause_s": 240}),
    },
    "grid": {
        "TN": Option(),
        "TN rotated": Option(charger={"wiring": (1, 2, 0)}),
        "TN one phase on L3": Option(charger={"grid_type": 3, "wiring": (2, 0, 1)}),
        "IT3": Option(charger={"grid_type": 4}),
        "IT1": Option(charger={"grid_type": 5}),
    },
    "upset": {
        "no upset": Option(),
        "stuck phases until paused": Option(
            charger={"stuck_phases": "until_paused"}, learning_s=300
        ),
        "stuck phases for good": Option(
            charger={"stuck_phases": "until_unplugged"}, learning_s=300
        ),
        "zeros ignored 5 min": Option(charger={"ignores_zero_s": 300}),
        "stale power": Option(charger={"stale_power": True}),
        "car swap": Option(visits=((0, 3900, False), (4500, _END_S, True))),
        "unseen car swap": Option(visits=((0, 3903, False), (3909, _END_S, True))),
        "plugged in late": Option(visits=((1807, _END_S, True),)),
    },
    "load": {
        "still house": Option(),
        "+8 A on L1": Option(step=LoadStep(0, 8.0, 1200, 360)),
        "+20 A on L2": Option(step=LoadStep(1, 20.0, 1800, 600)),
        "+14 A on L3": Option(step=LoadStep(2, 14.0, 1500, 480)),
        "+16 A on L1, brief": Option(step=LoadStep(0, 16.0, 600, 60)),
    },
    "aim": {
        "fast": Option(policy={"mode": "fast"}),
        "boost 10 A": Option(policy={"mode": "fast", "max_current_a": 10}),
        "solar 2.2 kW": Option(surplus_w=2200.0),
        "solar 6 kW": Option(surplus_w=6000.0),
        "solar 9 kW, clouds": Option(surplus_w=9000.0, cloudy=True),
        "solar+minimum 3 kW": Option(policy={"mode": "solar+minimum"}, surplus_w=3000.0),
    },
    "fuse": {
        "16 A": Option(house={"main_fuse_a": 16.0}),
        "20 A": Option(house={"main_fuse_a": 20.0}),
        "25 A": Option(house={"main_fuse_a": 25.0}),
        "35 A": Option(house={"main_fuse_a": 35.0}, policy={"max_current_a": 32}),
        "63 A": Option(house={"main_fuse_a": 63.0}, policy={"max_current_a": 32}),
    },
    "rhythm": {
        "10 s, quick": Option(link=QUICK, interval_s=10),
        "30 s, quick": Option(link=QUICK, interval_s=30),
        "10 s, slow": Option(link=SLOW, interval_s=10),
        "30 s, slow": Option(link=SLOW, interval_s=30),
    },
}

IMPOSSIBLE = {
    frozenset(("never on one phase", "TN one phase on L3")),
    frozenset(("never on one phase", "IT1")),
    frozenset(("never on one phase", "stuck phases for good")),
}
"""A car that can never charge there."""

_QUIET = ("3-phase car", "TN", "no upset", "still house", "fast", "25 A", "10 s, quick")


@dataclass(frozen=True, slots=True)
class Named:
    """A scenario by hand: options that replace those of `_QUIET`, and one of its own."""

    options: tuple[str, ...]
    own: Option = field(default_factory=Option)


def _meter(kind: Any, *spans: tuple[int, int]) -> dict[str, Any]:
    return {"meter_faults": tuple(MeterFault(kind, since, until) for since, until in spans)}


NAMED: dict[str, Named] = {
    "idle house, 1-phase car, fast": Named(("1-phase car", "10 s, slow")),
    "idle house, 2-phase car, fast": Named(("2-phase car", "30 s, quick")),
    "10 A on the phase of a 1-phase car": Named(
        ("1-phase car",), Option(step=LoadStep(0, 10.0, _END_S, _END_S - 600))
    ),
    "1-phase car on L1, overload on L3": Named(
        ("1-phase car",), Option(step=LoadStep(2, 26.0, 1800, 900))
    ),
    "unseen swap to a wobbling car, then 25 A on L1": Named(
        ("wobbles", "unseen car swap", "35 A", "30 s, slow"),
        Option(step=LoadStep(0, 25.0, _END_S, 6000), policy={"max_current_a": 16}),
    ),
    "unseen swap to a wobbling car, then 25 A on L1, quick": Named(
        ("wobbles", "unseen car swap", "35 A", "TN rotated"),
        Option(step=LoadStep(0, 25.0, _END_S, 6000), policy={"max_current_a": 16}),
    ),
    "plug-in near the fuse, charger at 16 A": Named(
        ("plugged in late", "30 s, slow"),
        Option(step=LoadStep(0, 20.0, _END_S, _END_S - 600), held=Setpoint(16)),
    ),
    "plug-in on 1.5 kW, charger at 16 A": Named(
        ("plugged in late", "solar 2.2 kW"), Option(surplus_w=1500.0, held=Setpoint(16))
    ),
    "IT3, 1-phase car, load steps": Named(("1-phase car", "IT3", "+14 A on L3", "20 A")),
    "stuck on three, load on L1": Named(
        ("stuck phases until paused", "solar 9 kW, clouds", "+20 A on L2", "20 A")
    ),
    "meter currents without sign": Named(
        ("+14 A on L3", "30 s, quick"), Option(house={"meter_unsigned": True})
    ),
    "meter shows zeros for 20 s at times": Named(
        ("+8 A on L1",),
        Option(house=_meter("zeros", *((at, at + 20) for at in range(900, 9000, 900)))),
    ),
    "a phase of the meter is dead for 10 min": Named(
        ("solar 6 kW",), Option(house=_meter("dead_phase", (3600, 4200)))
    ),
    "meter frozen for 20 min": Named(("solar 6 kW",), Option(house=_meter("frozen", (3600, 4800)))),
    "meter offline for 10 min, fast": Named(
        ("+14 A on L3",), Option(house=_meter("offline", (3600, 4200)))
    ),
    "island of 20 min, fast, battery": Named(
        (), Option(house={"islands": ((3600, 4800),)}, battery=BatterySpec())
    ),
    "tapering car in fast mode": Named(("tapering", "10 s, slow")),
    "2 A steps on 6 kW": Named(("2 A steps", "solar 6 kW", "10 s, slow")),
    "binding fuse, wobbling car": Named(
        ("wobbles", "20 A"), Option(step=LoadStep(0, 9.0, _END_S, _END_S - 600))
    ),
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A house, a car, a policy and a loop."""

    name: str
    options: tuple[str, ...]
    spec: HouseSpec
    policy: Policy
    sky: Sky
    steps: tuple[LoadStep, ...]
    link: Link
    interval_s: int
    learning_s: int
    held: Setpoint
    battery: BatterySpec | None

    @property
    def still(self) -> bool:
        """Whether surplus and load stand still, so that few changes can be needed."""
        moving = any(step.every_s < _END_S for step in self.steps) or self.sky.cloudy
        spec = self.spec
        return not (moving or spec.visits or spec.meter_faults or spec.islands)

    @property
    def most_changes_an_hour(self) -> int:
        return 12 if self.still else 40


def scenarios() -> list[Scenario]:
    """All scenarios, always the same."""
    made = [_scenario(", ".join(chosen), chosen, Option()) for chosen in pairwise()]
    for name, named in NAMED.items():
        chosen = tuple(
            next((option for option in named.options if option in AXES[axis]), quiet)
            for axis, quiet in zip(AXES, _QUIET, strict=True)
        )
        made.append(_scenario(name, chosen, named.own))
    return made


def pairwise() -> Iterator[tuple[str, ...]]:
    """Choices of one option per axis in which every possible pair of options occurs."""
    rng = random.Random(_SEED)
    open_pairs = {
        frozenset(pair)
        for one, other in combinations(AXES.values(), 2)
        for pair in product(one, other)
        if frozenset(pair) not in IMPOSSIBLE
    }
    while open_pairs:
        first = min(open_pairs, key=sorted)
        candidates = [_choice(rng, first) for _ in range(_CANDIDATES)]
        best = max(candidates, key=lambda chosen: len(open_pairs & _pairs(chosen)))
        if open_pairs & _pairs(best):
            open_pairs -= _pairs(best)
            yield best


def _choice(rng: random.Random, pair: frozenset[str]) -> tuple[str, ...]:
    while True:
        chosen = tuple(
            next((option for option in pair if option in options), rng.choice(list(options)))
            for options in AXES.values()
        )
        if not IMPOSSIBLE & _pairs(chosen):
            return chosen


def _pairs(chosen: tuple[str, ...]) -> set[frozenset[str]]:
    return {frozenset(pair) for pair in combinations(chosen, 2)}


def _scenario(name: str, chosen: tuple[str, ...], own: Option) -> Scenario:
    parts = [AXES[axis][option] for axis, option in zip(AXES, chosen, strict=True)] + [own]
    car = CarSpec(**{"energy_needed_kwh": 1000.0, **_merged(parts, "car")})
    charger = ChargerSpec(
        **{
            "circuit_max_current_a": (32.0,) * 3,
            "offline_max_current_a": (16.0,) * 3,
            **_merged(parts, "charger"),
        }
    )
    other = CarSpec(phases=3 if car.phases == 1 else 1, energy_needed_kwh=1000.0)
    visits = tuple(
        Visit(since, until, car if same else other)
        for part in parts
        for since, until, same in part.visits
    )
    spec = HouseSpec(car=car, charger=charger, visits=visits, **_merged(parts, "house"))
    surplus_w = _last(parts, "surplus_w")
    return Scenario(
        name=name,
        options=chosen,
        spec=replace(spec, seed=random.Random(name).randrange(1_000_000)),
        policy=Policy(main_fuse_a=int(spec.main_fuse_a), **_policy(parts)),
        sky=Sky(
            name,
            AWAKE_W if surplus_w is None else surplus_w + BASE_LOAD_W,
            any(part.cloudy for part in parts),
        ),
        steps=tuple(part.step for part in parts if part.step),
        link=_last(parts, "link"),
        interval_s=_last(parts, "interval_s"),
        learning_s=sum(part.learning_s for part in parts),
        held=_last(parts, "held") or PAUSED,
        battery=_last(parts, "battery"),
    )


def _policy(parts: list[Option]) -> dict[str, Any]:
    """The lowest of the highest currents counts: a boost stays one on a large fuse."""
    merged = _merged(parts, "policy")
    currents = [part.policy["max_current_a"] for part in parts if "max_current_a" in part.policy]
    return {**merged, "max_current_a": min(currents)} if currents else merged


def _merged(parts: list[Option], name: str) -> dict[str, Any]:
    return {key: value for part in parts for key, value in getattr(part, name).items()}


def _last(parts: list[Option], name: str) -> Any:
    return next((v for part in reversed(parts) if (v := getattr(part, name)) is not None), None)
