"""One cycle's readings, and their assessment: what the rules of the control law look at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from easee_load_balancer.control import battery
from easee_load_balancer.control.behaviour import car_is_absent, is_drawing
from easee_load_balancer.control.boost import Boost
from easee_load_balancer.control.export_limit import export_limit_w, is_at_limit
from easee_load_balancer.control.lending import STRICT_GRID_WEIGHT, lent_weight, used_share
from easee_load_balancer.control.limits import (
    fuse_headroom,
    lowest_limit,
    phase_imports_a,
    possible_phases,
)
from easee_load_balancer.control.peak import PeakLimit
from easee_load_balancer.control.plan import CarLimit, GridAllowance
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.power_estimate import (
    CarEstimate,
    CarPowerEstimator,
    PowerRange,
    voltage_v,
)
from easee_load_balancer.control.power_limits import power_limits
from easee_load_balancer.control.share import Share
from easee_load_balancer.control.state import Choice, ControllerState, Phases
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.measurements import ChargerState, InverterReading, Setpoint

_SAID_W = 200.0
"""A smaller difference is not mentioned."""
_AT_LEAST_W = 1.0
"""An export at its limit counts as this much above it, so that what is carried stays."""
PLAN_GRID_WEIGHT = 2.0
"""Wh of sun that each Wh from the grid has to bring beside a plan, which buys at a better time."""
RAISE_MARGIN_A = 0.4
"""The main fuse has to leave this much more for a raise, so that noise does not toggle it."""


@dataclass(frozen=True, slots=True)
class CycleInputs:
    """What one cycle has read, and what the owner wants."""

    now: datetime
    inverter: InverterReading
    charger: ChargerState
    policy: Policy
    prices: Prices = field(default_factory=Prices)
    boost: Boost | None = None
    grid: GridAllowance | None = None
    """What the charging plan allows beside the surplus; None: no plan is wanted, or none now."""
    car_limit: CarLimit | None = None
    peak: PeakLimit | None = None
    share: Share | None = None
    """What is left to this car where a home has several."""
    battery_wanted_wh: float | None = None
    """What the house battery should hold now to last through the night; None: unknown."""
    by_plan: bool = False
    """Whether a plan decides what comes from the grid and when."""

    def obeying_plan(self) -> CycleInputs:
        """With the policy of planned charging while it lasts; without its power otherwise."""
        if self.grid is None:
            return self
        policy = self.grid.over(self.policy)
        grid = self.grid if policy is not self.policy else None
        return replace(self, policy=policy, grid=grid, by_plan=self.grid.by_plan)

    @property
    def battery_first_until_pct(self) -> float:
        """State of charge below which the battery comes first."""
        return battery.first_until_pct(self.policy, self.prices, self.battery_wanted_wh)

    @property
    def planned_w(self) -> float:
        """Power from the grid that counts like surplus."""
        return 0.0 if self.grid is None or self.policy.mode == "fast" else self.grid.grid_w

    @property
    def export_margin_w(self) -> int | None:
        """What the owner wants to export at least; nothing while export pays nothing."""
        margin_w = self.policy.export_margin_w
        keeps = margin_w is None or margin_w <= 0 or self.prices.export_pays
        return margin_w if keeps else None


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the rules have proposed so far."""

    phases: Phases
    current_a: int
    why: str = ""

    def is_above(self, active: Setpoint) -> bool:
        """Whether it is more current than the active setpoint, on all phases together."""
        return self.current_a * self.phases > active.current_a * active.phases


