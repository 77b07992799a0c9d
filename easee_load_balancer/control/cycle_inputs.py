"""What the rules of the control law look at: one cycle's readings, weighed up."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.power_estimate import (
    Range,
    car_range,
    draw_w,
    offered_w,
    voltage_v,
)
from easee_load_balancer.control.state import Choice, ControllerState, Phases
from easee_load_balancer.measurements import ChargerState, InverterReading, Setpoint

PHASE_CHANGE = timedelta(seconds=60)
"""What a phase change costs in charging time."""
STRICT_WEIGHT = 10.0
"""Weight of what a cloud makes the car import although it shall have nothing but sun."""
LONGEST_CYCLE = timedelta(seconds=120)
"""Of a longer gap between two cycles no more than this is weighed up."""
SOC_HYSTERESIS_PCT = 2.0
TN_THREE_PHASES = 1
"""Grid type on which a charger can change between one and three phases."""
ONE_PHASE_GRIDS = (3, 5)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the rules so far want."""

    phases: Phases
    current_a: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Situation:
    """Readings, policy and state of one cycle, and what follows from them."""

    now: datetime
    inverter: InverterReading
    charger: ChargerState
    policy: Policy
    state: ControllerState
    held: Setpoint
    """What the charger has been told last."""
    volts: float
    possible: tuple[Phases, ...]
    """Numbers of phases that may be used, fewest first."""
    car: Range
    surplus: Range | None
    """What is there for the car after the battery and the margin had theirs; None unknown."""
    reserve_w: float
    """Left to the battery; negative: added by it."""

    @property
    def choice(self) -> Choice:
        """The phases in use; 0 = paused."""
        return self.held.phases if self.held.current_a else 0

    @property
    def others(self) -> tuple[Choice, ...]:
        """The choices that are not in use."""
        choices: tuple[Choice, ...] = (0, *self.possible)
        return tuple(choice for choice in choices if choice != self.choice)

    def since(self, moment: datetime | None) -> timedelta:
        """Time passed since a moment of the state."""
        return self.state.since(moment, self.now)

    def draw_w(self, current_a: float, phases: int) -> float:
        """What this car draws of an offer."""
        return draw_w(current_a, min(phases, self.state.car_phases or 3), self.volts)

    @property
    def strict(self) -> bool:
        """Whether the car shall have nothing but sun: else a step may come partly from the grid.

        With a battery in the house that part would come out of the battery.
        """
        return self.policy.grid_weight is None or self.inverter.has_battery

    @property
    def grid_weight(self) -> float:
        """Wh of sun that make up for a Wh from the grid."""
        weight = self.policy.grid_weight
        return STRICT_WEIGHT if weight is None or self.strict else weight

    def worth_w(self, power_w: float, surplus_w: float) -> float:
        """What a charging power is worth: its sun, less the weighted rest."""
        solar_w = min(power_w, max(0.0, surplus_w))
        return solar_w - self.grid_weight * (power_w - solar_w)

    def best_current_a(self, phases: int, surplus_w: float) -> int:
        """The step that is worth most, at least the lowest current."""
        lowest_a = self.policy.min_current_a
        step_w = self.draw_w(lowest_a + 1, phases) - self.draw_w(lowest_a, phases)
        weight = self.grid_weight
        sun_share = 1.0 if self.strict else weight / (1 + weight)
        steps = (surplus_w - self.draw_w(lowest_a, phases)) / step_w + 1 - sun_share
        return max(lowest_a, min(lowest_a + math.floor(steps), self.limit(phases)[0]))

    def best_worth_w(self, choice: Choice, surplus_w: float) -> float:
        """What the best step on so many phases is worth; 0 for a pause."""
        if choice == 0:
            return 0.0
        best_a = self.best_current_a(choice, surplus_w)
        power_w = self.draw_w(best_a, choice)
        return self.worth_w(power_w, surplus_w)

    def cost_wh(self, choice: Choice) -> float:
        """What another choice has to have missed before it is taken."""
        policy = self.policy
        lowest_w = self.draw_w(policy.min_current_a, self.possible[0])
        if choice == 0:
            return policy.stop_delay_s * lowest_w * min(1.0, self.grid_weight) / 3600
        if self.choice == 0:
            return policy.start_delay_s * lowest_w / 3600
        return PHASE_CHANGE.total_seconds() * self.draw_w(policy.min_current_a, 3) / 3600

    def limit(self, phases: int) -> tuple[int, str]:
        """The lowest of all fixed limits in A, and whose it is."""
        return lowest_limit(self.charger, self.policy, self.state, phases)

    def fuse_limit(self, *, raising: bool) -> tuple[int, str]:
        """What the main fuse leaves to the car in A, and the numbers.

        Wherever the car's phases are connected, the worst phase counts as one of them. A rise
        counts on the least that the car may draw now; a command in doubt may have been taken.
        """
        policy = self.policy
        imports = self.import_a()
        if imports is None:
            half_a = unmetered_limit_a(policy)
            return half_a, f"meter unknown: half of the main fuse, {half_a} A"
        worst_a = max(imports)
        phases = min(self.held.phases, self.state.car_phases or 3)
        car_w = self.car.low_w if raising else self.car.high_w
        if self.state.in_doubt and self.state.asked is not None:
            car_w = min(car_w, offered_w(self.state.asked, self.state, self.volts))
        usable_a = policy.main_fuse_a - policy.fuse_margin_a
        limit_a = math.floor(usable_a - worst_a + car_w / (phases * self.volts))
        where = f"L{imports.index(worst_a) + 1} imports {worst_a:.0f} A"
        return max(0, limit_a), f"main fuse {policy.main_fuse_a} A: {where}"

    def import_a(self) -> list[float] | None:
        """Import on each phase of the house; None where one is unknown."""
        inverter = self.inverter
        imports: list[float] = []
        for phase in range(inverter.meter_phases or 3):
            amps = inverter.grid_current_phase_a[phase]
            power_w = inverter.grid_export_phase_w[phase]
            if amps is None and power_w is not None:
                amps = power_w / (inverter.grid_voltage_v[phase] or self.volts)
            if amps is None:
                return None
            imports.append(-amps)
        return imports

    @property
    def equation(self) -> str:
        """The surplus with its parts, in kW."""
        inverter, surplus = self.inverter, self.surplus
        if inverter.asleep:
            return "no sun, the inverter is asleep"
        if surplus is None:
            return "surplus unknown"
        parts = f"car {self.car} + export {_kw(inverter.grid_export_w)}"
        if inverter.has_battery:
            parts += f" + battery {_kw(inverter.battery_charge_w)}"
        if self.reserve_w:
            parts += f" {_signed_kw(-self.reserve_w)} {'left' if self.reserve_w > 0 else 'given'}"
        if self.policy.export_margin_w:
            parts += f" {_signed_kw(-self.policy.export_margin_w)} margin"
        return f"surplus {surplus} kW = {parts}"


