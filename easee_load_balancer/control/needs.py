"""What the car needs and when, from the owner's wishes and what is known of the car. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from easee_load_balancer.control.departures import (
    USUALLY_AWAY,
    Amount,
    ChargingWishes,
    ReadyBy,
    upcoming,
)
from easee_load_balancer.control.limits import lowest_limit, possible_phases
from easee_load_balancer.control.plan import Car, Departure
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.measurements import ChargerMode, ChargerState
from easee_load_balancer.periods import QUARTER

HORIZON = timedelta(hours=120)
"""A car holds energy for days: the next cheap day is worth waiting for, once a plan can see it."""
_UNKNOWN_KWH = 200.0
"""Taken for the capacity of a car whose battery is not known; the car stops by itself."""


@dataclass(frozen=True, slots=True)
class CarSeen:
    """What the charger says about the car, or what was last known."""

    connected: bool
    session_kwh: float
    """What it has got since it was plugged in."""
    max_current_a: int
    phases: tuple[int, ...]
    charging: bool = False

    @classmethod
    def of(
        cls,
        charger: ChargerState,
        policy: Policy,
        state: ControllerState,
        before: CarSeen | None = None,
    ) -> CarSeen:
        """The car in this cycle; while the charger is unknown it counts as plugged in.

        What the last cycle saw (`before`) counts where the session counter is unknown, or shows one
        of the zeros that come and go while charging: else a floor would be charged again.
        """
        phases = possible_phases(charger, policy, state)
        limit_a, _ = lowest_limit(charger, policy, state.external_limit_a, max(phases))
        lines = tuple(sorted({state.car.lines.get(each, each) for each in phases}))
        here, charging = charger.car_connected is not False, charger.mode is ChargerMode.CHARGING
        session_kwh = charger.session_kwh
        if before is not None and (session_kwh is None or (charging and not session_kwh)):
            session_kwh = before.session_kwh
        return cls(
            connected=here,
            session_kwh=(session_kwh or 0.0) if here else 0.0,
            max_current_a=max(limit_a, policy.min_current_a),
            phases=lines,
            charging=charging,
        )

    @classmethod
    def recorded(
        cls, charger_mode: int | None, session_kwh: float | None, policy: Policy
    ) -> CarSeen:
        """The car as the history has it; one that it knows nothing of counts as plugged in."""
        here = charger_mode != ChargerMode.DISCONNECTED
        return cls(
            connected=here,
            session_kwh=(session_kwh or 0.0) if here else 0.0,
            max_current_a=policy.max_current_a,
            phases=policy.phase_counts,
            charging=charger_mode == ChargerMode.CHARGING,
        )


@dataclass(frozen=True, slots=True)
class CarReport:
    """What the car itself has reported, through another program."""

    soc_pct: float
    session_kwh: float = 0.0
    """What it had got since it was plugged in when it reported that."""
    limit_pct: float | None = None
    """State of charge up to which it charges."""


@dataclass(frozen=True, slots=True)
class Needs:
    """The car, and the departures for which it needs energy."""

    car: Car
    departures: tuple[Departure, ...]


def needs(
    seen: CarSeen,
    wishes: ChargingWishes,
    policy: Policy,
    now: datetime,
    zone: ZoneInfo,
    ready_by: ReadyBy | None = None,
    report: CarReport | None = None,
    *,
    away: bool = False,
) -> Needs:
    """What has to be in the car and when.

    Without its state of charge, the energy in the car counts from its return: each departure needs
    what is written for it.
    """
    capacity_kwh = wishes.car_battery_kwh
    known = None if capacity_kwh is None or report is None else report
    energy_kwh = seen.session_kwh
    highest_kwh = capacity_kwh or _UNKNOWN_KWH
    if known is not None and capacity_kwh is not None:
        since_kwh = max(0.0, seen.session_kwh - known.session_kwh) if seen.connected else 0.0
        energy_kwh = capacity_kwh * known.soc_pct / 100 + since_kwh
        highest_kwh = capacity_kwh * (known.limit_pct or 100) / 100
    car = Car(
        energy_kwh=energy_kwh,
        capacity_kwh=max(highest_kwh, energy_kwh),
        floor_kwh=wishes.floor_kwh,
        connected=seen.connected,
        connects_at=None if seen.connected or away else _connects_at(wishes, now, zone),
        charging=seen.charging,
        min_current_a=policy.min_current_a,
        max_current_a=seen.max_current_a,
        phases=seen.phases,
        max_power_w=policy.max_power_w,
    )
    rule = _Energy(energy_kwh - seen.session_kwh, wishes, known is not None)
    weekly = [
        Departure(at, rule.kwh(amount), rule.trip_kwh(amount), back)
        for at, back, amount in upcoming(wishes.weekly, now, now + HORIZON, zone)
    ]
    return Needs(car, tuple(_with_single(weekly, ready_by, car, rule)))


@dataclass(frozen=True, slots=True)
class _Energy:
    """How much has to be in the car for an amount."""

    at_return_kwh: float
    """What was in the car when it was plugged in."""
    wishes: ChargingWishes
    knows_soc: bool

    def kwh(self, amount: Amount) -> float:
        if amount.kwh is not None:
            return self.at_return_kwh + amount.kwh
        if self.knows_soc and self.wishes.car_battery_kwh is not None:
            return self.wishes.car_battery_kwh * (amount.soc_pct or 0.0) / 100
        return self.wishes.usual_trip_kwh

    def trip_kwh(self, amount: Amount) -> float:
        return self.wishes.usual_trip_kwh if amount.kwh is None else amount.kwh


def _with_single(
    weekly: list[Departure], ready_by: ReadyBy | None, car: Car, rule: _Energy
) -> Iterator[Departure]:
    """The weekly departures, with the one that was asked for in place of those of its trip.

    A usual departure shortly before it still has its energy, in case the car leaves then after all.
    """
    if ready_by is not None:
        missing_kwh = ready_by.missing_kwh
        energy_kwh = rule.kwh(ready_by.amount)
        if missing_kwh is not None:
            energy_kwh = car.energy_kwh + missing_kwh
        trip_kwh, back_at = rule.trip_kwh(ready_by.amount), ready_by.at + USUALLY_AWAY
        others = []
        for each in weekly:
            if ready_by.at <= each.at < ready_by.at + USUALLY_AWAY:  # leaves earlier than usual
                energy_kwh, back_at = max(energy_kwh, each.energy_kwh), each.back_at
            elif each.at < ready_by.at < each.back_at:  # leaves later: is still here meanwhile
                others.append(replace(each, trip_kwh=0.0, back_at=each.at))
            else:
                others.append(each)
        weekly = [*others, Departure(ready_by.at, energy_kwh, trip_kwh, back_at)]
    yield from sorted(weekly, key=lambda each: each.at)


def _connects_at(wishes: ChargingWishes, now: datetime, zone: ZoneInfo) -> datetime:
    """When a car that is away comes back: at the end of its trip, else at any moment."""
    begun = upcoming(wishes.weekly, now - timedelta(days=2), now, zone)
    return max((back for _, back, _ in begun if back > now), default=now + QUARTER)
