"""A law against the simulated house in simulated time, with what lags behind in between.

A day takes seconds: this is what benchmarks and backtests run on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from easee_load_balancer.measurements import (
    CAR_CURRENTS_OBSERVED,
    ChargerMode,
    ChargerState,
    InverterReading,
    Setpoint,
)
from easee_load_balancer.simulation.plant.charger import CarSpec
from easee_load_balancer.simulation.plant.day import Weather
from easee_load_balancer.simulation.plant.plant import BatterySpec, HouseSpec, Plant

MIDNIGHT = datetime(2026, 6, 21, tzinfo=UTC)
PAUSED = Setpoint(0)


@dataclass(frozen=True, slots=True)
class Link:
    """How late the law sees the house, in s."""

    name: str
    meter_delay_s: int
    read_s: int
    cloud_delay_s: int


QUICK = Link("quick", meter_delay_s=2, read_s=0, cloud_delay_s=2)
SLOW = Link("slow", meter_delay_s=5, read_s=3, cloud_delay_s=20)


class Law(Protocol):
    """Anything that tells the charger what to do."""

    interval_s: int
    time_to_live_s: int | None

    def cycle(
        self, now: datetime, inverter: InverterReading, charger: ChargerState
    ) -> Setpoint | None:
        """The setpoint to send now, None to send nothing."""


class Cloud:
    """The charger's values as its cloud shows them: sent on a change, and late."""

    def __init__(self, plant: Plant, delay_s: int, start: datetime) -> None:
        self.delay_s = delay_s
        self._start = start
        self._sent: dict[str, Any] = {}
        self._shown: dict[str, Any] = {}
        self._observed_at: dict[str, datetime] = {}
        self._on_the_way: deque[tuple[int, datetime, dict[str, Any]]] = deque()
        self._car_w = -1000.0
        self._status: tuple[Any, ...] = ()
        self._volts = 0.0
        self.step(plant)
        self._arrive(plant.clock_s + delay_s)

    def step(self, plant: Plant) -> None:
        """Send what has changed by more than its dead band."""
        charger, car_w = plant.charger, plant.car_w
        changed: dict[str, Any] = {}
        status = (
            charger.op_mode,
            charger.output_current_a,
            charger.output_phases,
            charger.dynamic_circuit_current_a,
        )
        if status != self._status:
            self._status = status
            changed["mode"] = ChargerMode(charger.op_mode)
            changed["output_current_a"], changed["output_phases"] = status[1], status[2]
            changed["circuit_current_a"] = status[3]
            changed = {key: value for key, value in changed.items() if self._sent.get(key) != value}
        if abs(car_w - self._car_w) > max(100.0, 0.05 * self._car_w):
            self._car_w = car_w
            changed["car_w"] = car_w
            changed["car_current_a"] = charger.car_phase_current_a()
        if abs(plant.voltage_v[0] - self._volts) > 2.0:
            self._volts = plant.voltage_v[0]
            changed["voltage_v"] = plant.voltage_v
        if changed:
            self._sent |= changed
            due_s = plant.clock_s + self.delay_s
            self._on_the_way.append((due_s, self._at(plant.clock_s), changed))
        if self._on_the_way and self._on_the_way[0][0] <= plant.clock_s:
            self._arrive(plant.clock_s)

    def _arrive(self, clock_s: int) -> None:
        while self._on_the_way and self._on_the_way[0][0] <= clock_s:
            _, observed_at, changed = self._on_the_way.popleft()
            self._shown |= changed
            self._observed_at |= dict.fromkeys(changed, observed_at)
            if "car_current_a" in changed:
                self._observed_at |= dict.fromkeys(CAR_CURRENTS_OBSERVED, observed_at)

    def state(self, plant: Plant) -> ChargerState:
        """What a client reads now."""
        spec = plant.charger.spec
        return ChargerState(
            taken_at=self._at(plant.clock_s),
            online=True,
            circuit_max_current_a=spec.circuit_max_current_a,
            offline_current_a=spec.offline_max_current_a,
            charger_current_a=plant.charger.dynamic_charger_current_a,
            charger_max_current_a=spec.max_current_a,
            phase_mode=spec.phase_mode,
            grid_type=spec.grid_type,
            observed_at=dict(self._observed_at),
            **self._shown,
        )

    def _at(self, clock_s: int) -> datetime:
        return self._start + timedelta(seconds=clock_s)