def look(
    now: datetime,
    inverter: InverterReading,
    charger: ChargerState,
    policy: Policy,
    state: ControllerState,
) -> Situation:
    """Weigh up one cycle."""
    volts = voltage_v(inverter, charger)
    state, reserve_w = leave_power_to_battery(inverter, policy, state)
    car = car_range(now, charger, state, volts)
    surplus = None
    if inverter.asleep:
        surplus = Range(0.0, 0.0)
    elif inverter.grid_export_w is not None and inverter.battery_charge_w is not None:
        rest_w = inverter.grid_export_w + inverter.battery_charge_w
        surplus = car + (rest_w - reserve_w - (policy.export_margin_w or 0))
    possible = possible_phases(charger, policy)
    held = state.setpoint or Setpoint(0, possible[-1])
    case = Situation(
        now, inverter, charger, policy, state, held, volts, possible, car, surplus, reserve_w
    )
    usable = [phases for phases in possible if case.limit(phases)[0] >= policy.min_current_a]
    case = replace(case, possible=tuple(usable) or possible)
    return replace(case, state=_weigh(case))


def leave_power_to_battery(
    inverter: InverterReading, policy: Policy, state: ControllerState
) -> tuple[ControllerState, float]:
    """How much of the surplus is the battery's; negative where it supports the car."""
    soc_pct = inverter.battery_soc_pct
    if not inverter.has_battery or soc_pct is None:
        return state, 0.0
    until_pct = policy.battery_first_until_pct
    first = soc_pct < until_pct - (0.0 if state.battery_first else SOC_HYSTERESIS_PCT)
    if state.supporting:
        span_pct = policy.battery_support_span_pct
        supporting = soc_pct > policy.battery_support_from_pct - span_pct
    else:
        supporting = soc_pct >= policy.battery_support_from_pct
    supporting = supporting and not first and policy.battery_support_w > 0
    state = state.model_copy(update={"battery_first": first, "supporting": supporting})
    if first:
        return state, float(policy.battery_reserve_w)
    return state, float(-policy.battery_support_w) if supporting else 0.0


