"""A plan as a small SVG, drawn without matplotlib: it is made every quarter of an hour."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from easee_load_balancer.control.plan import Departure, Plan, PlanSlot
from easee_load_balancer.periods import QUARTER
from easee_load_balancer.reports.colours import CAR, EXPORT, FAINT, GRID, INK, SOLAR
from easee_load_balancer.reports.svg import svg

_WIDTH, _HEIGHT = 600, 500
_LEFT, _RIGHT = 46, 592
_PRICES, _POWER = (74, 236), (300, 462)
"""Top and bottom of the two panels."""
SHOWN = timedelta(hours=36)
"""Anything later is planned again many times before it happens."""
_LEGEND_PX = 10.5
"""Width of a letter."""
_GUESSED = 0.45
_APART_PX = 120
"""A departure closer than this to the one before is not drawn."""


def plan_svg(
    plan: Plan, slots: Sequence[PlanSlot], departures: Sequence[Departure], zone: ZoneInfo
) -> bytes:
    """Prices above; expected PV and the car's planned power below; departures as lines."""
    shown = [slot for slot in slots if slot.start < slots[0].start + SHOWN]
    grid_w = {slot.start: slot.grid_w for slot in plan.slots}
    car_w = {slot.start: slot.car_w for slot in plan.slots}
    prices = [slot.import_price for slot in shown]
    price_scale = _Scale(shown, *_PRICES, min(0.0, *prices), max(prices))
    highest_w = max(max(slot.pv_w, car_w.get(slot.start, 0.0)) for slot in shown)
    power_scale = _Scale(shown, *_POWER, 0.0, math.ceil(max(highest_w, 2000.0) / 1000))
    solar_kw = [max(0.0, car_w.get(at.start, 0.0) - grid_w.get(at.start, 0.0)) for at in shown]
    total_kw = [car_w.get(at.start, 0.0) / 1000 for at in shown]
    parts = [
        *_legend(24, {"Price per kWh": EXPORT, "while charging": GRID}),
        *_legend(264, {"kW: PV": SOLAR, "car, sun": CAR, "car, grid": GRID}),
        *price_scale.grid(_steps(price_scale.low, price_scale.high), ".2f"),
        *price_scale.hours(zone, labels=False),
        *_price_bars(price_scale, shown, grid_w),
        *power_scale.grid(_steps(0.0, power_scale.high), ".0f"),
        *power_scale.hours(zone, labels=True),
        _area(power_scale, total_kw, GRID),
        _area(power_scale, [watts / 1000 for watts in solar_kw], CAR),
        _line(power_scale, [slot.pv_w / 1000 for slot in shown]),
        *_departures(power_scale, departures, zone),
    ]
    return svg(_WIDTH, _HEIGHT, parts)


class _Scale:
    """Where a moment and a value are in a panel."""

    def __init__(
        self, slots: Sequence[PlanSlot], top: float, bottom: float, low: float, high: float
    ) -> None:
        self.start, self.end = slots[0].start, slots[-1].start + QUARTER
        self.top, self.bottom = top, bottom
        self.low, self.high = low, max(high, low + 1e-3)

    def x(self, at: datetime) -> float:
        return _LEFT + (_RIGHT - _LEFT) * ((at - self.start) / (self.end - self.start))

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.bottom - (self.bottom - self.top) * min(max(share, 0.0), 1.0)

    def grid(self, values: Sequence[float], form: str) -> Iterator[str]:
        """Lines across with their values."""
        for value in values:
            y = self.y(value)
            yield f'<path d="M{_LEFT} {y:.1f}H{_RIGHT}" stroke="{FAINT}"/>'
            yield f'<text x="{_LEFT - 6}" y="{y + 5:.1f}" text-anchor="end" font-size="14">'
            yield f"{value:{form}}</text>"

    def hours(self, zone: ZoneInfo, *, labels: bool) -> Iterator[str]:
        """A mark every six hours of the local clock, at midnight with the day."""
        at = self.start
        while at < self.end:
            local, x = at.astimezone(zone), self.x(at)
            if local.minute == 0 and local.hour % 6 == 0:
                yield f'<path d="M{x:.1f} {self.top}V{self.bottom}" stroke="{FAINT}"/>'
                name = f"{local:%a}" if local.hour == 0 else f"{local:%H}"
                if labels:
                    yield f'<text x="{x:.1f}" y="{self.bottom + 20}" text-anchor="middle">'
                    yield f"{name}</text>"
            at += QUARTER


def _price_bars(
    scale: _Scale, slots: Sequence[PlanSlot], grid_w: Mapping[datetime, float]
) -> Iterator[str]:
    """A bar for each quarter-hour; pale where the price is a guess."""
    zero = scale.y(0.0)
    for slot in slots:
        x, until = scale.x(slot.start), scale.x(slot.start + QUARTER)
        y = scale.y(slot.import_price)
        colour = GRID if grid_w.get(slot.start, 0.0) > 0 else EXPORT
        opacity = "" if slot.price_known else f' opacity="{_GUESSED}"'
        yield (
            f'<rect x="{x:.1f}" y="{min(y, zero):.1f}" width="{until - x:.1f}" '
            f'height="{max(abs(zero - y), 0.5):.1f}" fill="{colour}"{opacity} '
            'shape-rendering="crispEdges"/>'
        )


def _area(scale: _Scale, values: Sequence[float], colour: str) -> str:
    points = [f"M{_LEFT} {scale.bottom}"]
    for index, value in enumerate(values):
        at = scale.start + index * QUARTER
        points.append(f"L{scale.x(at):.1f} {scale.y(value):.1f}H{scale.x(at + QUARTER):.1f}")
    return f'<path d="{"".join(points)}V{scale.bottom}Z" fill="{colour}"/>'


def _line(scale: _Scale, values: Sequence[float]) -> str:
    points = [
        f"{scale.x(scale.start + (index + 0.5) * QUARTER):.1f} {scale.y(value):.1f}"
        for index, value in enumerate(values)
    ]
    return (
        f'<path d="M{"L".join(points)}" fill="none" stroke="{SOLAR}" stroke-width="3" '
        'stroke-linejoin="round"/>'
    )


def _departures(scale: _Scale, departures: Sequence[Departure], zone: ZoneInfo) -> Iterator[str]:
    named = -math.inf
    for departure in departures:
        if not scale.start < departure.at < scale.end:
            continue
        x = scale.x(departure.at)
        if x - named < _APART_PX:
            continue
        named = x
        side = "end" if x > _WIDTH / 2 else "start"
        shift = -6 if side == "end" else 6
        yield f'<path d="M{x:.1f} {_PRICES[0]}V{scale.bottom}" stroke="{INK}" '
        yield 'stroke-width="2" stroke-dasharray="5 4"/>'
        yield f'<text x="{x + shift:.1f}" y="{_PRICES[0] - 10}" text-anchor="{side}" '
        yield f'font-size="15">leaves {departure.at.astimezone(zone):%H:%M}</text>'


def _legend(y: float, names: Mapping[str, str]) -> Iterator[str]:
    x = float(_LEFT)
    for name, colour in names.items():
        yield f'<rect x="{x:.0f}" y="{y - 12}" width="14" height="14" fill="{colour}"/>'
        yield f'<text x="{x + 20:.0f}" y="{y}">{name}</text>'
        x += 36 + _LEGEND_PX * len(name)


def _steps(low: float, high: float) -> list[float]:
    """Round values from low to high, three to five of them."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * part for part in (1, 2, 5, 10) if power * part >= rough)
    first = math.ceil(low / step)
    return [step * index for index in range(first, math.floor(high / step) + 1)]
