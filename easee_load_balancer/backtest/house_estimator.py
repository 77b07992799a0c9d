"""The battery and the car, estimated from recorded cycles; the page of the backtest shows both."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from easee_load_balancer.backtest.replay import HouseModel
from easee_load_balancer.control.car_model import CAR_UNDERDRAW_A
from easee_load_balancer.control.power_estimate import DRAWING_W, NOMINAL_VOLTAGE_V
from easee_load_balancer.energy.resampling import Floats, seconds
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.plant import BatterySpec

_STEADY_CYCLES = 4
"""A car has settled when its setpoint has not changed for this many cycles."""
_MAX_STEP_H = 0.05


@dataclass
class HouseEstimator:
    """Collects what the cycles of each day show."""

    soc: list[tuple[Floats, Floats]] = field(default_factory=list)
    """Per day: state of charge in % and stored energy in Wh, both around their means."""
    battery_w: float = 0.0
    """The highest power into or out of the battery."""
    phases: list[Floats] = field(default_factory=list)
    """How many phases the car used when it was offered three."""
    current_a: list[Floats] = field(default_factory=list)
    """Offered per phase and drawn on all phases together, while steady on three phases."""

    def add(self, cycles: pd.DataFrame) -> None:
        """Add the cycles of a day."""
        known = cycles.dropna(subset=["battery_soc_pct", "battery_charge_w"])
        if len(known) > 1:
            charge_w = known["battery_charge_w"].to_numpy()
            hours = np.diff(seconds(known["at"]), append=np.nan) / 3600
            hours = np.where(hours < _MAX_STEP_H, hours, 0.0)
            stored_wh = np.concatenate(([0.0], np.cumsum(charge_w * hours)[:-1]))
            soc = known["battery_soc_pct"].to_numpy()
            self.soc.append((soc - soc.mean(), stored_wh - stored_wh.mean()))
            self.battery_w = max(self.battery_w, float(np.quantile(np.abs(charge_w), 0.999)))
        offer = cycles[["setpoint_a", "setpoint_phases", "car_phases"]]
        settled = (offer == offer.shift()).all(axis=1).rolling(_STEADY_CYCLES).min() == 1
        charging = (cycles["car_w"] > DRAWING_W) & (cycles["setpoint_a"] > 0)
        three = cycles[settled & charging & (cycles["car_phases"] == 3)]
        offered_a = three["setpoint_a"].to_numpy()
        drawn_a = three["car_w"].to_numpy() / NOMINAL_VOLTAGE_V
        self.phases.append(drawn_a / (offered_a - CAR_UNDERDRAW_A))
        self.current_a.append(np.array([offered_a, drawn_a]))

    def house(self, battery_kwh: float | None) -> HouseModel:
        """The estimate; a given capacity of the battery replaces the estimated one."""
        return HouseModel(self._battery(battery_kwh), self._car())

    def _battery(self, capacity_kwh: float | None) -> BatterySpec | None:
        if capacity_kwh is None:
            variance = sum(float(soc @ soc) for soc, _ in self.soc)
            if not variance:
                return None
            covariance = sum(float(soc @ stored) for soc, stored in self.soc)
            capacity_kwh = max(0.1 * covariance / variance, 1.0)
        max_power_w = self.battery_w or BatterySpec().max_power_w
        return BatterySpec(capacity_wh=1000 * capacity_kwh, max_power_w=max_power_w)

    def _car(self) -> CarSpec:
        """Its phases, and its highest current if it draws clearly less than offered."""
        used = np.concatenate([np.empty(0), *self.phases])
        if not len(used):
            return HouseModel().car
        phases = min(max(round(float(np.quantile(used, 0.9))), 1), 3)
        offered_a, drawn_a = np.concatenate(self.current_a, axis=1)
        at_most = offered_a >= offered_a.max() - 0.5
        highest_a = float(np.median(drawn_a[at_most])) / phases
        limited = highest_a < offered_a.max() - 1.5
        return CarSpec(phases=phases, max_current_a=highest_a if limited else 32.0)
