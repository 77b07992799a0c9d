"""The page of a charging plan: what is charged when and why, and what it is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from easee_load_balancer.control.plan import WORTH_SAYING_KWH, Departure, Plan, PlanSlot
from easee_load_balancer.periods import QUARTER
from easee_load_balancer.reports.markdown import UNKNOWN, as_kwh, as_table, embedded_svg
from easee_load_balancer.reports.plan_picture import plan_svg

_PLANNED_W = 100.0
_MOST_KWH = 100.0
"""If the car's battery is unknown, the expected sun adds up to more than it can hold."""


@dataclass(frozen=True, slots=True)
class PlanReport:
    """A plan and what it was made of."""

    plan: Plan
    slots: Sequence[PlanSlot]
    departures: Sequence[Departure]
    zone: ZoneInfo
    currency: str
    warnings: Sequence[str] = ()
    """What was missing, and what was used instead."""
    forecast: str = ""
    """Where the solar forecast is from."""
    charger: str = ""
    """The name of the charger where a home has several."""

    @property
    def sentence(self) -> str:
        """The plan in a sentence."""
        sentence = f"{self.plan.sentence}."
        return f"{self.charger}: {sentence}" if self.charger else sentence


def plans_page(reports: Sequence[PlanReport]) -> str:
    """The plan of each car as markdown, one below the other."""
    titles = [f"# {one.charger}\n\n" if one.charger else "" for one in reports]
    return "\n".join(title + _plan_page(one) for title, one in zip(titles, reports, strict=True))


def _plan_page(report: PlanReport) -> str:
    plan, zone = report.plan, report.zone
    named = [charge for charge in _charges(report) if charge.kwh >= WORTH_SAYING_KWH]
    charges = [_shown(charge, zone) for charge in named]
    parts = [
        f"## {plan.sentence}",
        f"Made {plan.made_at.astimezone(zone):%a %H:%M}. Solar energy is used whenever there is "
        "any; this is what comes from the grid in addition.",
        *(f"**{warning}**" for warning in report.warnings),
        embedded_svg(plan_svg(plan, report.slots, report.departures, zone), "Plan"),
        "## Departures",
        as_table(("Leaves", "In the car by then", "Expected"), "lrr", [*_departures(report)])
        if report.departures
        else "None in the next five days.",
        "## From the grid",
        as_table(("From", "Until", "kWh", report.currency), "llrr", charges)
        if charges
        else "Nothing.",
        _sources(report),
    ]
    return "\n\n".join(parts) + "\n"


def _departures(report: PlanReport) -> Iterator[tuple[str, str, str]]:
    unmet = {one.at: one.possible_kwh for one in report.plan.unmet}
    for departure in report.departures:
        before = [slot for slot in report.plan.slots if slot.start + QUARTER <= departure.at]
        expected = before[-1].car_kwh if before else None
        if departure.at in unmet:
            shown = f"only {as_kwh(unmet[departure.at])} kWh"
        else:
            shown = UNKNOWN if expected is None else f"{as_kwh(expected)} kWh"
            shown = shown if (expected or 0.0) <= _MOST_KWH else f"over {_MOST_KWH:.0f} kWh"
        at = departure.at.astimezone(report.zone)
        yield f"{at:%a %H:%M}", f"{as_kwh(departure.energy_kwh)} kWh", shown


class _Charge(NamedTuple):
    """A time with energy from the grid."""

    begun: datetime
    until: datetime
    kwh: float
    cost: float


def _charges(report: PlanReport) -> Iterator[_Charge]:
    """Runs of quarter-hours with planned energy from the grid."""
    price = {slot.start: slot.import_price for slot in report.slots}
    charge: _Charge | None = None
    for slot in report.plan.slots:
        if charge is not None and (slot.grid_w < _PLANNED_W or slot.start > charge.until):
            yield charge
            charge = None
        if slot.grid_w >= _PLANNED_W:
            begun, _, kwh, cost = charge or _Charge(slot.start, slot.start, 0.0, 0.0)
            more_kwh = slot.grid_w / 1000 * (QUARTER / timedelta(hours=1))
            more = more_kwh * price.get(slot.start, 0.0)
            charge = _Charge(begun, slot.start + QUARTER, kwh + more_kwh, cost + more)
    if charge is not None:
        yield charge


def _shown(charge: _Charge, zone: ZoneInfo) -> tuple[str, str, str, str]:
    begun, until = (f"{at.astimezone(zone):%a %H:%M}" for at in charge[:2])
    return begun, until, as_kwh(charge.kwh), f"{charge.cost:.2f}"


def _sources(report: PlanReport) -> str:
    known = [slot.start + QUARTER for slot in report.slots if slot.price_known]
    until = f"{max(known).astimezone(report.zone):%a %H:%M}" if known else "now"
    solar_kwh = sum(slot.pv_w for slot in report.slots[:96]) / 4000
    return (
        f"Prices are known until {until}; pale bars are estimated from the last four weeks. "
        f"Expected from PV in the next 24 hours: {as_kwh(solar_kwh)} kWh ({report.forecast}). "
        "This page is updated every quarter of an hour: reload it."
    )
