"""A simulated local day: the history it leaves, and the true energies."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from operator import attrgetter
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import TIME_TO_LIVE, ControllerState
from easee_load_balancer.devices.easee.models import Observation
from easee_load_balancer.devices.easee.observations import OBSERVATION_IDS, charger_state
from easee_load_balancer.devices.huawei.registers import (
    BATTERY,
    METER,
    POWER,
    Block,
    decode_battery,
    decode_meter,
    decode_power,
    inverter_reading,
)
from easee_load_balancer.history.tables import Cycle
from easee_load_balancer.measurements import ChargerState, InverterReading
from easee_load_balancer.periods import bounds
from easee_load_balancer.simulation.easee.observations import as_json, cloud_copy, observe
from easee_load_balancer.simulation.huawei import registers
from easee_load_balancer.simulation.huawei.encoding import Words
from easee_load_balancer.simulation.plant.day import Day, load_day
from easee_load_balancer.simulation.plant.plant import BatterySpec, Counters, HouseSpec, Plant

STOCKHOLM = ZoneInfo("Europe/Stockholm")
DAY = date(2026, 6, 21)
AROUND_S = 600
"""The simulation starts this long before the day and ends this long after it."""
_CLOUD_DELAY_S = 2
TTL_S = int(TIME_TO_LIVE.total_seconds())
_PHASE_S = 7
"""When in each interval the cycles run."""
_COUNTERS = [field.name for field in fields(Counters)]
_read_counters = attrgetter(*_COUNTERS)


ReadInverter = Callable[[bool], InverterReading]
"""Reads the inverter; at night (True), one that does not answer is asleep."""

TRUE_NAMES = {
    "pv_kwh": "pv_kwh",
    "import_kwh": "imported_kwh",
    "discharge_kwh": "discharged_kwh",
    "house_kwh": "load_kwh",
    "car_kwh": "car_kwh",
    "export_kwh": "exported_kwh",
    "charge_kwh": "charged_kwh",
    "car_from_battery_kwh": "car_from_battery_kwh",
    "car_from_grid_kwh": "car_from_grid_kwh",
}
"""Energy totals, and the plant's counters of the same energy."""


@dataclass(frozen=True)
class Troubles:
    """What goes wrong, in seconds since local midnight."""

    no_cycles: tuple[tuple[int, int], ...] = ()
    inverter_unknown: tuple[tuple[int, int], ...] = ()
    charger_unknown: tuple[tuple[int, int], ...] = ()
    reboots: tuple[int, ...] = ()
    """The charger forgets its limits."""
    trips: tuple[tuple[int, int], ...] = ()
    """The car is away."""
    lost_share: float = 0.0
    """Share of cycles that never run, and of readings of the charger that fail."""


@dataclass(frozen=True)
class Watched:
    """The cycles, and the plant's own counters at each second from `start - AROUND_S` on."""

    cycles: list[Cycle]
    start: datetime
    end: datetime
    counters: np.ndarray[tuple[int, int], np.dtype[np.float64]]
    starts: int
    phase_changes: int

    def truth(self, rows: pd.DataFrame) -> dict[str, float]:
        """The true energies while the power flows hold, by the names of the totals.

        Grid or car are unknown where they are unknown in the power flows.
        """
        sums: dict[str, float] = dict.fromkeys(TRUE_NAMES, 0.0)
        columns = (rows[name] for name in ("at", "until", "car_known", "grid_known"))
        for since, until, car_known, grid_known in zip(*columns, strict=True):
            real = {ours: self.counted(name, since, until) for ours, name in TRUE_NAMES.items()}
            if not car_known:
                real["house_kwh"] += real["car_kwh"]
                real |= {name: 0.0 for name in TRUE_NAMES if name.startswith("car")}
            if not grid_known:
                real |= dict.fromkeys(("house_kwh", "export_kwh"), 0.0)
                real["import_kwh"] = real["car_from_grid_kwh"] = real["car_kwh"]
            for name, kwh in real.items():
                sums[name] += kwh
        sums["car_from_solar_kwh"] = (
            sums["car_kwh"] - sums["car_from_battery_kwh"] - sums["car_from_grid_kwh"]
        )
        return sums

    def counted(self, name: str, since: datetime, until: datetime) -> float:
        """The true energy between two moments, in kWh."""
        first, last = (
            AROUND_S + (min(max(at, self.start), self.end) - self.start).total_seconds()
            for at in (since, until)
        )
        series = self.counters[:, _COUNTERS.index(name)]
        return float(series[round(last)] - series[round(first)])


