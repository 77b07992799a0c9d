"""A law for several chargers in a closed loop with the simulated house, in simulated time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from easee_load_balancer.measurements import ChargerState, InverterReading, Setpoint
from easee_load_balancer.simulation.plant.closed_loop import (
    MIDNIGHT,
    QUICK,
    Link,
    ReportedCharger,
    read_inverter,
)
from easee_load_balancer.simulation.plant.day import Weather
from easee_load_balancer.simulation.plant.other_chargers import ChargingPoint
from easee_load_balancer.simulation.plant.plant import HouseSpec, Plant

_FULL = 1.001


@dataclass(frozen=True, slots=True)
class Commands:
    """What a law sends in one cycle."""

    setpoints: Mapping[int, Setpoint] = field(default_factory=dict)
    """By the number of the charger: to its circuit, or to the charger on a shared circuit."""
    ceilings: Mapping[int, int] = field(default_factory=dict)
    """A for all phases of a shared circuit."""

    @property
    def writes(self) -> int:
        """Calls that this takes."""
        return len(self.setpoints) + len(self.ceilings)


class SeveralLaw(Protocol):
    """Anything that controls several chargers."""

    interval_s: int
    time_to_live_s: int | None

    def cycle(
        self, now: datetime, inverter: InverterReading, chargers: Sequence[ChargerState]
    ) -> Commands:
        """What to send now."""


@dataclass(frozen=True, slots=True)
class SeveralOutcome:
    """A day's energy into all cars by origin in kWh, and what it took."""

    solar_kwh: float
    grid_kwh: float
    battery_kwh: float
    cars_kwh: tuple[float, ...]
    """What each car got."""
    starts: tuple[int, ...]
    phase_changes: tuple[int, ...]
    writes: int
    most_writes_h: int
    """In the busiest hour."""
    over_fuse_s: int
    over_circuit_s: int
    highest_fuse_a: float
    """The highest import on a phase of the house."""
    highest_circuit_share: float
    """The highest current on a circuit, as a share of what that may carry."""
    highest_hour_w: float
    """The highest mean import of a clock hour."""


def circuit_numbers(plant: Plant) -> tuple[int, ...]:
    """The circuit of each charger."""
    return (0, *(other.circuit for other in plant.others))


def command(plant: Plant, commands: Commands, ttl_s: int | None) -> None:
    """Send commands: a ceiling to all chargers of a circuit, a setpoint to one."""
    numbers, points = circuit_numbers(plant), charging_points(plant)
    for circuit, amps in commands.ceilings.items():
        for number, point in zip(numbers, points, strict=True):
            if number == circuit:
                point.charger.command_circuit(plant.clock_s, (amps,) * 3, ttl_s)
    for k, setpoint in commands.setpoints.items():
        charger = points[k].charger
        if numbers.count(numbers[k]) > 1:
            charger.command_charger(plant.clock_s, setpoint.current_a, ttl_s)
        else:
            charger.command_circuit(plant.clock_s, setpoint.circuit_current_a, ttl_s)


def charging_points(plant: Plant) -> tuple[ChargingPoint, ...]:
    """All chargers with their cars; the house itself stands for the first."""
    return (plant, *plant.others)


def circuit_shares(plant: Plant) -> Iterator[float]:
    """What the cars draw on each phase of each circuit, as a share of what that may carry."""
    numbers, points = circuit_numbers(plant), charging_points(plant)
    for circuit in set(numbers):
        members = [
            one.charger for number, one in zip(numbers, points, strict=True) if number == circuit
        ]
        drawn = zip(*(one.car_phase_current_a() for one in members), strict=True)
        for amps, most in zip(drawn, members[0].circuit_max_current_a, strict=True):
            yield sum(amps) / most


@dataclass(slots=True)
class _Highest:
    """The highest use of main fuse, circuits and hours so far."""

    fuse_w: float = 0.0
    circuit_share: float = 0.0
    over_circuit_s: int = 0
    import_w: Counter[int] = field(default_factory=Counter)

    def see(self, plant: Plant) -> None:
        """Take a second."""
        self.fuse_w = max(self.fuse_w, -min(plant.grid_export_phase_w))
        share = max(circuit_shares(plant))
        self.circuit_share = max(self.circuit_share, share)
        self.over_circuit_s += share > _FULL
        self.import_w[plant.clock_s // 3600] += round(max(0.0, -plant.grid_export_w))


def run_several(
    law: SeveralLaw,
    day: Weather,
    spec: HouseSpec,
    link: Link = QUICK,
    *,
    since_s: int = 0,
    until_s: int = 86_400,
    start: datetime = MIDNIGHT,
    each_second: Callable[[Plant], None] | None = None,
) -> SeveralOutcome:
    """Run a law between two seconds of a day; all circuits begin at 0 A."""
    plant = Plant(day, replace(spec, meter_delay_s=link.meter_delay_s), since_s)
    points = charging_points(plant)
    for point in points:
        point.charger.dynamic_circuit_current_a = (0.0, 0.0, 0.0)
    clouds = [ReportedCharger(point, link.cloud_delay_s, start) for point in points]
    writes: list[int] = []
    highest = _Highest()
    reading: InverterReading | None = None
    next_read_s = plant.clock_s
    while plant.clock_s < until_s:
        clock_s = plant.clock_s
        if clock_s == next_read_s:
            reading = read_inverter(plant, start + timedelta(seconds=clock_s))
        if reading is not None and clock_s == next_read_s + link.read_s:
            now = start + timedelta(seconds=clock_s)
            states = [cloud.state(one) for cloud, one in zip(clouds, points, strict=True)]
            commands = law.cycle(now, replace(reading, taken_at=now), states)
            next_read_s += law.interval_s
            writes += [clock_s] * commands.writes
            command(plant, commands, law.time_to_live_s)
        if each_second is not None:
            each_second(plant)
        plant.step()
        highest.see(plant)
        for cloud, point in zip(clouds, points, strict=True):
            cloud.step(point)
    return _outcome(plant, writes, highest)


def _outcome(plant: Plant, writes: Sequence[int], highest: _Highest) -> SeveralOutcome:
    counters, points = plant.counters, charging_points(plant)
    grid, stored = counters.car_from_grid_kwh, counters.car_from_battery_kwh
    by_hour = [sum(1 for at in writes if at // 3600 == hour) for hour in range(24)]
    return SeveralOutcome(
        solar_kwh=counters.car_kwh - grid - stored,
        grid_kwh=grid,
        battery_kwh=stored,
        cars_kwh=tuple(point.lifetime_kwh for point in points),
        starts=tuple(point.charger.starts for point in points),
        phase_changes=tuple(point.charger.phase_changes for point in points),
        writes=len(writes),
        most_writes_h=max(by_hour),
        over_fuse_s=counters.over_fuse_s,
        over_circuit_s=highest.over_circuit_s,
        highest_fuse_a=highest.fuse_w / 230.0,
        highest_circuit_share=highest.circuit_share,
        highest_hour_w=max(highest.import_w.values()) / 3600,
    )
