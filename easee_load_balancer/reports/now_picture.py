"""Today so far as a small SVG, drawn without matplotlib: a worker draws it every five minutes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

from easee_load_balancer.energy.day_so_far import DaySoFar, Flows
from easee_load_balancer.reports.colours import (
    BATTERY,
    CAR,
    FAINT,
    GRID,
    HOUSE,
    SOLAR,
)
from easee_load_balancer.reports.svg import svg

_WIDTH, _HEIGHT = 600, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 590, 58, 272
_LEAST_KW = 2
_MOST_LINES = 5
_LAYERS = {"house": HOUSE, "car: solar": CAR, "battery": BATTERY, "grid": GRID}

Steps = Sequence[tuple[int, float]]
"""Powers in W by the number of their quarter of an hour."""


def day_svg(day: DaySoFar, zone: ZoneInfo) -> bytes:
    """PV as a line; house and car, the latter by source, as areas on each other."""
    means = list(day.means())
    highest_w = max((max(one.pv, one.house + one.car) for _, one in means), default=0.0)
    scale = _Scale(max(_LEAST_KW, math.ceil(highest_w / 1000)), day.bin_count)
    tops = [(number, _tops(one)) for number, one in means]
    areas = [
        _area(scale, [(number, top[layer]) for number, top in tops], colour)
        for layer, colour in enumerate(_LAYERS.values())
    ]
    return svg(
        _WIDTH,
        _HEIGHT,
        [
            *_axes(scale, day, zone),
            *reversed(areas),
            _line(scale, [(number, one.pv) for number, one in means], SOLAR),
            *_legend({"PV": SOLAR, **_LAYERS}),
        ],
    )


class _Scale:
    """Where a moment and a power are in the picture."""

    def __init__(self, top_kw: int, bins: int) -> None:
        self.top_kw, self._bins = top_kw, bins

    def x(self, number: float) -> int:
        return round(_LEFT + (_RIGHT - _LEFT) * number / self._bins)

    def y(self, power_w: float) -> int:
        return round(_BOTTOM - (_BOTTOM - _TOP) * max(power_w, 0.0) / 1000 / self.top_kw)


def _tops(one: Flows) -> tuple[float, float, float, float]:
    """How high the layers reach."""
    house = max(one.house, 0.0)
    solar = house + one.car_from_solar
    return house, solar, solar + one.car_from_battery, house + one.car


def _runs(steps: Steps) -> Iterator[Steps]:
    """The parts without a gap."""
    start = 0
    for index in range(1, len(steps) + 1):
        if index == len(steps) or steps[index][0] != steps[index - 1][0] + 1:
            yield steps[start:index]
            start = index


def _path(scale: _Scale, run: Steps) -> str:
    """The steps; equal neighbours are one, so that a night takes no room."""
    x, y = scale.x(run[0][0]), scale.y(run[0][1])
    path = f"M{x} {y}"
    for number, power_w in run[1:]:
        if (next_y := scale.y(power_w)) != y:
            path += f"h{scale.x(number) - x}v{next_y - y}"
            x, y = scale.x(number), next_y
    return f"{path}H{scale.x(run[-1][0] + 1)}"


def _area(scale: _Scale, steps: Steps, colour: str) -> str:
    closed = (f"{_path(scale, run)}V{_BOTTOM}H{scale.x(run[0][0])}z" for run in _runs(steps))
    return f'<path fill="{colour}" d="{"".join(closed)}"/>'


def _line(scale: _Scale, steps: Steps, colour: str) -> str:
    paths = "".join(_path(scale, run) for run in _runs(steps))
    return f'<path fill="none" stroke="{colour}" stroke-width="3" d="{paths}"/>'


def _axes(scale: _Scale, day: DaySoFar, zone: ZoneInfo) -> Iterator[str]:
    """Powers on the left, hours below."""
    lines = ""
    for kw in range(0, scale.top_kw + 1, math.ceil(scale.top_kw / _MOST_LINES)):
        y = scale.y(1000 * kw)
        lines += f"M{_LEFT} {y}H{_RIGHT}"
        yield f'<text x="{_LEFT - 8}" y="{y + 6}" text-anchor="end">{kw}</text>'
    for hour in range(0, 24, 3):
        at = day.start.astimezone(zone).replace(hour=hour).astimezone(day.start.tzinfo)
        x = round(_LEFT + (_RIGHT - _LEFT) * ((at - day.start) / (day.end - day.start)))
        lines += f"M{x} {_TOP}V{_BOTTOM}"
        yield f'<text x="{x}" y="{_BOTTOM + 20}" text-anchor="middle">{hour}</text>'
    yield f'<path stroke="{FAINT}" d="{lines}"/>'


def _legend(names: Mapping[str, str]) -> Iterator[str]:
    yield '<text x="14" y="22" font-weight="bold">Today, kW</text>'
    x = 14
    for name, colour in names.items():
        yield f'<rect x="{x}" y="33" width="13" height="13" fill="{colour}"/>'
        yield f'<text x="{x + 19}" y="45">{name}</text>'
        x += 40 + round(9.5 * len(name))
