"""The charging plan: what it is made of, what it says, and what of it counts in a cycle.

`planner.make_plan` makes a `Plan` of `PlanInputs`; `balance` obeys it by `grid_allowance`. Pure: no
clock, no I/O. Energy in the car is counted from any zero, as long as it is the same in `Car` and
`Departure`: an empty battery where the state of charge is known, else the last departure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict

from easee_load_balancer.control.peak import PeakTariff
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.power_estimate import NOMINAL_VOLTAGE_V
from easee_load_balancer.periods import QUARTER

FULL_SHARE = 0.97
"""From this share of the highest power on, the car simply charges as fast as it may."""
WORTH_SAYING_KWH = 0.3
"""Charging with less than this from the grid is not mentioned: it only lifts the sun to the minimum
current, or is a part of an hour far ahead."""
PLAN_IS_OLD = timedelta(hours=1)
"""A plan that was made longer ago than this no longer counts."""


@dataclass(frozen=True, slots=True)
class PlanSlot:
    """A quarter-hour and what is expected in it."""

    start: datetime
    import_price: float
    """What a kWh from the grid costs the owner."""
    export_price: float
    pv_w: float
    load_w: float
    """What the house consumes, without any car."""
    price_known: bool = True
    """Whether the price is published rather than estimated."""
    usual_sun_w: float | None = None
    """What a car usually takes of the sun by itself at that time of day, the mean of several days;
    None: `pv_w` is a forecast."""
    other_cars_w: float = 0.0
    """What cars are to take whose plans come before this one."""

    @property
    def surplus_w(self) -> float:
        """PV that is left; negative: what the house and other cars take from the grid."""
        return self.pv_w - self.load_w - self.other_cars_w


@dataclass(frozen=True, slots=True)
class Departure:
    """A time by which a car has to have this much energy."""

    at: datetime
    energy_kwh: float
    """What has to be in the car then."""
    trip_kwh: float
    """What it comes back without."""
    back_at: datetime
    """When it is expected to be plugged in again."""


@dataclass(frozen=True, slots=True)
class Car:
    """The car that is plugged in, or the one that is expected."""

    energy_kwh: float
    """What is in it now."""
    capacity_kwh: float
    """What it can hold; a large number where that is unknown."""
    floor_kwh: float = 0.0
    """Charged at once and at any price up to this."""
    connected: bool = True
    charging: bool = False
    """Whether it charges now, so that going on is no start."""
    connects_at: datetime | None = None
    """When it is expected, while it is not plugged in; None: not before the horizon's end."""
    min_current_a: int = 6
    max_current_a: int = 16
    phases: tuple[int, ...] = (1, 3)
    """Numbers of phases it can be charged on."""
    max_power_w: float | None = None
    """The owner's limit of its power in W; None: there is none."""

    def beside(self, cars: int) -> Car:
        """With its part of the owner's limit, which is for this many cars together."""
        if self.max_power_w is None:
            return self
        return replace(self, max_power_w=self.max_power_w / cars)

    @property
    def max_w(self) -> float:
        """The most it can take."""
        most_w = self.max_current_a * max(self.phases) * NOMINAL_VOLTAGE_V
        return most_w if self.max_power_w is None else min(most_w, self.max_power_w)

    @property
    def min_w(self) -> float:
        """The least it can charge with."""
        return self.min_current_a * min(self.phases) * NOMINAL_VOLTAGE_V


@dataclass(frozen=True, slots=True)
class HomeBattery:
    """The house's battery, which takes what surplus the car leaves and supplies the house."""

    energy_kwh: float
    """What can be taken out of it now."""
    capacity_kwh: float
    max_charge_w: float
    max_discharge_w: float
    efficiency: float = 0.95
    """Of what is put in, what comes out again."""


@dataclass(frozen=True, slots=True)
class CarLimit:
    """A limit for the car from outside, such as the grid operator's dimming."""

    limit_w: float
    until: datetime | None = None
    """When it ends; None: it lasts."""
    source: str = "the grid operator"
    """Who set it, for the reason: "the grid operator (4.2 kW) allows 6 A"."""

    @classmethod
    def of(cls, policy: Policy) -> CarLimit | None:
        """The policy's own limit; None where it has none."""
        limit_w = policy.max_power_w
        return None if limit_w is None else cls(float(limit_w), source="the policy")

    def at(self, now: datetime) -> float | None:
        """The limit that counts now; None: it is over."""
        return None if self.until is not None and now >= self.until else self.limit_w

    def shared_by(self, cars: int) -> CarLimit:
        """The part of each of that many cars."""
        return replace(self, limit_w=self.limit_w / cars)


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """All that a plan is made of."""

    now: datetime
    slots: tuple[PlanSlot, ...]
    """Quarter-hours without a gap; the first one is running. 36 to 72 h, or what is known."""
    car: Car
    departures: tuple[Departure, ...] = ()
    charge_below_price: float | None = None
    """At this import price or less the car always charges."""
    battery: HomeBattery | None = None
    max_import_w: float | None = None
    """What main fuse and margin allow the house to import."""
    peak: PeakTariff | None = None
    later_price: float | None = None
    """What a kWh for the car costs after the horizon; None: a cheap price of the horizon."""
    asleep_limit_a: int | None = None
    """What the car gets without PV, because the inverter sleeps and its meter with it
    (`limits.unmetered_limit_a`); None: the meter is read at night too."""
    limit: CarLimit | None = None
    currency: str = "EUR"
    time_zone: str = "UTC"
    """In which times are shown to people."""


