"""The result of a backtest: days as recorded, and replayed under the policy and its change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from easee_load_balancer.backtest.planned_sessions import SessionCosts
from easee_load_balancer.backtest.recorded_days import RecordedDay
from easee_load_balancer.backtest.replay import HouseModel
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.energy.totals import Energy
from easee_load_balancer.periods import Period
from easee_load_balancer.simulation.plant.closed_loop import Outcome

_MAX_ERROR = 0.1
"""A model that is further off says nothing about another policy."""
_LEAST_KWH = 1.0


@dataclass(frozen=True)
class Replayed:
    """A day as it was recorded and as it was replayed."""

    recorded: RecordedDay
    current: Outcome
    """Under the current policy."""
    changed: Outcome
    """Under the changed policy; the same outcome if nothing is changed."""


@dataclass(frozen=True)
class Backtest:
    """Recorded days under the current policy and under a changed one."""

    site: str
    period: Period
    change: str
    """What is different; empty: nothing."""
    house: HouseModel
    days: Mapping[date, Replayed]
    prices: Prices = field(default_factory=Prices)
    left_out: Mapping[date, float] = field(default_factory=dict)
    """Days measured for too little of their daylight, and the share that was measured."""
    costs: SessionCosts | None = None
    """What the recorded charging cost; None where no price changes in time."""

    @cached_property
    def current(self) -> Mapping[date, Energy]:
        """The model's energy of each day under the current policy."""
        return {day: energy(one.current) for day, one in self.days.items()}

    @cached_property
    def changed(self) -> Mapping[date, Energy]:
        """The same under the changed policy."""
        return {day: energy(one.changed) for day, one in self.days.items()}

    @cached_property
    def recorded(self) -> Mapping[date, Energy]:
        """What was measured; without days that this project did not record."""
        pairs = ((day, one.recorded.energy) for day, one in self.days.items())
        return {day: measured for day, measured in pairs if measured is not None}

    @property
    def car_kwh(self) -> tuple[float, float]:
        """The car's energy on the recorded days: as recorded, and as the model gives it."""
        recorded = total(self.recorded.values())
        return recorded.car_kwh, total(self.current[day] for day in self.recorded).car_kwh

    @property
    def error_pct(self) -> float | None:
        """How much more the model charges than was recorded."""
        recorded_kwh, replayed_kwh = self.car_kwh
        return 100 * (replayed_kwh / recorded_kwh - 1) if recorded_kwh >= _LEAST_KWH else None

    @property
    def is_reliable(self) -> bool:
        """Whether the model charges about as much as was recorded, as far as anything was."""
        recorded_kwh, replayed_kwh = self.car_kwh
        return abs(replayed_kwh - recorded_kwh) <= max(_MAX_ERROR * recorded_kwh, _LEAST_KWH)

    @property
    def gain(self) -> float:
        """What the change is worth compared with charging at night, in the tariff's currency."""
        old, new = total(self.current.values()), total(self.changed.values())
        return self.prices.solar_gain * (
            new.car_from_solar_kwh - old.car_from_solar_kwh
        ) - self.prices.grid_loss * (new.car_from_grid_kwh - old.car_from_grid_kwh)


def energy(outcome: Outcome) -> Energy:
    """What a replay gives for the car and the grid."""
    return Energy(
        car_kwh=outcome.solar_kwh + outcome.battery_kwh + outcome.grid_kwh,
        car_from_solar_kwh=outcome.solar_kwh,
        car_from_battery_kwh=outcome.battery_kwh,
        car_from_grid_kwh=outcome.grid_kwh,
        import_kwh=outcome.imported_kwh,
        export_kwh=outcome.exported_kwh,
        starts=outcome.starts,
        phase_changes=outcome.phase_changes,
    )


def total(days: Iterable[Energy]) -> Energy:
    """The sum of several days."""
    return sum(days, Energy())