def possible_phases(charger: ChargerState, policy: Policy) -> tuple[Phases, ...]:
    """Numbers of phases that charger, grid and policy allow, fewest first."""
    if charger.grid_type in ONE_PHASE_GRIDS or charger.phase_mode == 1:
        return (1,)
    if charger.grid_type != TN_THREE_PHASES or charger.phase_mode != 2:
        return (3,)
    wanted: dict[str, tuple[Phases, ...]] = {"auto": (1, 3), "1": (1,), "3": (3,)}
    return wanted[policy.phases]


def lowest_limit(
    charger: ChargerState, policy: Policy, state: ControllerState, phases: int
) -> tuple[int, str]:
    """The lowest of all fixed limits in A on so many phases, and whose it is."""
    elsewhere_a = state.elsewhere_a or ()
    limits = [
        (policy.max_current_a, "the policy"),
        (charger.charger_max_current_a, "the charger"),
        (charger.charger_current_a, "the Easee app or another controller"),
        *((amps, "the circuit") for amps in charger.circuit_max_current_a[:phases]),
        *((amps, "another controller of the circuit") for amps in elsewhere_a[:phases]),
    ]
    return min((int(amps), whose) for amps, whose in limits if amps is not None)


def unmetered_limit_a(policy: Policy) -> int:
    """What the car may take while nobody knows what the house takes: half of the main fuse."""
    return max(0, policy.main_fuse_a - policy.fuse_margin_a) // 2


def _weigh(case: Situation) -> ControllerState:
    """Add up what the other choices would have brought since the last cycle."""
    state, surplus, held = case.state, case.surplus, case.held
    update: dict[str, object] = {"weighed_at": case.now}
    if surplus is not None and surplus.known and state.weighed_at is not None:
        hours = min(case.since(state.weighed_at), LONGEST_CYCLE) / timedelta(hours=1)
        here_w = case.best_worth_w(case.choice, surplus.middle_w)
        more_w = {
            other: case.best_worth_w(other, surplus.middle_w) - here_w for other in case.others
        }
        missed_wh: dict[int, float] = {
            other: max(0.0, state.missed_wh.get(other, 0.0) + more_w[other] * hours)
            for other in case.others
        }
        if case.policy.mode == "fast":  # when sun counts again: no delay, but no debt either
            best = max(more_w, key=lambda other: more_w[other])
            missed_wh = {best: min(missed_wh[best], case.cost_wh(best))}
        update["missed_wh"] = missed_wh
        if held.current_a:
            held_w = case.worth_w(case.draw_w(held.current_a, held.phases), surplus.middle_w)
            update["missed_step_wh"] = max(0.0, state.missed_step_wh + (here_w - held_w) * hours)
    return state.model_copy(update=update)


def _kw(power_w: float | None) -> str:
    return "?" if power_w is None else f"{power_w / 1000:.1f}"


def _signed_kw(power_w: float) -> str:
    return f"{'-' if power_w < 0 else '+'} {abs(power_w) / 1000:.1f}"
