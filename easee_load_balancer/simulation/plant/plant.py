"""The house's electricity in one-second steps: PV, load, battery, car, grid and meter.

Of conversion losses only the battery's are modelled: PV is what reaches the AC side. Signs are
those of the project: grid export and battery charging are positive.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

from easee_load_balancer.simulation.plant.battery import Battery
from easee_load_balancer.simulation.plant.car import Car, CarSpec
from easee_load_balancer.simulation.plant.charger import Charger, ChargerSpec
from easee_load_balancer.simulation.plant.day import Weather
from easee_load_balancer.simulation.plant.grid import (
    IT_GRIDS,
    Conductors,
    Lines,
    PerPhase,
    it_lines,
    power_between_w,
    tn_lines,
)
from easee_load_balancer.simulation.plant.meter import (
    MeterFault,
    MeterFaultKind,
    MeterSample,
    faulty,
)
from easee_load_balancer.simulation.plant.other_chargers import (
    OtherCharger,
    OtherSpec,
    share_circuits,
)

_ASLEEP_AFTER_DARK_S = 600
_DARK_W = 10.0
_THROTTLED_W = 50.0
_UNTHROTTLES = 0.2
"""Share of the way to what may be produced that a throttled inverter comes up in a second."""
_NOTHING: PerPhase = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class BatterySpec:
    """A battery behind the inverter in self-consumption mode."""

    capacity_wh: float = 10_000.0
    max_power_w: float = 5_000.0
    start_soc_pct: float = 50.0
    lowest_soc_pct: float = 5.0
    efficiency: float = 1.0
    """Of charging, and once more of discharging."""
    offline: bool = False
    """Installed, without communication to the inverter."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A car that is plugged in between two seconds of the plant's clock."""

    since_s: int
    until_s: int
    car: CarSpec = field(default_factory=CarSpec)


@dataclass(frozen=True, slots=True)
class HouseSpec:
    """Equipment of the house; `battery` None = none."""

    battery: BatterySpec | None = field(default_factory=BatterySpec)
    car: CarSpec = field(default_factory=CarSpec)
    charger: ChargerSpec = field(default_factory=ChargerSpec)
    rated_w: float = 10_000.0
    """AC rating of the inverter."""
    export_limit_w: float | None = None
    """The inverter throttles its PV to export no more than this; None = no limit."""
    phases: int = 3
    """1 = one-phase house and inverter: everything is on L1."""
    meter_phases: int | None = None
    """Phases that the meter measures, L1 first; None = all of the house, 0 = no meter.

    Its energy counters always cover the whole house.
    """
    main_fuse_a: float = 25.0
    meter_refresh_s: int = 1
    """How often the meter takes a new sample."""
    meter_delay_s: int = 2
    """Age of a sample when the inverter shows it."""
    meter_unsigned: bool = False
    """The currents have no sign; the powers have theirs."""
    meter_faults: tuple[MeterFault, ...] = ()
    islands: tuple[tuple[int, int], ...] = ()
    """Between these seconds the grid is gone: a backup box feeds the house from PV and battery."""
    visits: tuple[Visit, ...] = ()
    """Cars that come and go, in order; empty: `car` is there from the start."""
    others: tuple[OtherSpec, ...] = ()
    """Further chargers with their cars."""
    seed: int = 1


@dataclass(slots=True)
class Counters:
    """Energy since the start in kWh, and seconds above the main fuse: the true values for tests.

    "Car" means all cars; their energy counts as grid import first, then as battery discharge, then
    as PV.
    """

    pv_kwh: float = 0.0
    load_kwh: float = 0.0
    car_kwh: float = 0.0
    car_from_grid_kwh: float = 0.0
    car_from_battery_kwh: float = 0.0
    exported_kwh: float = 0.0
    imported_kwh: float = 0.0
    charged_kwh: float = 0.0
    discharged_kwh: float = 0.0
    over_fuse_s: int = 0