@dataclass(frozen=True, slots=True)
class Assessment:
    """The inputs and the state of one cycle, and what follows from them."""

    inputs: CycleInputs
    state: ControllerState
    active: Setpoint
    """The active setpoint."""
    estimator: CarPowerEstimator
    imports_a: list[float] | None
    """Import on each phase of the house; None where one is unknown."""
    possible: tuple[Phases, ...]
    """Numbers of phases that may be used, fewest first."""
    car: CarEstimate
    surplus: PowerRange | None
    """What is left for the car after battery reserve and export margin; None = unknown."""
    battery_w: float | None
    """Charging power of the battery that could go to the car instead; negative: discharging."""
    reserve_w: float
    """Left to the battery; negative: added by it."""
    at_limit: bool = False
    """Whether no more may be exported, so that PV may be throttled."""

    @property
    def choice(self) -> Choice:
        """The phases in use; 0 = paused."""
        return self.active.phases if self.active.current_a else 0

    @property
    def alternatives(self) -> tuple[Choice, ...]:
        """The choices that are not in use."""
        choices: tuple[Choice, ...] = (0, *self.possible)
        return tuple(choice for choice in choices if choice != self.choice)

    def since(self, moment: datetime | None) -> timedelta:
        """Time since a moment of the state."""
        return self.state.since(moment, self.inputs.now)

    def draw_w(self, current_a: float, phases: Phases) -> float:
        """What this car draws of an offer."""
        return self.estimator.offered(Setpoint(int(current_a), phases)).power_w

    @property
    def drawing(self) -> bool:
        """Whether the car draws, as far as the readings can show it."""
        return self.state.drew and is_drawing(self.inputs.charger)

    @property
    def grid_weight(self) -> float:
        """Wh of solar energy that make up for a Wh from the grid, or lent by the battery."""
        weight = self._price_weight
        if weight is None:
            return STRICT_GRID_WEIGHT
        if not self.inputs.inverter.has_battery:
            return weight
        if not battery.can_give(self.inputs.inverter):
            return STRICT_GRID_WEIGHT
        used = used_share(self.state.lent, self.inputs.now, self.inputs.policy)
        return lent_weight(weight, used)

    @property
    def solar_share(self) -> float:
        """The solar share from which the next ampere is worth taking, 0 to 1."""
        weight = self.grid_weight
        return 1.0 if weight >= STRICT_GRID_WEIGHT else weight / (1 + weight)

    @property
    def _price_weight(self) -> float | None:
        if self.inputs.export_margin_w is not None:
            return None
        if self.inputs.by_plan:
            return PLAN_GRID_WEIGHT
        return self.inputs.prices.grid_weight

    def worth_w(self, power_w: float, surplus_w: float, phases: Phases) -> float:
        """What a charging power is worth: its solar part, less the weighted rest."""
        solar_w = min(power_w, max(0.0, surplus_w))
        if lines_w := self.line_surplus_w(surplus_w):
            used = self._used_lines(phases)
            by_line_w = [min(power_w / len(used), max(0.0, lines_w[line])) for line in used]
            solar_w = min(solar_w, sum(by_line_w))
        return solar_w - self.grid_weight * (power_w - solar_w)

    def line_surplus_w(self, surplus_w: float) -> list[float]:
        """What of the surplus is on each phase, where the meter does not net them; else nothing.

        The inverter feeds all phases alike, so what the battery leaves counts alike on each.
        """
        exports_w = self.inputs.inverter.grid_export_phase_w[: self.inputs.inverter.meter_phases]
        known_w = [watts for watts in exports_w if watts is not None]
        if self.inputs.policy.meter_nets_phases or len(known_w) < 3 or self.surplus is None:
            return []
        rest_w = self.surplus.middle_w - self.car.power.middle_w
        alike_w = (rest_w - sum(known_w)) / len(known_w)
        used = self._used_lines(self.active.phases)
        car_w = (surplus_w - rest_w) / len(used)
        return [
            watts + alike_w + (car_w if line in used else 0.0) for line, watts in enumerate(known_w)
        ]

    def _used_lines(self, phases: Phases) -> Sequence[int]:
        """The house's phases that the car uses; its first until another one is known."""
        car, wiring = self.state.car, self.state.wiring
        lines = car.house_lines(phases, wiring, 3)
        single = phases == 1 or car.lines.get(phases) == 1
        return lines if len(lines) == 1 or not single else (0,)

    def best_current_a(self, phases: Phases, surplus_w: float) -> int:
        """The current that is worth most, at least the minimum current."""
        lowest_a = self.inputs.policy.min_current_a
        highest_a = max(lowest_a, self.limit(phases)[0])
        # a car with steps or limits of its own, or phases that count one by one
        if self.state.car.draws_a or not self.inputs.policy.meter_nets_phases:
            return max(
                range(lowest_a, highest_a + 1),
                key=lambda amps: (
                    self.worth_w(self.draw_w(amps, phases), surplus_w, phases),
                    -amps,
                ),
            )
        step_w = self.estimator.watts_per_ampere(phases)
        steps = (surplus_w - self.draw_w(lowest_a, phases)) / step_w + 1 - self.solar_share
        return max(lowest_a, min(lowest_a + math.floor(steps), highest_a))

    def best_worth_w(self, choice: Choice, surplus_w: float) -> float:
        """What the best current on that many phases is worth; 0 for a pause."""
        if choice == 0:
            return 0.0
        power_w = self.draw_w(self.best_current_a(choice, surplus_w), choice)
        return self.worth_w(power_w, surplus_w, choice)

    def switching_threshold_wh(self, choice: Choice) -> float:
        """Benefit that has to accumulate before another choice is taken."""
        policy = self.inputs.policy
        if choice == 0:  # the loss without any surplus, so that the pause comes no sooner
            return policy.stop_threshold_s * -self.best_worth_w(self.choice, 0.0) / 3600
        lowest_w = self.draw_w(policy.min_current_a, self.possible[0])
        if self.choice == 0:
            return policy.start_threshold_s * lowest_w / 3600
        return self.state.phase_change_s * self.draw_w(policy.min_current_a, 3) / 3600

    def limit(self, phases: int) -> tuple[int, str]:
        """The lowest fixed limit in A, and who sets it."""
        inputs = self.inputs
        fixed = lowest_limit(inputs.charger, inputs.policy, self.state.external_limit_a, phases)
        limits = [fixed, *power_limits(self, phases)]
        return min(limits if inputs.share is None else [*limits, inputs.share.ceiling])

    def fuse_headroom(self, phases: Phases, *, raising: bool) -> tuple[int, str]:
        """Current in A that the main fuse leaves to the car on that many phases, and the numbers.

        A raise counts on the least that the car may be drawing. A pending command is assumed
        applied or not, whichever is safer.
        """
        low_a = self.car.low_a - RAISE_MARGIN_A
        car_a = (low_a,) * 3 if raising else self.car.metered_a
        house_phases = len(self.imports_a or ()) or 3
        lines = self.state.car.house_lines(phases, self.state.wiring, house_phases)
        imports_a = self.imports_a
        if battery.may_be_held(self.inputs.policy, self.state):
            imports_a = battery.imports_when_held_a(imports_a, self.inputs.inverter)
        if self.inputs.share is not None and imports_a is not None:
            imports_a = self.inputs.share.risen(imports_a)
        return fuse_headroom(self.inputs.policy, imports_a, car_a, lines)

    @property
    def equation(self) -> str:
        """The surplus with its parts, in kW."""
        inverter, surplus = self.inputs.inverter, self.surplus
        if inverter.asleep:
            return "no sun, inverter asleep"
        if surplus is None:
            return "surplus unknown"
        if planned_w := self.inputs.planned_w:
            return f"{surplus} kW = {_kw(planned_w)} planned + {surplus + -planned_w} sun"
        if lines_w := self.line_surplus_w(surplus.middle_w):
            shares = " / ".join(f"{watts / 1000:z.1f}" for watts in lines_w)
            return f"surplus {surplus} kW, by phase {shares}"
        parts = f"car {self.car.power} + export {_kw(inverter.grid_export_w)}"
        if (share := self.inputs.share) is not None and share.others != PowerRange(0.0, 0.0):
            parts += f" {_signed_kw(share.others.middle_w)} other cars"
        parts += " (limit)" if self.at_limit else ""
        if inverter.has_battery:
            parts += f" + battery {_kw(self.battery_w)}"
            held_w = (inverter.battery_charge_w or 0.0) - (self.battery_w or 0.0)
            if held_w > _SAID_W:
                command = inverter.battery_command or "on command"
                why = command if self.state.battery_claim_w else "beyond the AC side"
                parts += f" (+ {_kw(held_w)} {why})"
        if self.reserve_w:
            reserve = "battery reserve" if self.reserve_w > 0 else "battery assist"
            parts += f" {_signed_kw(-self.reserve_w)} {reserve}"
        if self.inputs.export_margin_w:
            parts += f" {_signed_kw(-self.inputs.export_margin_w)} margin"
        return f"surplus {surplus} kW = {parts}"


