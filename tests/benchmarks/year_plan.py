"""Our planning and our control law for a year: knows at each moment what a home would know."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.needs import HORIZON
from easee_load_balancer.control.plan import (
    Car,
    Departure,
    GridAllowance,
    HomeBattery,
    Plan,
    PlanInputs,
    PlanSlot,
    grid_allowance,
)
from easee_load_balancer.control.plan_slots import Past, plan_slots
from easee_load_balancer.control.planner import make_plan
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.energy.expectations import PAST_DAYS
from easee_load_balancer.energy.price_table import PriceTable
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.measurements import BatteryHold, ChargerMode, ChargerState, InverterReading
from easee_load_balancer.periods import QUARTER
from tests.benchmarks.year_house import (
    CAPACITY_KWH,
    LOWEST_KWH,
    STEP,
    BatterySize,
    Floats,
    Moment,
    Year,
    battery_w,
)
from tests.benchmarks.year_rules import known_until

VOLTS = 230.0
ERROR = 0.20
SEED = 19
FORECAST_DAYS = 3
DAY = timedelta(days=1)
PRICES = Prices(
    source="Nord Pool",
    zone="SE4",
    spot_surcharge=0.08,
    vat_pct=25,
    export_follows_spot=True,
)
"""Spot x 1.25 + 0.10 EUR/kWh; export earns the spot price."""
UTC_ZONE = ZoneInfo("UTC")
CYCLES = 5
"""Cycles of the law in a step while it has something to change: one a minute."""
DEVIATION_KWH = 0.4
"""A new plan is made when the car has this much more or less than planned."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is known beforehand of the sun: nothing, or each day with an error."""

    known: bool
    errors: Floats

    @classmethod
    def none(cls, year: Year) -> Forecast:
        return cls(False, np.ones(year.quarters // 96))

    @classmethod
    def with_error(cls, year: Year, error: float) -> Forecast:
        """Each day's production is misjudged by this share (one standard deviation)."""
        days = year.quarters // 96
        noise = np.random.default_rng(SEED).normal(1.0, error, days) if error else np.ones(days)
        return cls(True, np.clip(noise, 0.0, 2.0))


@dataclass(slots=True)
class Planned:
    """`make_plan` and `decide`, as the flows call them."""

    year: Year
    forecast: Forecast
    battery: BatterySize | None = None
    horizon: timedelta = HORIZON
    plan: Plan | None = None
    state: ControllerState = field(default_factory=ControllerState)
    plans: int = 0
    plan_s: float = 0.0
    slowest_s: float = 0.0
    _made_of: tuple[object, ...] = ()
    _seen: tuple[int, int] = (-1, -1)
    _expected: tuple[PlanSlot, ...] = ()
    _table: PriceTable = field(default_factory=lambda: PriceTable(PRICES, UTC_ZONE))
    _car_w: float = 0.0
    _held: bool = False
    _settled: tuple[object, ...] = ()
    """What the last step has seen, if its cycles have changed nothing."""

    def car_w(self, moment: Moment) -> float:
        if not moment.connected:
            self._car_w, self._made_of, self._held = 0.0, (), False
            return 0.0
        if moment.now.minute % 15 == 0:
            self._refresh(moment)
        car = self._car(moment)
        departures = self._departures(moment.now)
        allowance = grid_allowance(moment.now, self.plan, car, departures)
        if not (allowance.grid_w or self._car_w or self._held or moment.pv_w > moment.load_w):
            self._settled = ()
            return 0.0  # nothing to decide
        seen = (moment.pv_w, moment.load_w, allowance)
        cycles = 1 if self._settled == seen else CYCLES
        before = self.state.setpoint
        powers_w = [self._cycle(moment, allowance, cycle) for cycle in range(cycles)]
        self._settled = seen if self.state.setpoint == before else ()
        return sum(powers_w) / cycles

    def _cycle(self, moment: Moment, allowance: GridAllowance, cycle: int) -> float:
        """What the car draws from one of a step's cycles to the next, or to the step's end."""
        now = moment.now + cycle * STEP / CYCLES
        reading, charger = self._readings(moment, now)
        policy = Policy(hold_battery=self.battery is not None, main_fuse_a=25)
        prices = self._table.for_law(moment.now)
        inputs = CycleInputs(now, reading, charger, policy, prices, grid=allowance)
        decision = decide(inputs, self.state)
        if decision.push:
            decision = decision.pushed(now)
        self.state = decision.state
        self._held = self.state.hold is not BatteryHold.FREE
        active = self.state.setpoint
        full = moment.car_kwh >= CAPACITY_KWH - 1e-6
        self._car_w = active.power_w(VOLTS) if active and not full else 0.0
        return self._car_w

    def holds_battery(self) -> bool:
        return self._held

    def _refresh(self, moment: Moment) -> None:
        """A plan, where there is something new: nothing of what it is made of changes else."""
        known = (moment.quarter // 96, known_until(self.year, moment.quarter))
        if self.plan is not None and self._made_of == known:
            before = self.plan.slot_at(moment.now - QUARTER)
            if before is not None and abs(before.car_kwh - moment.car_kwh) < DEVIATION_KWH:
                self.plan = self.plan.model_copy(update={"made_at": moment.now})
                return
        began = time.process_time()
        self.plan = make_plan(self.inputs(moment))
        took_s = time.process_time() - began
        self.plans, self.plan_s = self.plans + 1, self.plan_s + took_s
        self.slowest_s = max(self.slowest_s, took_s)
        self._made_of = known

    def inputs(self, moment: Moment) -> PlanInputs:
        """What a home knows at this moment."""
        battery = None
        if self.battery is not None and moment.battery_kwh is not None:
            size, power_w = self.battery, self.battery.power_w
            battery = HomeBattery(moment.battery_kwh, size.capacity_kwh, power_w, power_w)
        return PlanInputs(
            now=moment.now,
            slots=self._slots(moment),
            car=replace(self._car(moment), charging=self._car_w > 0),
            departures=self._departures(moment.now),
            battery=battery,
            max_import_w=23 * 3 * VOLTS,
        )

    def _car(self, moment: Moment) -> Car:
        return Car(moment.car_kwh, CAPACITY_KWH, floor_kwh=LOWEST_KWH)

    def _departures(self, now: datetime) -> tuple[Departure, ...]:
        first = (now - self.year.start) // timedelta(days=7) * 6
        near = self.year.departures[max(0, first - 8) : first + 20]
        return tuple(each for each in near if now < each.at < now + self.horizon)

    def _slots(self, moment: Moment) -> tuple[PlanSlot, ...]:
        """What `plan_slots` expects, looked at when prices come and when a day begins."""
        known = known_until(self.year, moment.quarter)
        seen = (moment.quarter // 96, known)
        if self._seen != seen:
            past = self._past(moment.quarter // 96)
            spot = self._values(self.year.spot, 0, known)
            self._table = PriceTable(PRICES, UTC_ZONE, spot)
            self._expected = plan_slots(self._table, past, moment.now, self.horizon + DAY)
            self._seen = seen
        first = (moment.now - self._expected[0].start) // QUARTER
        last = min(first + self.horizon // QUARTER, self.year.quarters - moment.quarter + first)
        return self._expected[first:last]

    def _past(self, today: int) -> Past:
        """The last weeks' production and load, and the forecasts."""
        year, first, now = self.year, max(0, (today - PAST_DAYS)) * 96, today * 96
        forecast_w = {}
        if self.forecast.known:
            last = min(year.quarters, now + FORECAST_DAYS * 96)
            errors = np.repeat(self.forecast.errors, 96)
            forecast_w = self._values(year.pv_w * errors, first, last)
        return Past(
            pv_w=self._values(year.pv_w, first, now),
            load_w=self._values(year.load_w, first, now),
            forecast_w=forecast_w,
        )

    def _values(self, values: Floats, first: int, last: int) -> dict[datetime, float]:
        first = max(first, last - (PAST_DAYS + 2 + FORECAST_DAYS) * 96)
        return {self.year.at(i): float(values[i]) for i in range(first, last)}

    def _readings(self, moment: Moment, now: datetime) -> tuple[InverterReading, ChargerState]:
        """What inverter and charger show, after the last cycle."""
        car_w = self._car_w
        rest_w = moment.pv_w - moment.load_w - car_w
        charge_w, soc_pct = 0.0, None
        if self.battery is not None and moment.battery_kwh is not None:
            charge_w = battery_w(self.battery, moment.battery_kwh, rest_w, held=self._held)
            soc_pct = 100 * moment.battery_kwh / self.battery.capacity_kwh
        export_w = rest_w - charge_w
        amps = export_w / 3 / VOLTS
        reading = InverterReading(
            taken_at=now,
            grid_export_w=export_w,
            battery_charge_w=charge_w,
            battery_soc_pct=soc_pct,
            has_battery=self.battery is not None,
            pv_w=moment.pv_w,
            inverter_ac_w=moment.pv_w - charge_w,
            rated_w=10_000.0,
            grid_current_phase_a=(amps, amps, amps),
            grid_voltage_v=(VOLTS, VOLTS, VOLTS),
            meter_phases=3,
        )
        active = self.state.setpoint
        full = moment.car_kwh >= CAPACITY_KWH - 1e-6
        mode = ChargerMode.CHARGING if car_w else ChargerMode.AWAITING_START
        car_a = car_w / VOLTS / (active.phases if active else 3)
        currents = (car_a, car_a, car_a) if active and active.phases == 3 else (car_a, 0.0, 0.0)
        observed_at = now - timedelta(seconds=50)
        charger = ChargerState(
            taken_at=now,
            online=True,
            mode=ChargerMode.COMPLETED if full else mode,
            car_w=car_w,
            output_current_a=car_a,
            output_phases=active.phases if active and car_w else 0,
            car_current_a=currents,
            voltage_v=(VOLTS, VOLTS, VOLTS),
            circuit_max_current_a=(16.0, 16.0, 16.0),
            charger_current_a=32.0,
            charger_max_current_a=32.0,
            phase_mode=2,
            grid_type=1,
            observed_at={"car_w": observed_at},
        )
        return reading, charger
