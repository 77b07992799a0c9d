"""What was planned, asked for or limited, for the cycle that obeys it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from easee_load_balancer.control.departures import ChargingWishes, ReadyBy
from easee_load_balancer.control.needs import CarSeen, needs
from easee_load_balancer.control.peak import PeakLimit
from easee_load_balancer.control.plan import CarLimit, GridAllowance, Plan, grid_allowance
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.errors import HistoryError
from easee_load_balancer.measurements import ChargerState
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.orchestration.other_chargers import Chargers, NamedCharger
from tasks.dimming import obey_dimming
from tasks.failures import Failures
from tasks.history import StoredState, in_time
from tasks.inbound import car_report
from tasks.ready_by import obey_ready_by
from tasks.requests import present

SEEN: dict[str, tuple[datetime, CarSeen]] = {}
"""Each car that is planned for, and when a cycle of this process saw it."""
_PLANS: dict[str, Plan] = {}


@dataclass(frozen=True, slots=True)
class Planned:
    """What counts in this cycle."""

    departure: ReadyBy | None = None
    grid: GridAllowance | None = None
    car_limit: CarLimit | None = None
    peak: PeakLimit | None = None
    plan: Plan | None = None
    wanted: bool = False
    """Whether there is something to plan for."""


async def planned(
    setup: Site,
    one: NamedCharger,
    zone: ZoneInfo,
    past: StoredState,
    now: datetime,
    charger: ChargerState,
    state: ControllerState,
    failures: Failures,
) -> Planned:
    """What counts for this car; nothing without wishes and without a departure asked for."""
    limit = await _limit(setup, past, now, charger, failures)
    asked = await present(past.departure, lambda row: obey_ready_by(row, now, charger), failures)
    departure = None if asked is None else asked.request
    if one.wishes is None and departure is None:
        return Planned(car_limit=limit)
    key = one.state_key
    _, before = SEEN.get(key, (now, None))
    seen = CarSeen.of(charger, one.policy, state, before)
    SEEN[key] = (now, seen)
    plan = await _last_plan(key)
    wishes, report = one.wishes or ChargingWishes(), car_report(key, now)
    need = needs(seen, wishes, one.policy, now, zone, departure, report)
    tariff, peak = setup.tariff, None
    if tariff.peak_price_per_kw and plan is not None and plan.peak_w is not None:
        peak = PeakLimit(plan.peak_w, int(tariff.peak_minutes))
    grid = grid_allowance(now, plan, need.car, need.departures)
    return Planned(departure, grid, limit, peak, plan, wanted=True)


def of_all(chargers: Chargers, plans: Sequence[Planned]) -> Planned:
    """What is planned for the cars of a home: what counts for the first, and for all together."""
    peaks = [one.peak for one in plans if one.peak is not None]
    said = [
        f"{one.name}: {each.plan.sentence}"
        for one, each in zip(chargers.all, plans, strict=True)
        if each.plan is not None
    ]
    known = next((one.plan for one in plans if one.plan is not None), None)
    return replace(
        plans[0],
        peak=max(peaks, key=lambda each: each.limit_w, default=None),
        plan=known and known.model_copy(update={"sentence": "; ".join(said)}),
        wanted=any(one.wanted for one in plans),
    )


async def _limit(
    setup: Site, past: StoredState, now: datetime, charger: ChargerState, failures: Failures
) -> CarLimit | None:
    """The lower one of the policy's limit and the one for a time."""
    asked = await present(past.dimming, lambda row: obey_dimming(row, now, charger), failures)
    dimmed = None if asked is None else asked.request.car_limit
    limits = [each for each in (CarLimit.of(setup.policy), dimmed) if each is not None]
    return min(limits, key=lambda each: each.limit_w, default=None)


async def _last_plan(key: str) -> Plan | None:
    """The stored plan, read again when there is a newer one; as last read where that fails."""
    known = _PLANS.get(key)
    try:
        made_at = await in_time(key, lambda history: history.plans.made_at(key))
        if made_at is None or (known is not None and known.made_at == made_at):
            return known if made_at is not None else None
        plan = await in_time(key, lambda history: history.plans.last(key))
    except HistoryError:  # the cycle says so when it is recorded
        return known
    if plan is not None:
        _PLANS[key] = plan
    return plan


def seen_session_kwh(site: str) -> float | None:
    """What the car has got since it was plugged in, as the last cycle saw it."""
    return SEEN[site][1].session_kwh if site in SEEN else None
