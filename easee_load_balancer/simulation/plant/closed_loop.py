"""A control law in a closed loop with the simulated house, in simulated time.

A day takes seconds; benchmarks and backtests use it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Literal, Protocol

from easee_load_balancer.measurements import (
    CAR_CURRENTS_OBSERVED,
    ChargerMode,
    ChargerState,
    InverterReading,
    Setpoint,
    plausible_voltage_v,
)
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.cloud_lag import (
    CAR_POWER_W,
    LIFETIME_KWH,
    SESSION_KWH,
    VOLTAGE_V,
    CloudLag,
)
from easee_load_balancer.simulation.plant.day import Weather
from easee_load_balancer.simulation.plant.other_chargers import ChargingPoint
from easee_load_balancer.simulation.plant.plant import BatterySpec, HouseSpec, Plant

MIDNIGHT = datetime(2026, 6, 21, tzinfo=UTC)
PAUSED = Setpoint(0)


@dataclass(frozen=True, slots=True)
class Link:
    """How late the control law sees the house, in s."""

    name: str
    meter_delay_s: int
    read_s: int
    cloud_delay_s: int


QUICK = Link("quick", meter_delay_s=2, read_s=0, cloud_delay_s=2)
SLOW = Link("slow", meter_delay_s=5, read_s=3, cloud_delay_s=20)


class Law(Protocol):
    """Anything that controls the charger."""

    interval_s: int
    time_to_live_s: int | None

    def cycle(
        self, now: datetime, inverter: InverterReading, charger: ChargerState
    ) -> Setpoint | None:
        """The setpoint to send now, None to send nothing."""


class ReportedCharger:
    """The charger as its cloud shows it: sent on changes, and late."""

    _BANDS: ClassVar = {
        "car_w": CAR_POWER_W,
        "voltage_l1_v": VOLTAGE_V,
        "session_kwh": SESSION_KWH,
        "lifetime_kwh": LIFETIME_KWH,
    }
    _TOGETHER: ClassVar = {
        "car_w": CAR_CURRENTS_OBSERVED,
        "voltage_l1_v": ("voltage_l2_v", "voltage_l3_v"),
    }

    def __init__(self, point: ChargingPoint, delay_s: int, start: datetime) -> None:
        self._start = start
        self._lag = CloudLag[str](delay_s, self._BANDS, self._TOGETHER)
        self.step(point)

    def step(self, point: ChargingPoint) -> None:
        """Send what has changed by more than its dead band."""
        charger = point.charger
        values = {
            "mode": charger.op_mode,
            "output_current_a": charger.output_current_a,
            "output_phases": charger.output_phases,
            "circuit_current_a": charger.dynamic_circuit_current_a,
            "charger_current_a": charger.dynamic_charger_current_a,
            "car_w": point.reported_car_w,
            "reason_for_no_current": charger.reason_for_no_current,
            "session_kwh": point.car.energy_kwh,
            "lifetime_kwh": point.lifetime_kwh,
        }
        l1, l2, l3 = CAR_CURRENTS_OBSERVED
        values[l1], values[l2], values[l3] = charger.car_phase_current_a()
        values["voltage_l1_v"], values["voltage_l2_v"], values["voltage_l3_v"] = point.voltage_v
        self._lag.update(values, point.clock_s, self._at(point.clock_s))

    def state(self, point: ChargingPoint) -> ChargerState:
        """What a client reads now."""
        spec, now = point.charger.spec, self._at(point.clock_s)
        shown = self._lag.shown(now)
        value = {name: reported.value for name, reported in shown.items()}
        l1, l2, l3 = CAR_CURRENTS_OBSERVED
        return ChargerState(
            taken_at=now,
            online=True,
            mode=value["mode"],
            car_w=value["car_w"] if value["mode"] is ChargerMode.CHARGING else 0.0,
            output_current_a=value["output_current_a"],
            output_phases=value["output_phases"],
            car_current_a=(value[l1], value[l2], value[l3]),
            voltage_v=(value["voltage_l1_v"], value["voltage_l2_v"], value["voltage_l3_v"]),
            circuit_current_a=value["circuit_current_a"],
            circuit_max_current_a=spec.circuit_max_current_a,
            offline_current_a=spec.offline_max_current_a,
            charger_current_a=value["charger_current_a"],
            charger_max_current_a=spec.max_current_a,
            phase_mode=spec.phase_mode,
            grid_type=spec.grid_type,
            reason_for_no_current=value["reason_for_no_current"],
            session_kwh=value["session_kwh"],
            lifetime_kwh=value["lifetime_kwh"],
            observed_at={name: reported.observed_at for name, reported in shown.items()},
        )

    def _at(self, clock_s: int) -> datetime:
        return self._start + timedelta(seconds=clock_s)


@dataclass(slots=True)
class Trace:
    """A sample every 30 s, for the chart."""

    minute: list[float] = field(default_factory=list)
    surplus_w: list[float] = field(default_factory=list)
    car_w: list[float] = field(default_factory=list)
    import_w: list[float] = field(default_factory=list)
    highest_soc_pct: float = 0.0

    def sample(self, plant: Plant) -> None:
        """Add what happens now."""
        if plant.battery:
            self.highest_soc_pct = max(self.highest_soc_pct, plant.battery.soc_pct)
        self.minute.append(plant.clock_s / 60)
        self.surplus_w.append(min(plant.available_pv_w, plant.spec.rated_w) - plant.load_w)
        self.car_w.append(plant.car_w)
        self.import_w.append(max(0.0, -plant.grid_export_w))


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
    """Run a law from midnight; without a `spec` the car is never full.

    `held` is the setpoint of the evening before.
    """
    spec = spec or HouseSpec(car=CarSpec(energy_needed_kwh=1000.0))
    plant = Plant(day, replace(spec, battery=battery, meter_delay_s=link.meter_delay_s))
    plant.charger.dynamic_circuit_current_a = held.circuit_current_a
    cloud = ReportedCharger(plant, link.cloud_delay_s, start)
    trace = Trace()
    writes = 0
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
            trace.sample(plant)
        if each_second is not None:
            each_second(plant)
        plant.step()
        cloud.step(plant)
    return _outcome(plant, writes, trace)


def _outcome(plant: Plant, writes: int, trace: Trace) -> Outcome:
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
        highest_soc_pct=trace.highest_soc_pct if plant.battery else None,
        final_soc_pct=plant.battery.soc_pct if plant.battery else None,
        trace=trace,
    )


def read_inverter(plant: Plant, now: datetime) -> InverterReading:
    """What the inverter and its meter show at this second."""
    if plant.asleep:
        return InverterReading.sleeping(now)
    battery = plant.battery
    reading = InverterReading(
        taken_at=now,
        grid_export_w=None,
        battery_charge_w=plant.battery_charge_w,
        battery_soc_pct=battery.soc_pct if battery else None,
        has_battery=battery is not None,
        pv_w=plant.pv_w,
        inverter_ac_w=plant.inverter_ac_w,
        rated_w=plant.spec.rated_w,
        off_grid=plant.off_grid,
        export_limit_w=plant.spec.export_limit_w,
        throttled=plant.throttled,
    )
    if not plant.meter_online:
        return replace(reading, problem="meter: offline")
    meter, phases = plant.meter, plant.spec.phases
    meter_phases: Literal[1, 3] = 3 if phases == 3 else 1
    l1_v, l2_v, l3_v = map(plausible_voltage_v, meter.voltage_v)
    if None in (l1_v, l2_v, l3_v)[:meter_phases]:
        return replace(reading, meter_phases=meter_phases, problem="meter: 0 V")
    return replace(
        reading,
        grid_export_w=sum(meter.grid_export_w),
        grid_export_phase_w=meter.grid_export_w,
        grid_current_phase_a=meter.current_a,
        grid_voltage_v=(l1_v, l2_v, l3_v),
        exported_kwh=meter.exported_kwh,
        imported_kwh=meter.imported_kwh,
        meter_phases=meter_phases,
        unchanged_since=now - timedelta(seconds=plant.clock_s - meter.taken_at_s),
    )
