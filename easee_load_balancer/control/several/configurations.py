"""Which of several cars charge from the surplus, and on how many phases.

One car on three phases, or two on one: a configuration is weighed as a whole by what all cars
together would take, and changed once another one has gained more than the change costs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from easee_load_balancer.control.several.cars import Car
from easee_load_balancer.control.state import Choice

RANK_WEIGHT = 0.2
"""What a kWh for the next priority counts: no more than starts a car from what is left over."""
CALM_W = 700.0
"""Equal cars may differ by this much before both are changed."""
BEHIND_KWH = 2.0
"""A car that has got this much less than an equal one is preferred,"""
BEHIND_SHARE, MOST_SHARE = 0.1, 0.5
"""as if it took this much more of what it takes: more the further it is behind."""

Configuration = tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """What a car draws on its phases at its least and at its most, in W, and a step of 1 A."""

    least_w: float
    most_w: float
    step_w: float

    @classmethod
    def of(cls, car: Car, choice: Choice, most_a: int) -> Range:
        """That of a car on that many phases, with at most that many amperes."""
        case, least_a = car.case, car.least_a
        if choice == 0:
            return cls(0.0, 0.0, 1.0)
        step_w = case.estimator.watts_per_ampere(choice)
        most_w = case.draw_w(max(least_a, most_a), choice)
        return cls(case.draw_w(least_a, choice), most_w, step_w)

    def snapped(self, power_w: float, more: float = 0.0) -> float:
        """That power rounded down to a whole ampere; `more`: rounded up from this share on."""
        steps = math.floor((power_w - self.least_w) / self.step_w + more)
        return max(self.least_w, min(self.least_w + max(0, steps) * self.step_w, self.most_w))


def candidates(cars: Sequence[Car]) -> list[Configuration]:
    """All configurations of these cars."""
    return list(product(*(car.choices for car in cars)))


def ranks(cars: Sequence[Car]) -> list[int]:
    """The rank of each car among these: 0 for the highest priority."""
    order = sorted({car.one.priority for car in cars})
    return [order.index(car.one.priority) for car in cars]


def spread(
    ranges: Sequence[Range],
    ranks: Sequence[int],
    surplus_w: float,
    more: float,
    present_w: Sequence[float] = (),
) -> list[float]:
    """What each car is to draw in W: the least for all, then what is left by rank.

    Among equal ones it is shared alike, and one of them, that with the finest steps, takes what
    is left over: so the others stay where they are (`present_w`) unless that is far from fair.
    """
    power_w = [0.0] * len(ranges)
    left_w, later_w = surplus_w, sum(one.least_w for one in ranges)
    for rank in sorted(set(ranks)):
        members = [k for k, own in enumerate(ranks) if own == rank and ranges[k].most_w]
        later_w -= sum(ranges[k].least_w for k in members)
        if not members:
            continue
        _among_equals(power_w, ranges, members, left_w - later_w, more, present_w)
        left_w -= sum(power_w[k] for k in members)
    return power_w


def _among_equals(
    power_w: list[float],
    ranges: Sequence[Range],
    members: Sequence[int],
    available_w: float,
    more: float,
    present_w: Sequence[float],
) -> None:
    finest = min(members, key=lambda k: ranges[k].step_w)
    level_w = _level_w([ranges[k] for k in members], available_w)
    rest_w = available_w
    for k in members:
        if k != finest:
            fair_w = max(ranges[k].least_w, min(level_w, ranges[k].most_w))
            stays = bool(present_w) and abs(present_w[k] - fair_w) <= CALM_W
            power_w[k] = ranges[k].snapped(present_w[k] if stays else fair_w, 0.5 if stays else 0.0)
            rest_w -= power_w[k]
    one = ranges[finest]
    if rest_w < one.least_w:  # the others have stayed where they cannot
        for k in members:
            if k != finest and rest_w < one.least_w:
                lower_w = ranges[k].snapped(power_w[k] - (one.least_w - rest_w))
                rest_w += power_w[k] - lower_w
                power_w[k] = lower_w
    elif rest_w > one.most_w:
        for k in members:
            if k != finest and rest_w > one.most_w:
                higher_w = ranges[k].snapped(power_w[k] + (rest_w - one.most_w), more)
                rest_w -= higher_w - power_w[k]
                power_w[k] = higher_w
    power_w[finest] = one.snapped(rest_w, more)


def _level_w(ranges: Sequence[Range], available_w: float) -> float:
    """The power up to which all of them are filled alike."""
    low_w, high_w = 0.0, max(one.most_w for one in ranges)
    for _ in range(12):
        level_w = (low_w + high_w) / 2
        if sum(max(one.least_w, min(level_w, one.most_w)) for one in ranges) > available_w:
            high_w = level_w
        else:
            low_w = level_w
    return low_w


@dataclass(frozen=True, slots=True)
class Weigher:
    """What a configuration is worth to all cars together."""

    ranks: Sequence[int]
    grid_weight: float
    more: float
    """From which share on the next ampere is taken."""
    behind: Sequence[float]
    """By how much more of its power each car is preferred."""

    def worth_w(self, ranges: Sequence[Range], surplus_w: float) -> float:
        """Its solar power less its weighted grid power; what comes later in rank counts less."""
        powers = spread(ranges, self.ranks, surplus_w, self.more)
        left_w, worth_w = max(0.0, surplus_w), 0.0
        for rank in sorted(set(self.ranks)):
            members = [k for k, own in enumerate(self.ranks) if own == rank]
            power_w = sum(powers[k] for k in members)
            solar_w = min(power_w, left_w)
            left_w -= solar_w
            gained_w = solar_w - self.grid_weight * (power_w - solar_w)
            gained_w += sum(powers[k] * self.behind[k] for k in members)
            worth_w += RANK_WEIGHT**rank * gained_w
        return worth_w

    def threshold_wh(
        self, cars: Sequence[Car], present: Configuration, other: Configuration
    ) -> float:
        """What has to be gained before the cars are changed from one to the other."""
        changes = zip(cars, self.ranks, present, other, strict=True)
        return sum(
            RANK_WEIGHT**rank * car.case.switching_threshold_wh(then)
            for car, rank, now, then in changes
            if now != then
        )


def behind(cars: Sequence[Car]) -> list[float]:
    """By how much each car is preferred that has got less in its session than an equal one."""
    got = [(car.one.priority, car.case.inputs.charger.session_kwh) for car in cars]
    most: dict[int, float] = {}
    for priority, kwh in got:
        most[priority] = max(kwh or 0.0, most.get(priority, 0.0))
    lags = [0.0 if kwh is None else most[priority] - kwh for priority, kwh in got]
    return [
        min(MOST_SHARE, BEHIND_SHARE * lag / BEHIND_KWH) if lag > BEHIND_KWH else 0.0
        for lag in lags
    ]


def key_of(names: Sequence[str], configuration: Sequence[Choice]) -> str:
    """The name under which what a configuration has gained is remembered."""
    return " ".join(f"{name}:{choice}" for name, choice in zip(names, configuration, strict=True))


def best_of(
    gained_wh: Mapping[Configuration, float], thresholds_wh: Mapping[Configuration, float]
) -> Configuration | None:
    """The configuration that has gained most of those that have gained enough."""
    ripe = [one for one, wh in gained_wh.items() if wh > thresholds_wh[one]]
    return max(ripe, key=lambda one: gained_wh[one], default=None)