class PlannedSlot(BaseModel):
    """A quarter-hour of a plan."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    start: AwareDatetime
    grid_w: float
    """What the car may take beside the surplus."""
    car_w: float
    """What it is expected to take, the surplus included."""
    car_kwh: float
    """What is expected to be in the car at the end."""


class Unmet(BaseModel):
    """A departure that cannot be met, and what is possible."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: AwareDatetime
    energy_kwh: float
    possible_kwh: float
    """What will be in the car then, when it charges from now on with all it can take."""


class Plan(BaseModel):
    """What the car may take when; stored with the history."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    made_at: AwareDatetime
    slots: tuple[PlannedSlot, ...]
    sentence: str
    """For people: "01:15 to 03:30 at 11 A x 3 for 0.61 EUR; sun brings 8 kWh before 17:00"."""
    cost: float
    """What the planned charging costs, the export that it forgoes included."""
    solar_kwh: float
    """What the sun is expected to bring into the car within the plan."""
    grid_kwh: float
    unmet: tuple[Unmet, ...] = ()
    peak_w: float | None = None
    """What the month's highest intervals should not exceed; None: no such tariff."""

    def slot_at(self, now: datetime) -> PlannedSlot | None:
        """The running quarter-hour; None where the plan does not reach."""
        return next((slot for slot in self.slots if slot.start <= now < slot.start + QUARTER), None)

    def is_old(self, now: datetime) -> bool:
        """Whether it counts no more, or lies in the future."""
        return not timedelta(minutes=-1) <= now - self.made_at < PLAN_IS_OLD


@dataclass(frozen=True, slots=True)
class GridAllowance:
    """What the car may take from the grid in this cycle, and why."""

    grid_w: float
    """Beside the surplus; 0: the sun alone."""
    why: str = ""
    by_plan: bool = False
    """Whether a plan says so, rather than the floor, a latest start or nothing at all."""
    needed_at: datetime | None = None
    """When the car has to have the energy that it lacks; None: it lacks none."""

    def over(self, policy: Policy) -> Policy:
        """The policy while it lasts: without a pause, or at full power as in the mode fast."""
        if not self.grid_w or policy.mode not in ("solar", "solar+minimum"):
            return policy
        full_w = policy.max_current_a * max(policy.phase_counts) * NOMINAL_VOLTAGE_V
        mode = "fast" if self.grid_w >= FULL_SHARE * full_w else "solar+minimum"
        return policy.model_copy(update={"mode": mode})


FULL_POWER_SHARE = 0.9
"""The share of the car's highest power that the latest start counts on, beside house and fuse."""
LAST_MINUTES = timedelta(minutes=45)
"""This long before a departure its latest start counts beside the plan: it may be the last plan."""
READY_BEFORE = timedelta(minutes=15)
"""How long before a departure its energy should be in the car."""


def latest_start(car: Car, departure: Departure) -> datetime | None:
    """When the car has to begin, with all that it can take; None: it has its energy."""
    missing_kwh = min(departure.energy_kwh, car.capacity_kwh) - car.energy_kwh
    if missing_kwh <= 0:
        return None
    hours = missing_kwh * 1000 / (max(car.max_w, car.min_w) * FULL_POWER_SHARE)
    return departure.at - timedelta(hours=hours) - READY_BEFORE


def needed_at(now: datetime, car: Car, departures: Iterable[Departure]) -> datetime | None:
    """When the car has to have the energy that it lacks: now below the floor; None: it has it."""
    if car.energy_kwh < min(car.floor_kwh, car.capacity_kwh):
        return now
    ahead = (each for each in departures if each.at > now)
    lacking = (each.at for each in ahead if car.energy_kwh < min(each.energy_kwh, car.capacity_kwh))
    return min(lacking, default=None)


def grid_allowance(
    now: datetime, plan: Plan | None, car: Car, departures: Sequence[Departure]
) -> GridAllowance:
    """What counts in this cycle: the floor, else the plan, else each departure's latest start.

    Shortly before a departure its latest start counts beside the plan, which may be the last one.
    """
    urgency = needed_at(now, car, departures)
    if urgency == now:
        return GridAllowance(car.max_w, f"up to {car.floor_kwh:g} kWh at once", needed_at=now)
    slot = None if plan is None or plan.is_old(now) else plan.slot_at(now)
    within = timedelta.max if slot is None else LAST_MINUTES
    ahead = [each for each in departures if timedelta() < each.at - now <= within]
    starts = [(latest_start(car, each), each.energy_kwh) for each in ahead]
    late_kwh = [energy_kwh for start, energy_kwh in starts if start is not None and start <= now]
    if late_kwh:
        why = f"latest start for {round(max(late_kwh), 1):g} kWh"
        return GridAllowance(car.max_w, why, needed_at=urgency)
    if slot is None:
        return GridAllowance(0.0)
    why = "planned" if slot.grid_w else ""
    return GridAllowance(slot.grid_w, why, by_plan=True, needed_at=urgency)
