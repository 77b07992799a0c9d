"""A day replayed under a policy: the same PV and house load, the control law, a modelled car.

Pure Python without pandas: each day runs in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.plan import CarLimit
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import TIME_TO_LIVE, ControllerState
from easee_load_balancer.energy.outlook import BatteryOutlook
from easee_load_balancer.energy.price_table import PriceTable
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.measurements import (
    BatteryHold,
    ChargerState,
    InverterReading,
    Setpoint,
)
from easee_load_balancer.periods import QUARTER
from easee_load_balancer.simulation.plant.battery import Battery
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.charger import ChargerSpec
from easee_load_balancer.simulation.plant.closed_loop import QUICK, Outcome, run_day
from easee_load_balancer.simulation.plant.plant import BatterySpec, HouseSpec, Plant

STEP_S = 10
"""Length of a sample of PV power and house load."""
UNLIMITED_KWH = 1000.0
_NO_LIMIT_W = 1e9


@dataclass(slots=True)
class PolicyLaw:
    """`control.decide` under a policy, as the flow calls it."""

    policy: Policy = field(default_factory=Policy)
    interval_s: int = 10
    time_to_live_s: int | None = int(TIME_TO_LIVE.total_seconds())
    state: ControllerState = field(default_factory=ControllerState)
    reason: str = ""
    """Why it decided so last."""
    battery_wanted_wh: Callable[[datetime], float] | None = None
    """What the house battery should hold at that time to last through the night."""
    prices: Callable[[datetime], Prices] | None = None
    """The prices for the law at that time; None: the defaults."""

    def cycle(
        self, now: datetime, inverter: InverterReading, charger: ChargerState
    ) -> Setpoint | None:
        """The setpoint to send now, None to send nothing."""
        wanted_wh = self.battery_wanted_wh(now) if self.battery_wanted_wh else None
        inputs = CycleInputs(
            *(now, inverter, charger, self.policy),
            prices=self.prices(now) if self.prices else Prices(),
            car_limit=CarLimit.of(self.policy),
            battery_wanted_wh=wanted_wh,
        )
        decision = decide(inputs, self.state)
        self.state, self.reason = decision.state, decision.reason
        if decision.setpoint is None or not decision.push:
            return None
        self.state = decision.pushed(now).state
        return decision.setpoint


@dataclass(frozen=True, slots=True)
class PlugInInterval:
    """A time for which a car is plugged in; seconds since midnight."""

    since_s: int
    until_s: int
    needed_kwh: float = UNLIMITED_KWH
    """What fills the car."""


@dataclass(frozen=True, slots=True)
class Samples:
    """PV power and house load of a day in W, a sample every `STEP_S`."""

    name: str
    pv_w: Sequence[float]
    load_w: Sequence[float]

    def pv_at(self, second: int) -> float:
        """PV power at a second since midnight."""
        return self.pv_w[min(second // STEP_S, len(self.pv_w) - 1)]

    def load_at(self, second: int) -> float:
        """House load at a second since midnight."""
        return self.load_w[min(second // STEP_S, len(self.load_w) - 1)]

    def outlook(self) -> BatteryOutlook:
        """What one would have expected of the day, had the one before been like it."""
        per_quarter = int(QUARTER.total_seconds()) // STEP_S
        return BatteryOutlook.sampled(self.pv_w, self.load_w, per_quarter)


@dataclass(frozen=True, slots=True)
class HouseModel:
    """Battery and car with which days are replayed."""

    battery: BatterySpec | None = None
    car: CarSpec = field(default_factory=lambda: CarSpec(max_current_a=32.0))


@dataclass(frozen=True, slots=True)
class ReplayDay:
    """The inputs of a replay."""

    start: datetime
    length_s: int
    samples: Samples
    plug_ins: tuple[PlugInInterval, ...]
    interval_s: int = 30
    soc_pct: float | None = None
    """State of charge at the start."""
    state: ControllerState = field(default_factory=ControllerState)
    """What the cycle before the day left."""
    prices: Sequence[Prices] = ()
    """The prices for the law in each quarter-hour; empty: the defaults."""


def priced(day: ReplayDay, table: PriceTable) -> ReplayDay:
    """The day with the owner's prices."""
    quarters = -(-day.length_s // int(QUARTER.total_seconds()))
    prices = tuple(table.for_law(day.start + index * QUARTER) for index in range(quarters))
    return replace(day, prices=prices)


def replay(day: ReplayDay, house: HouseModel, policy: Policy) -> Outcome:
    """Replay the day under the policy."""
    battery = house.battery
    if battery is not None and day.soc_pct is not None:
        battery = replace(battery, start_soc_pct=day.soc_pct)
    spec = HouseSpec(
        car=house.car,
        charger=ChargerSpec(circuit_max_current_a=(32.0,) * 3),
        rated_w=_NO_LIMIT_W,
        main_fuse_a=policy.main_fuse_a,
    )
    law, plug_in_and_out = (
        PolicyLaw(policy, day.interval_s, state=day.state),
        _PlugIns(day.plug_ins),
    )
    if battery is not None and policy.battery_night_kwh:
        outlook = day.samples.outlook()
        law.battery_wanted_wh = lambda now: outlook.wanted_wh((now - day.start) // QUARTER)
    if day.prices:
        law.prices = lambda now: day.prices[(now - day.start) // QUARTER]

    def each_second(plant: Plant) -> None:
        plug_in_and_out(plant)
        if policy.hold_battery and plant.battery is not None:
            _hold(plant.battery, law.state.hold)

    return run_day(
        law,
        day.samples,
        QUICK,
        battery,
        spec=spec,
        hours=day.length_s / 3600,
        start=day.start,
        held=day.state.setpoint or Setpoint(0),
        each_second=each_second,
    )


def _hold(battery: Battery, hold: BatteryHold) -> None:
    """Set the battery as the decision wants it, at once."""
    controls = battery.controls
    controls.forced = 2 if hold is BatteryHold.COMMAND else 0
    controls.discharge_limit_w = 0.0 if hold is BatteryHold.LIMIT else controls.max_power_w


class _PlugIns:
    """Plugs the car in and out."""

    def __init__(self, intervals: Sequence[PlugInInterval]) -> None:
        self._ahead = list(intervals)
        self._until_s = 0
        """When the car leaves."""

    def __call__(self, plant: Plant) -> None:
        now_s, car = plant.clock_s, plant.car
        if car.plugged_in and now_s >= self._until_s:
            car.unplug()
        if self._ahead and now_s >= self._ahead[0].since_s:
            interval = self._ahead.pop(0)
            self._until_s = interval.until_s
            car.spec = replace(car.spec, energy_needed_kwh=interval.needed_kwh)
            plant.charger.plug_in()
