"""What perfect foresight earns in a house, with or without a battery: the bounds of the benchmark.

Money is that of the whole house over a day and the night that follows. A kWh in the car saves the
night price, at which it would be charged otherwise. What the car took from the battery is paid by
the night's import. What is left in the morning leaves as much less room for the next day's sun.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.simulation.plant.plant import BatterySpec, Plant

STEP_S = 20
DAY_S = 86_400
MORNING_S = 30 * 3600
"""End of the night after the day."""
START_STEPS = 2
"""A start: 10 to 60 s until the car draws, and its ramp."""
PHASE_CHANGE_STEPS = 3
"""The same after 8 to 40 s without current."""
RATED_W = 10_000.0
MODES = (0, 1, 3)
_GRID_WH = 100.0
_PRICES = Prices()
_KWH = STEP_S / 3_600_000

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


@dataclass(slots=True)
class Account:
    """The money that a house earns in a day; call it every second."""

    eur: float = 0.0
    stored_wh: float = 0.0
    """What is in the battery at the end."""

    def __call__(self, plant: Plant) -> None:
        """Count this second."""
        self.stored_wh = plant.battery.stored_wh if plant.battery else 0.0
        kwh, export_w = 1 / 3_600_000, plant.grid_export_w
        price = _PRICES.export_price if export_w > 0 else _PRICES.import_price
        self.eur += (export_w * price + plant.car_w * _PRICES.night_price) * kwh


@dataclass(frozen=True, slots=True)
class Course:
    """What a way of charging earns in a day and the night after it."""

    eur: float
    car_kwh: float
    stored_wh: float
    """In the battery at midnight."""
    starts: int = 0
    phase_changes: int = 0
    car_w: list[float] = field(default_factory=list)
    """In steps of `STEP_S`."""


class House:
    """A day in a house in steps of `STEP_S`, and what each offer to the car leads to."""

    def __init__(self, day: Day, battery: BatterySpec | None) -> None:
        seconds = np.arange(MORNING_S)
        minutes = np.append(np.array(day.pv_w), day.pv_w[0])
        pv_w = np.interp(seconds % DAY_S / 60, np.arange(1441), minutes)
        load_w = np.array(day.load_w)[seconds % DAY_S // 60]
        self.pv_w = pv_w.reshape(-1, STEP_S).mean(axis=1)
        self.surplus_w = self.pv_w - load_w.reshape(-1, STEP_S).mean(axis=1)
        gap_a = CarSpec().gap_a
        self.offers_w: dict[int, Floats] = {
            lines: np.array([(amps - gap_a) * lines * 230.0 for amps in range(6, 17)])
            for lines in MODES[1:]
        } | {0: np.zeros(1)}
        self.battery = battery or BatterySpec(capacity_wh=0.0, max_power_w=0.0)
        self.lowest_wh = self.battery.capacity_wh * self.battery.lowest_soc_pct / 100
        levels = 1 + round((self.battery.capacity_wh - self.lowest_wh) / _GRID_WH)
        self.levels_wh: Floats = np.linspace(self.lowest_wh, self.battery.capacity_wh, levels)
        self.day_steps, self.steps = DAY_S // STEP_S, MORNING_S // STEP_S

    def follow(self, step: int, car_w: Floats, stored_wh: Floats) -> tuple[Floats, Floats]:
        """What is earned in a step in EUR, and what is in the battery after it."""
        spec, hours = self.battery, STEP_S / 3600
        net_w = self.surplus_w[step] - car_w
        room_w = (spec.capacity_wh - stored_wh) / hours / spec.efficiency
        left_w = (stored_wh - self.lowest_wh) / hours * spec.efficiency
        most_w, least_w = np.minimum(spec.max_power_w, room_w), np.minimum(spec.max_power_w, left_w)
        charge_w = np.clip(net_w, -least_w, most_w)
        charge_w = np.maximum(charge_w, min(0.0, self.pv_w[step] - RATED_W))
        moved = np.where(charge_w > 0, charge_w * spec.efficiency, charge_w / spec.efficiency)
        export_w = np.minimum(net_w - charge_w, RATED_W + net_w - self.pv_w[step])
        price = np.where(export_w > 0, _PRICES.export_price, _PRICES.import_price)
        eur = (export_w * price + car_w * _PRICES.night_price) * _KWH
        return eur, stored_wh + moved * hours

    @property
    def left_eur_wh(self) -> float:
        """What a Wh in the battery is worth in the morning."""
        return _PRICES.export_price * self.battery.efficiency / 1000

    def night_eur(self, stored_wh: float) -> float:
        """What the night earns from what is in the battery at midnight: less than nothing."""
        eur, stored, nothing = 0.0, np.array([stored_wh]), np.zeros(1)
        for step in range(self.day_steps, self.steps):
            earned, stored = self.follow(step, nothing, stored)
            eur += float(earned[0])
        return eur + float(stored[0]) * self.left_eur_wh

    def start_wh(self) -> float:
        """What is in the battery at the beginning."""
        return self.battery.capacity_wh * self.battery.start_soc_pct / 100

    def without_car(self) -> Course:
        """The house while the car is charged at night only."""
        eur, stored, nothing = 0.0, np.array([self.start_wh()]), np.zeros(1)
        for step in range(self.day_steps):
            earned, stored = self.follow(step, nothing, stored)
            eur += float(earned[0])
        at_midnight = float(stored[0])
        return Course(eur + self.night_eur(at_midnight), 0.0, at_midnight)

    def interpolate(self, values: Floats, stored_wh: Floats) -> Floats:
        """Values by level at what is stored."""
        if len(self.levels_wh) == 1:
            return np.broadcast_to(values, np.shape(stored_wh))
        return np.interp(stored_wh, self.levels_wh, values)


class Foresight:
    """The best course of a day, by dynamic programming backwards over modes and battery levels."""

    def __init__(self, house: House, *, delays: bool) -> None:
        self.house, self.delays = house, delays
        levels = len(house.levels_wh)
        self.values: Floats = np.zeros((house.day_steps + PHASE_CHANGE_STEPS + 1, 3, levels))
        night = np.array([house.night_eur(float(wh)) for wh in house.levels_wh])
        self.values[house.day_steps :] = night
        self._waiting: dict[tuple[int, int], Floats] = {}
        for step in range(house.day_steps - 1, -1, -1):
            self._weigh(step)

    def _delay(self, mode: int, other: int) -> int:
        """Steps without current until the other mode draws."""
        if not self.delays or other == 0:
            return 0
        return START_STEPS if mode == 0 else PHASE_CHANGE_STEPS

    def _weigh(self, step: int) -> None:
        """The value of each mode at the beginning of this step."""
        house, levels = self.house, self.house.levels_wh
        idle_eur, idle_wh = house.follow(step, np.zeros(1), levels)
        stay = [self._best(step, index, levels) for index in range(3)]
        for index in range(3):
            for left in range(PHASE_CHANGE_STEPS, 0, -1):
                then = self.values[step + 1, index]
                if left > 1:
                    then = self._waiting.get((index, left - 1), then)
                self._waiting[index, left] = idle_eur + house.interpolate(then, idle_wh)
        for index, mode in enumerate(MODES):
            options = [
                self._waiting[other, self._delay(mode, MODES[other])]
                if self._delay(mode, MODES[other])
                else stay[other]
                for other in range(3)
                if other != index
            ]
            self.values[step, index] = np.maximum.reduce([stay[index], *options])

    def _best(self, step: int, index: int, stored_wh: Floats) -> Floats:
        best: Floats = np.max(self._offers(step, index, stored_wh), axis=0)
        return best

    def _offers(self, step: int, index: int, stored_wh: Floats) -> Floats:
        """The value of each offer in this mode, by what is stored."""
        offers_w = self.house.offers_w[MODES[index]][:, np.newaxis]
        eur, then_wh = self.house.follow(step, offers_w, stored_wh[np.newaxis, :])
        return eur + self.house.interpolate(self.values[step + 1, index], then_wh)

    def course(self) -> Course:
        """Play the day with what is known of its value."""
        house, eur, index, step = self.house, 0.0, 0, 0
        stored, car_w = np.array([house.start_wh()]), [0.0] * house.day_steps
        starts = changes = 0
        while step < house.day_steps:
            other, wait = self._choose(step, index, stored)
            starts += MODES[index] == 0 and MODES[other] != 0
            changes += 0 not in (MODES[index], MODES[other]) and index != other
            index = other
            for _ in range(min(wait, house.day_steps - step)):
                earned, stored = house.follow(step, np.zeros(1), stored)
                eur, step = eur + float(earned[0]), step + 1
            if step == house.day_steps:
                break
            best = int(np.argmax(self._offers(step, index, stored)[:, 0]))
            car_w[step] = float(house.offers_w[MODES[index]][best])
            earned, stored = house.follow(step, np.array([car_w[step]]), stored)
            eur, step = eur + float(earned[0]), step + 1
        at_midnight = float(stored[0])
        kwh = sum(car_w) * _KWH
        eur += house.night_eur(at_midnight)
        return Course(eur, kwh, at_midnight, starts, changes, car_w)

    def _choose(self, step: int, index: int, stored_wh: Floats) -> tuple[int, int]:
        """The best mode for the next step, and how many steps it takes until it draws."""
        best, found = -np.inf, (index, 0)
        order = [index, *(other for other in range(3) if other != index)]
        for other in order:
            wait = self._delay(MODES[index], MODES[other]) if other != index else 0
            value = self._value_after(step, wait, other, stored_wh)
            if value > best + 1e-12:
                best, found = value, (other, wait)
        return found

    def _value_after(self, step: int, wait: int, index: int, stored_wh: Floats) -> float:
        house, eur = self.house, 0.0
        for ahead in range(step, min(step + wait, house.day_steps)):
            earned, stored_wh = house.follow(ahead, np.zeros(1), stored_wh)
            eur += float(earned[0])
        at = min(step + wait, house.day_steps)
        if at == house.day_steps:
            return eur + float(house.interpolate(self.values[at, index], stored_wh)[0])
        return eur + float(self._best(at, index, stored_wh)[0])


@dataclass(frozen=True, slots=True)
class Bound:
    """What a clairvoyant earns more on a day than a house whose car charges at night only."""

    eur: float
    delayed_eur: float
    """With the time that starts and phase changes really take."""
    car_kwh: float
    base_eur: float
    """What the house earns without charging by day."""


def foresee(day: Day, battery: BatterySpec | None) -> Bound:
    """The bounds of a day, in EUR and kWh."""
    house = House(day, battery)
    base_eur = house.without_car().eur
    free, delayed = (Foresight(house, delays=delays).course() for delays in (False, True))
    return Bound(free.eur - base_eur, delayed.eur - base_eur, free.car_kwh, base_eur)


def earned_eur(day: Day, battery: BatterySpec | None, account: Account, bound: Bound) -> float:
    """What a law has earned with charging by day, the night after it included."""
    house = House(day, battery)
    return account.eur + house.night_eur(account.stored_wh) - bound.base_eur
