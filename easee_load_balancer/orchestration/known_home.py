"""What is known of a home whose cars are planned, and what the planner gets of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from easee_load_balancer.control.departures import ChargingWishes, ReadyBy
from easee_load_balancer.control.limits import unmetered_limit_a
from easee_load_balancer.control.needs import HORIZON, CarReport, CarSeen, Needs, needs
from easee_load_balancer.control.plan import CarLimit, HomeBattery, Plan, PlanInputs, needed_at
from easee_load_balancer.control.plan_slots import Past, beside, peak_tariff, plan_slots
from easee_load_balancer.control.power_estimate import NOMINAL_VOLTAGE_V
from easee_load_balancer.energy.price_table import PriceTable
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.orchestration.other_chargers import NamedCharger


@dataclass(frozen=True, slots=True)
class KnownCar:
    """A charger, the car as it was last seen, and the departure that was asked for."""

    charger: NamedCharger
    seen: CarSeen
    departure: ReadyBy | None = None
    report: CarReport | None = None
    """What the car itself has told."""

    @property
    def is_planned(self) -> bool:
        """Whether there is something to plan for."""
        return self.charger.wishes is not None or self.departure is not None


@dataclass(frozen=True, slots=True)
class KnownHome:
    """A home's past, prices and cars."""

    setup: Site
    now: datetime
    past: Past
    prices: PriceTable
    cars: tuple[KnownCar, ...]
    battery_soc_pct: float | None
    meter_sleeps: bool
    """Whether grid and house are unknown at night."""
    limit: CarLimit | None = None
    """For a time, and for all cars together."""
    away: bool = False
    """Whether nobody is expected at home with a car."""

    @property
    def planned(self) -> list[tuple[KnownCar, Needs]]:
        """The cars that are planned for and what they need, the most urgent first."""
        needed = [(car, self._needs(car)) for car in self.cars if car.is_planned]
        never = datetime.max.replace(tzinfo=UTC)
        return sorted(
            needed, key=lambda one: needed_at(self.now, one[1].car, one[1].departures) or never
        )

    def plan_inputs(self, one: NamedCharger, need: Needs, before: Sequence[Plan]) -> PlanInputs:
        """The planner's inputs for a car; `before`: plans of other cars, which come first."""
        policy, tariff = one.policy, self.setup.tariff
        phases = 1 if max(need.car.phases) == 1 else 3
        fuse_a = max(0, policy.main_fuse_a - policy.fuse_margin_a)
        here = max(1, sum(car.seen.connected for car in self.cars))
        peak = peak_tariff(tariff, self.past.import_w, self.now, self.prices.zone)
        return PlanInputs(
            now=self.now,
            slots=beside(plan_slots(self.prices, self.past, self.now, HORIZON), before),
            car=need.car.beside(here),
            departures=need.departures,
            charge_below_price=_wishes(one).charge_below_price,
            battery=self._battery,
            max_import_w=fuse_a * phases * NOMINAL_VOLTAGE_V,
            peak=peak and peak.reached_by(plan.peak_w for plan in before),
            asleep_limit_a=unmetered_limit_a(policy) if self.meter_sleeps else None,
            limit=self.limit and self.limit.shared_by(here),
            currency=tariff.currency,
            time_zone=self.prices.zone.key,
        )

    def _needs(self, car: KnownCar) -> Needs:
        return needs(
            car.seen,
            _wishes(car.charger),
            car.charger.policy,
            self.now,
            self.prices.zone,
            car.departure,
            car.report,
            away=self.away,
        )

    @property
    def _battery(self) -> HomeBattery | None:
        wishes = self.setup.wishes
        capacity_kwh = wishes.home_battery_kwh if wishes else 0.0
        if not capacity_kwh or self.battery_soc_pct is None:
            return None
        power_w = float(self.setup.policy.battery_reserve_w)
        return HomeBattery(
            energy_kwh=capacity_kwh * self.battery_soc_pct / 100,
            capacity_kwh=capacity_kwh,
            max_charge_w=power_w,
            max_discharge_w=power_w,
        )


def _wishes(one: NamedCharger) -> ChargingWishes:
    return one.wishes or ChargingWishes()