@dataclass(slots=True)
class Trace:
    """What happened, a sample every 30 s, for the picture."""

    minute: list[float] = field(default_factory=list)
    surplus_w: list[float] = field(default_factory=list)
    car_w: list[float] = field(default_factory=list)
    import_w: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A day's energy into the car by origin in kWh, and what it took."""

    solar_kwh: float
    grid_kwh: float
    battery_kwh: float
    starts: int
    phase_changes: int
    writes: int
    over_fuse_min: float
    imported_kwh: float
    exported_kwh: float
    highest_soc_pct: float | None
    final_soc_pct: float | None
    trace: Trace


def run_day(
    law: Law,
    day: Weather,
    link: Link = QUICK,
    battery: BatterySpec | None = None,
    *,
    spec: HouseSpec | None = None,
    hours: float = 24.0,
    start: datetime = MIDNIGHT,
    held: Setpoint = PAUSED,
    each_second: Callable[[Plant], None] | None = None,
) -> Outcome:
    """Let a law charge a car, from midnight on; without a `spec` the car never gets full.

    `held` is what the charger has been told the evening before.
    """
    spec = spec or HouseSpec(car=CarSpec(energy_needed_kwh=1000.0))
    plant = Plant(day, replace(spec, battery=battery, meter_delay_s=link.meter_delay_s))
    plant.charger.dynamic_circuit_current_a = held.circuit_current_a
    cloud = Cloud(plant, link.cloud_delay_s, start)
    trace = Trace()
    writes, highest_soc_pct = 0, 0.0
    reading: InverterReading | None = None
    next_read_s = plant.clock_s
    while plant.clock_s < hours * 3600:
        clock_s = plant.clock_s
        if clock_s == next_read_s:
            reading = read_inverter(plant, start + timedelta(seconds=clock_s))
        if reading is not None and clock_s == next_read_s + link.read_s:
            now = start + timedelta(seconds=clock_s)
            setpoint = law.cycle(now, replace(reading, taken_at=now), cloud.state(plant))
            next_read_s += law.interval_s
            if setpoint is not None:
                writes += 1
                plant.charger.command_circuit(
                    clock_s, setpoint.circuit_current_a, law.time_to_live_s
                )
        if clock_s % 30 == 0:
            if plant.battery:
                highest_soc_pct = max(highest_soc_pct, plant.battery.soc_pct)
            trace.minute.append(clock_s / 60)
            trace.surplus_w.append(min(plant.pv_w, plant.spec.rated_w) - plant.load_w)
            trace.car_w.append(plant.car_w)
            trace.import_w.append(max(0.0, -plant.grid_export_w))
        if each_second is not None:
            each_second(plant)
        plant.step()
        cloud.step(plant)
    counters = plant.counters
    grid, stored = counters.car_from_grid_kwh, counters.car_from_battery_kwh
    return Outcome(
        solar_kwh=counters.car_kwh - grid - stored,
        grid_kwh=grid,
        battery_kwh=stored,
        starts=plant.charger.starts,
        phase_changes=plant.charger.phase_changes,
        writes=writes,
        over_fuse_min=counters.over_fuse_s / 60,
        imported_kwh=counters.imported_kwh,
        exported_kwh=counters.exported_kwh,
        highest_soc_pct=highest_soc_pct if plant.battery else None,
        final_soc_pct=plant.battery.soc_pct if plant.battery else None,
        trace=trace,
    )


def read_inverter(plant: Plant, now: datetime) -> InverterReading:
    """What the inverter and its meter show at this second."""
    if plant.asleep:
        return InverterReading.sleeping(now)
    meter, battery = plant.meter, plant.battery
    l1, l2, l3 = (
        power / volts for power, volts in zip(meter.grid_export_w, meter.voltage_v, strict=True)
    )
    return InverterReading(
        taken_at=now,
        grid_export_w=sum(meter.grid_export_w),
        battery_charge_w=plant.battery_charge_w,
        battery_soc_pct=battery.soc_pct if battery else None,
        has_battery=battery is not None,
        pv_w=plant.pv_w,
        inverter_ac_w=plant.inverter_ac_w,
        grid_export_phase_w=meter.grid_export_w,
        grid_current_phase_a=(l1, l2, l3),
        grid_voltage_v=meter.voltage_v,
        meter_phases=3 if plant.spec.phases == 3 else 1,
    )