def watch_day(
    day: date,
    weather: Day | str = "variable",
    *,
    battery: BatterySpec | None,
    troubles: Troubles | None = None,
    interval_s: int = 30,
    site: str = "home",
    policy: Policy | None = None,
    reader: Callable[[Plant], ReadInverter] | None = None,
) -> Watched:
    """Run the house and the control law over one local day, with faults.

    A `reader` reads the inverter instead of the register blocks' decoders.
    """
    troubles = troubles or Troubles()
    start, end = bounds(day, STOCKHOLM)
    length_s = int((end - start).total_seconds())
    sky = load_day(weather) if isinstance(weather, str) else weather
    plant = Plant(sky, HouseSpec(battery=battery), start_s=86_400 - AROUND_S - 1)
    devices = _Devices(plant, start, reader(plant) if reader else None)
    control = _Control(plant, devices, troubles, policy or Policy(), site)
    counters = [_read_counters(plant.counters)]
    starts = changes = 0
    drawn_before_a = plant.charger.car_phase_current_a()
    for second in range(-AROUND_S, length_s + AROUND_S):
        at = start + timedelta(seconds=second)
        _happen(plant, troubles, second)
        drawn_a = plant.charger.car_phase_current_a()
        if drawn_a != drawn_before_a or (second + _CLOUD_DELAY_S - _PHASE_S) % interval_s == 0:
            control.devices.charger_reports(at)
        drawn_before_a = drawn_a
        if (second - _PHASE_S) % interval_s == 0 and not _within(troubles.no_cycles, second):
            control.cycle(second, at)
        if second == 0:
            starts, changes = plant.charger.starts, plant.charger.phase_changes
        if second == length_s:
            starts, changes = plant.charger.starts - starts, plant.charger.phase_changes - changes
        plant.step()
        counters.append(_read_counters(plant.counters))
    return Watched(control.cycles, start, end, np.array(counters), starts, changes)


class _Control:
    """The cycles, as the flow runs them, with the house's devices."""

    def __init__(
        self, plant: Plant, devices: _Devices, troubles: Troubles, policy: Policy, site: str
    ) -> None:
        self.devices = devices
        self.cycles: list[Cycle] = []
        self._plant, self._troubles, self._policy, self._site = plant, troubles, policy, site
        self._rng, self._state = random.Random(5), ControllerState()

    def cycle(self, second: int, at: datetime) -> None:
        """Read, decide, command and record, unless the cycle is lost."""
        troubles = self._troubles
        if self._rng.random() < troubles.lost_share:
            return
        inverter = self.devices.inverter(at, night=self._state.is_night(at))
        charger = self.devices.charger(at)
        if _within(troubles.inverter_unknown, second):
            inverter = InverterReading.unknown(at)
        lost = self._rng.random() < troubles.lost_share
        if lost or _within(troubles.charger_unknown, second):
            charger = ChargerState.unknown(at)
        decision = decide(CycleInputs(at, inverter, charger, self._policy), self._state)
        if decision.push and decision.setpoint is not None:
            current = decision.setpoint.circuit_current_a
            self._plant.charger.command_circuit(self._plant.clock_s, current, TTL_S)
            decision = decision.pushed(at)
        self._state = decision.state
        read = inverter.pv_w is not None and charger.online
        self.cycles.append(
            Cycle.of(
                site=self._site,
                scheduled_at=at - timedelta(milliseconds=700),
                at=at,
                run_id=f"run {second}",
                mode=self._policy.mode,
                inverter=inverter,
                charger=charger,
                decision=decision,
                failure=None if read else "not read",
            )
        )


class _Devices:
    """Inverter and charger as the clients see them: through registers and observations."""

    def __init__(self, plant: Plant, start: datetime, read: ReadInverter | None) -> None:
        self._plant, self._read = plant, read
        self._today = registers.Today.begin(plant, 0)
        self._copy = cloud_copy(plant, _CLOUD_DELAY_S, start)

    def inverter(self, at: datetime, *, night: bool) -> InverterReading:
        plant = self._plant
        if self._read is not None:
            return replace(self._read(night), taken_at=at, unchanged_since=None)
        if plant.asleep:
            return InverterReading.sleeping(at)
        self._today = self._today.at(plant)
        words = registers.inverter(plant, self._today) | registers.battery(plant, self._today)
        words |= registers.meter(plant.meter, plant.spec.phases)
        read = _reader(words)
        battery = decode_battery(read(BATTERY)) if plant.battery is not None else None
        return inverter_reading(at, decode_power(read(POWER)), battery, decode_meter(read(METER)))

    def charger_reports(self, at: datetime) -> None:
        self._copy.update(observe(self._plant), self._plant.clock_s, at)

    def charger(self, at: datetime) -> ChargerState:
        wanted = set(OBSERVATION_IDS.values())
        shown = self._copy.shown(at).items()
        seen = [Observation.model_validate(as_json(i, one)) for i, one in shown if i in wanted]
        return charger_state(seen, at)


def _reader(words: Words) -> Callable[[Block], list[int]]:
    def read(block: Block) -> list[int]:
        return [words.get(block.address + at, 0) for at in range(block.count)]

    return read


def _happen(plant: Plant, troubles: Troubles, second: int) -> None:
    if second in troubles.reboots:
        plant.charger.reboot()
    for leaves, returns in troubles.trips:
        if second == leaves:
            plant.car.unplug()
        elif second == returns:
            plant.charger.plug_in()


def _within(spans: tuple[tuple[int, int], ...], second: int) -> bool:
    return any(since <= second < until for since, until in spans)