def imports_a(inputs: CycleInputs, state: ControllerState) -> list[float] | None:
    """What each line imports; None where unknown, or where the meter has the wrong sign."""
    if state.sign.wrong_since is not None:  # import would look like room below the fuse
        return None
    volts = voltage_v(inputs.inverter, inputs.charger)
    return phase_imports_a(inputs.inverter, volts, inputs.charger.grid_type)


def assess(inputs: CycleInputs, state: ControllerState) -> Assessment:
    """What this cycle's inputs mean in this state."""
    inverter, charger, policy = inputs.inverter, inputs.charger, inputs.policy
    volts = voltage_v(inverter, charger)
    lines_a = imports_a(inputs, state)
    estimator = CarPowerEstimator(inputs.now, charger, state, volts, lines_a)
    reserve_w = battery.reserve_w(inverter, policy, state)
    charge_w = battery.available_charge_w(inverter, state)
    car = CarEstimate(PowerRange(0.0, 0.0), 0.0, (0.0, 0.0, 0.0))
    if not car_is_absent(charger):
        car = estimator.estimate()
    surplus, limit_w = None, export_limit_w(policy, inverter, state.hidden)
    at_limit = limit_w is not None and is_at_limit(inverter, limit_w)
    if inverter.asleep:
        surplus = PowerRange(0.0, 0.0)
    elif inverter.grid_export_w is not None and charge_w is not None:
        export_w = inverter.grid_export_w
        if limit_w is not None and at_limit:
            export_w = max(export_w, limit_w + _AT_LEAST_W)
        rest_w = export_w + charge_w
        surplus = car.power + (rest_w - reserve_w - (inputs.export_margin_w or 0))
    if surplus is not None and inputs.share is not None and not inverter.asleep:
        surplus = inputs.share.added_to(surplus)
    if surplus is not None and inputs.planned_w:  # the house's own lack is not the car's
        sun = PowerRange(max(0.0, surplus.low_w), max(0.0, surplus.high_w))
        surplus = sun + inputs.planned_w
    possible = possible_phases(charger, policy, state)
    active = state.setpoint or Setpoint(0, possible[-1])
    case = Assessment(
        inputs,
        state,
        active,
        estimator,
        lines_a,
        possible,
        car,
        surplus,
        charge_w,
        reserve_w,
        at_limit,
    )
    usable = [phases for phases in possible if case.limit(phases)[0] >= policy.min_current_a]
    return replace(case, possible=tuple(usable) or possible)


def _kw(power_w: float | None) -> str:
    return "?" if power_w is None else f"{power_w / 1000:z.1f}"


def _signed_kw(power_w: float) -> str:
    return f"{'-' if power_w < 0 else '+'} {abs(power_w) / 1000:.1f}"