class Plant:
    """The house. `step()` advances it by one second; attributes are the true present values.

    At `speed` simulated seconds per real second, its energy counters count real time, like the
    clients that read them.
    """

    LOAD_SHARE: PerPhase = (0.45, 0.30, 0.25)
    """Distribution of the household's load over three phases."""

    def __init__(
        self, day: Weather, spec: HouseSpec | None = None, start_s: int = 0, speed: int = 1
    ) -> None:
        self.day = day
        self._kwh_per_w = 1 / 3_600_000 / speed
        self.spec = spec = spec or HouseSpec()
        rng = random.Random(spec.seed)
        self.clock_s = start_s
        """Seconds since midnight of the first day; continues after 86 400."""
        works = spec.battery is not None and not spec.battery.offline
        self.battery = Battery(spec.battery) if spec.battery and works else None
        self.car = Car(spec.car, rng)
        self.charger = Charger(spec.charger, self.car, rng)
        self.counters = Counters()
        self.extra_load_w: PerPhase = (0.0, 0.0, 0.0)
        """An additional load per phase, on IT on L1-L2, L2-L3, L3-L1: for the main fuse."""
        self.pv_w = day.pv_at(start_s)
        self.available_pv_w = self.pv_w
        """What the panels could yield; a limit of the export may throttle them."""
        self._unthrottled_w = 0.0
        self.load_w = day.load_at(start_s)
        self.car_w = 0.0
        self.reported_car_w = 0.0
        """The car's power as the charger reports it."""
        self.cars_w = 0.0
        """All cars together."""
        self.lifetime_kwh = 0.0
        """What the first charger has delivered."""
        self.battery_charge_w = 0.0
        self.inverter_ac_w = 0.0
        self.grid_export_phase_w: PerPhase = _NOTHING
        self.grid_export_phase_a: PerPhase = (0.0, 0.0, 0.0)
        """Signed like the power."""
        self.off_grid = False
        self.voltage_v: PerPhase = (230.0, 230.0, 230.0)
        self._dark_s = _ASLEEP_AFTER_DARK_S if self.pv_w < _DARK_W else 0
        self._samples: deque[MeterSample] = deque(
            maxlen=spec.meter_delay_s // spec.meter_refresh_s + 1
        )
        self._visits = deque(spec.visits)
        self._leaves_at_s: int | None = None
        self.others = tuple(
            OtherCharger(self, other, spec.seed + number)
            for number, other in enumerate(spec.others, 1)
        )
        if spec.visits:
            self.car.unplug()
        self.step()

    @property
    def grid_export_w(self) -> float:
        return sum(self.grid_export_phase_w)

    @property
    def throttled(self) -> bool:
        """Whether the limit of the export holds the PV down."""
        return self.available_pv_w - self.pv_w > _THROTTLED_W

    @property
    def meter(self) -> MeterSample:
        """The sample from `meter_delay_s` ago, which the meter shows now."""
        return self._samples[0]

    @property
    def meter_online(self) -> bool:
        """Whether the meter answers."""
        return not self.off_grid and self.meter_fault != "offline"

    @property
    def meter_fault(self) -> MeterFaultKind | None:
        """The kind of the meter's present fault."""
        for fault in self.spec.meter_faults:
            if fault.since_s <= self.clock_s < fault.until_s:
                return fault.kind
        return None

    @property
    def asleep(self) -> bool:
        """A plant without battery stops answering after ten dark minutes."""
        return self.spec.battery is None and self.dark

    @property
    def dark(self) -> bool:
        """Whether it has been dark for ten minutes."""
        return self._dark_s >= _ASLEEP_AFTER_DARK_S

    def step(self) -> None:
        """Advance by one second."""
        self.clock_s += 1
        self.pv_w = self.available_pv_w = self.day.pv_at(self.clock_s)
        self._come_and_go()
        if self.others:
            self._step_others()
        self.charger.step(self.clock_s)
        self._consume()
        lines = self.lines(self.car.current_a, self.charger.car_conductors)
        self.off_grid = any(begin <= self.clock_s < end for begin, end in self.spec.islands)
        if self.off_grid:
            lines = Lines((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
        self.grid_export_phase_w, self.grid_export_phase_a = lines.power_w, lines.current_a
        self._count()
        if self.clock_s % self.spec.meter_refresh_s == 0 or not self._samples:
            self._sample()

    def _step_others(self) -> None:
        share_circuits([(0, self.charger), *((one.circuit, one.charger) for one in self.others)])
        for other in self.others:
            other.step(self.clock_s)

    def lines(self, car_a: float, conductors: Conductors) -> Lines:
        """The house's lines if the car drew that on these of the charger's phases."""
        wiring, volts = self.charger.spec.wiring, self.voltage_v
        if self.spec.phases == 1:
            power_w = self.inverter_ac_w - (
                self._load_phase_w[0] + self.car_power_w(car_a, conductors)
            )
            power_w -= sum(other.car_w for other in self.others)
            return Lines((power_w, 0.0, 0.0), (power_w / volts[0], 0.0, 0.0))
        used = tuple(wiring[phase] for phase in conductors)
        if self.charger.spec.grid_type in IT_GRIDS:
            return it_lines(self.inverter_ac_w, self._load_phase_w, volts, car_a, used)
        l1, l2, l3 = (car_a if line in used else 0.0 for line in range(3))
        for other in self.others:
            more = other.line_currents_a()
            l1, l2, l3 = l1 + more[0], l2 + more[1], l3 + more[2]
        return tn_lines(self.inverter_ac_w, self._load_phase_w, volts, (l1, l2, l3))

    def _come_and_go(self) -> None:
        if self._leaves_at_s is not None and self.clock_s >= self._leaves_at_s:
            self.car.unplug()
            self._leaves_at_s = None
        if self._visits and self.clock_s >= self._visits[0].since_s:
            visit = self._visits.popleft()
            self.car.spec, self._leaves_at_s = visit.car, visit.until_s
            self.charger.plug_in()

    def car_power_w(self, car_a: float, conductors: Conductors) -> float:
        """The car's power if it drew that on these of the charger's phases."""
        spec = self.charger.spec
        used = tuple(spec.wiring[phase] for phase in conductors)
        return power_between_w(spec.grid_type, car_a, used, self.voltage_v)

    def _consume(self) -> None:
        """What the house and the car take, and what the inverter feeds then."""
        extra, share = self.extra_load_w, self.LOAD_SHARE
        base_w = self.day.load_at(self.clock_s)
        self.load_w = base_w + extra[0] + extra[1] + extra[2]
        self.car_w = self.car_power_w(self.car.current_a, self.charger.car_conductors)
        if self.car_w or not self.charger.spec.stale_power:
            self.reported_car_w = self.car_w
        if self.spec.phases == 1:
            self._load_phase_w = (self.load_w, 0.0, 0.0)
        else:
            self._load_phase_w = (
                base_w * share[0] + extra[0],
                base_w * share[1] + extra[1],
                base_w * share[2] + extra[2],
            )
        self.cars_w = self.car_w
        for other in self.others:
            self.cars_w += other.car_w
        self._generate(self.load_w + self.cars_w)

    def _generate(self, consumption_w: float) -> None:
        limit_w = self.spec.export_limit_w
        if limit_w is not None:
            self._throttle(consumption_w + limit_w)
        if self.battery is not None:
            self.battery.step(self.pv_w - consumption_w, self.pv_w, self.spec.rated_w)
            self.battery_charge_w = self.battery.charge_w
        if limit_w is not None:
            most_w = consumption_w + limit_w + self.battery_charge_w
            self.pv_w = max(0.0, min(self.pv_w, most_w))
        self.inverter_ac_w = min(self.pv_w - self.battery_charge_w, self.spec.rated_w)
        self._dark_s = self._dark_s + 1 if self.available_pv_w < _DARK_W else 0

    def _throttle(self, most_ac_w: float) -> None:
        """Down at once, up within some seconds: to what house and grid take, and the battery."""
        battery = self.battery
        takes_w = battery.spec.max_power_w if battery is not None and not battery.full else 0.0
        usable_w = most_ac_w + takes_w
        rise_w = (usable_w - self._unthrottled_w) * _UNTHROTTLES
        self._unthrottled_w = min(usable_w, self._unthrottled_w + rise_w)
        self.pv_w = min(self.pv_w, self._unthrottled_w)

    def _count(self) -> None:
        counters, kwh = self.counters, self._kwh_per_w
        e1, e2, e3 = self.grid_export_phase_w
        net = e1 + e2 + e3
        charge = self.battery_charge_w
        counters.pv_kwh += (self.inverter_ac_w + charge) * kwh
        counters.load_kwh += self.load_w * kwh
        counters.car_kwh += self.cars_w * kwh
        self.lifetime_kwh += self.car_w * kwh
        self.car.energy_kwh += self.car_w * kwh
        for other in self.others:
            other.count(kwh)
        if net >= 0:
            counters.exported_kwh += net * kwh
        else:
            counters.imported_kwh -= net * kwh
            counters.car_from_grid_kwh += min(-net, self.cars_w) * kwh
        if charge >= 0:
            counters.charged_kwh += charge * kwh
        else:
            counters.discharged_kwh -= charge * kwh
            not_from_grid_w = self.cars_w - min(max(0.0, -net), self.cars_w)
            counters.car_from_battery_kwh += min(-charge, not_from_grid_w) * kwh
        over = -min(e1, e2, e3) > self.spec.main_fuse_a * 230.0
        if self.charger.spec.grid_type in IT_GRIDS:
            over = -min(self.grid_export_phase_a) > self.spec.main_fuse_a
        counters.over_fuse_s += over

    def _sample(self) -> None:
        e1, e2, e3 = self.grid_export_phase_w
        self.voltage_v = (231.0 + e1 / 1500, 229.5 + e2 / 1500, 232.0 + e3 / 1500)
        a1, a2, a3 = self.grid_export_phase_a
        if self.spec.meter_unsigned:
            a1, a2, a3 = abs(a1), abs(a2), abs(a3)
        counters = self.counters
        sample = MeterSample(
            self.grid_export_phase_w,
            self.voltage_v,
            counters.exported_kwh,
            counters.imported_kwh,
            (a1, a2, a3),
            self.clock_s,
        )
        if self.meter_fault == "frozen" and self._samples:
            sample = self._samples[-1]
        self._samples.append(faulty(sample, self.meter_fault, self.clock_s))
