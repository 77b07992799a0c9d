"""The quarter-hours of a plan: prices, solar forecast, what the house usually does. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from statistics import fmean
from zoneinfo import ZoneInfo

from easee_load_balancer.control.peak import PeakTariff, highest_intervals
from easee_load_balancer.control.plan import Plan, PlanSlot
from easee_load_balancer.control.power_limits import interval_start
from easee_load_balancer.energy.outlook import RoofFactor, UsualLoad, UsualPv
from easee_load_balancer.energy.price_table import PriceTable
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.periods import QUARTER, quarter_of


@dataclass(frozen=True, slots=True)
class Past:
    """What the house did in past quarter-hours, by their start; gaps are left out."""

    pv_w: Mapping[datetime, float] = field(default_factory=dict)
    load_w: Mapping[datetime, float] = field(default_factory=dict)
    import_w: Mapping[datetime, float] = field(default_factory=dict)
    forecast_w: Mapping[datetime, float] = field(default_factory=dict)
    """The solar forecast of past and coming quarter-hours, before any scaling."""


def plan_slots(
    table: PriceTable, past: Past, now: datetime, horizon: timedelta
) -> tuple[PlanSlot, ...]:
    """What is expected of each quarter-hour from now on."""
    first, zone = quarter_of(now), table.zone
    load, usual_pv = UsualLoad.of(past.load_w, zone), UsualPv.of(past.pv_w, zone)
    usual_sun = UsualPv.left_to_car(past.pv_w, load, zone)
    roof = RoofFactor.learned(
        {start: watts for start, watts in past.forecast_w.items() if start < first},
        past.pv_w,
        zone,
    )
    slots = []
    for index, price in enumerate(table.expected(first, first + horizon)):
        start = first + index * QUARTER
        local, forecast_w = start.astimezone(zone), past.forecast_w.get(start)
        slots.append(
            PlanSlot(
                start=start,
                import_price=price.import_price,
                export_price=price.export_price,
                pv_w=usual_pv.at(local) if forecast_w is None else forecast_w * roof.at(local),
                load_w=load.at(local),
                price_known=price.is_known,
                usual_sun_w=usual_sun.at(local) if forecast_w is None else None,
            )
        )
    return tuple(slots)


def beside(slots: tuple[PlanSlot, ...], plans: Sequence[Plan]) -> tuple[PlanSlot, ...]:
    """The quarter-hours with what other cars are to take by their plans."""
    if not plans:
        return slots
    others_w: Counter[datetime] = Counter()
    for plan in plans:
        for planned in plan.slots:
            others_w[planned.start] += round(planned.car_w)
    return tuple(replace(slot, other_cars_w=float(others_w[slot.start])) for slot in slots)


def peak_tariff(
    prices: Prices, import_w: Mapping[datetime, float], now: datetime, zone: ZoneInfo
) -> PeakTariff | None:
    """The capacity tariff with the highest intervals of this month; None without one."""
    if not prices.peak_price_per_kw:
        return None
    local = now.astimezone(zone)
    begins = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    tariff = PeakTariff(
        price_per_kw=prices.peak_price_per_kw,
        highest=prices.peak_highest,
        minutes=int(prices.peak_minutes),
        different_days=prices.peak_different_days,
        free_w=prices.peak_free_w,
        month_ends=(begins + timedelta(days=32)).replace(day=1),
    )
    intervals: dict[datetime, list[float]] = defaultdict(list)
    for start, watts in import_w.items():
        if start >= begins:  # in UTC: the hour that a clock change repeats is two intervals
            intervals[interval_start(start.astimezone(UTC), tariff.minutes)].append(watts)
    means = [(begin.astimezone(zone), fmean(watts)) for begin, watts in intervals.items()]
    return replace(tariff, so_far_w=highest_intervals(means, tariff))
