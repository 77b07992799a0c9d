"""The laws that ours is measured against, and the bound that none can pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np

from easee_load_balancer.backtest.replay import PolicyLaw as Ours
from easee_load_balancer.measurements import ChargerMode, ChargerState, InverterReading, Setpoint
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.day import Day

__all__ = ["GAP_A", "Bound", "Evcc", "Ours", "Seed", "bound", "busiest_hour", "value_eur"]

SOLAR_EUR_KWH = 0.12
"""Charging on sun instead of at night, less the export that is given up."""
GRID_EUR_KWH = 0.10
"""Charging from the grid by day instead of at night."""


def value_eur(solar_kwh: float, grid_kwh: float) -> float:
    """The figure of merit."""
    return SOLAR_EUR_KWH * solar_kwh - GRID_EUR_KWH * grid_kwh


def busiest_hour(seconds: Sequence[int]) -> int:
    """The most of these moments within any hour."""
    most, first = 0, 0
    for last, at in enumerate(seconds):
        while seconds[first] <= at - 3600:
            first += 1
        most = max(most, last - first + 1)
    return most


@dataclass(slots=True)
class Seed:
    """The original project's rules: three phases, whole steps down, every 5 s."""

    interval_s: int = 5
    time_to_live_s: int | None = None
    sent: Setpoint | None = None

    def cycle(
        self, now: datetime, inverter: InverterReading, charger: ChargerState
    ) -> Setpoint | None:
        parts = (charger.car_w, inverter.grid_export_w, inverter.battery_charge_w)
        if inverter.asleep or None in parts:
            return None
        power_w = sum(part for part in parts if part is not None)
        soc_pct = inverter.battery_soc_pct
        if soc_pct is not None:
            power_w += -5000 if soc_pct < 80 else 500 if soc_pct >= 100 else 0
        amperes = int(1.45 * min(power_w, 11_100) / 1000) if power_w >= 4200 else 0
        setpoint = Setpoint(amperes, 3)
        if setpoint == self.sent:
            return None
        self.sent = setpoint
        return setpoint


@dataclass(slots=True)
class Evcc:
    """The reference controller's PV mode with its defaults."""

    priority_soc_pct: float = 0.0
    interval_s: int = 30
    time_to_live_s: int | None = None
    offered_a: int = 0
    phases: Literal[1, 3] = 3
    sent: Setpoint | None = None
    connected: bool = False
    start_now: bool = False
    timer: datetime | None = None
    phase_timer: datetime | None = None
    switched_at: datetime | None = None

    def cycle(
        self, now: datetime, inverter: InverterReading, charger: ChargerState
    ) -> Setpoint | None:
        self._notice_car(charger)
        site_w = self._site_w(inverter)
        if site_w is None or not self.connected:
            return None
        charging = charger.mode is ChargerMode.CHARGING
        measured_a = max(amps or 0.0 for amps in charger.car_current_a) if charging else 0.0
        effective_a = min(measured_a + 2, self.offered_a) if charging else 0.0
        available_w = (charger.car_w or 0.0) - site_w
        phases = self._scale_phases(now, available_w, charging)
        if phases != self.phases:
            effective_a *= self.phases / phases
            self.phases, self.switched_at, self.phase_timer = phases, now, None
        target_a = max(0.0, effective_a - site_w / (230 * self.phases))
        self.offered_a = self._start_stop(now, target_a)
        setpoint = Setpoint(self.offered_a, self.phases)
        if setpoint == self.sent:
            return None
        self.sent = setpoint
        return setpoint

    def _notice_car(self, charger: ChargerState) -> None:
        connected = charger.mode not in (None, ChargerMode.OFFLINE, ChargerMode.DISCONNECTED)
        if connected and not self.connected:
            self.start_now = True
        self.connected = connected

    def _site_w(self, inverter: InverterReading) -> float | None:
        """What the site lacks: negative is surplus. None: the meter is silent."""
        if inverter.grid_export_w is None:
            return None
        battery_w, residual_w = -(inverter.battery_charge_w or 0.0), 0.0
        if (inverter.battery_soc_pct or 0.0) < self.priority_soc_pct and inverter.has_battery:
            battery_w, residual_w = max(0.0, battery_w), 100.0
        return -inverter.grid_export_w + battery_w + residual_w

    def _scale_phases(self, now: datetime, available_w: float, charging: bool) -> Literal[1, 3]:
        other: Literal[1, 3] = 1 if self.phases == 3 else 3
        three_phase_minimum_w, one_phase_maximum_w = 3 * 6 * 230.0, 16 * 230.0
        if self.phases == 3:
            wanted, delay_s = available_w < three_phase_minimum_w, 180
        else:
            wanted = available_w >= max(three_phase_minimum_w, one_phase_maximum_w)
            delay_s = 60
        if self.switched_at is not None and now - self.switched_at < timedelta(seconds=60):
            return self.phases
        if not wanted:
            self.phase_timer = None
            return self.phases
        if not charging:
            return other
        self.phase_timer = self.phase_timer or now
        return other if now - self.phase_timer >= timedelta(seconds=delay_s) else self.phases

    def _start_stop(self, now: datetime, target_a: float) -> int:
        enough, running = target_a >= 6, self.offered_a > 0
        if enough == running:
            self.timer = None
            return min(16, int(target_a)) if running else 0
        self.timer = self.timer or now
        delay = timedelta(seconds=180 if running else 60)
        if now - self.timer >= delay or (not running and self.start_now):
            self.timer, self.start_now = None, False
            return 0 if running else 6
        return 6 if running else 0


@dataclass(frozen=True, slots=True)
class Bound:
    """What perfect foresight earns on a day: kWh, and the power in W of each second."""

    solar_kwh: float
    grid_kwh: float
    car_w: np.ndarray[tuple[int], np.dtype[np.float64]]

    @property
    def value_eur(self) -> float:
        return value_eur(self.solar_kwh, self.grid_kwh)


GAP_A = CarSpec().gap_a
ONE_CAR_W = (0.0, *((amps - GAP_A) * n * 230.0 for n in (1, 3) for amps in range(6, 17)))
"""What a car can draw: whole-ampere steps on one or three phases."""


def bound(day: Day, steps_w: Iterable[float] = ONE_CAR_W, rated_w: float = 10_000.0) -> Bound:
    """At every second the best of these steps, without any delay."""
    seconds = np.arange(86_400)
    minutes = np.append(np.array(day.pv_w), day.pv_w[0])
    pv_w = np.minimum(np.interp(seconds / 60, np.arange(1441), minutes), rated_w)
    surplus_w = pv_w - np.array(day.load_w)[seconds // 60]
    steps = np.array(sorted(set(steps_w)))
    above = np.searchsorted(steps, surplus_w)
    best_eur = np.full(seconds.shape, -np.inf)
    best_w = np.zeros(seconds.shape)
    for index in (np.maximum(above - 1, 0), np.minimum(above, len(steps) - 1)):  # the nearest two
        step_w = steps[index]
        grid_w = np.clip(step_w - surplus_w, 0.0, step_w)
        eur = SOLAR_EUR_KWH * (step_w - grid_w) - GRID_EUR_KWH * grid_w
        best_w = np.where(eur > best_eur, step_w, best_w)
        best_eur = np.maximum(eur, best_eur)
    grid_w = np.clip(best_w - surplus_w, 0.0, best_w)
    kwh = 1 / 3_600_000
    return Bound(float((best_w - grid_w).sum() * kwh), float(grid_w.sum() * kwh), best_w)
