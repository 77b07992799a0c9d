"""The control law: readings, policy and state in, decision out. No clock, no I/O.

`decide` answers from the first rule of `HANDS_OFF` that has an answer. Else it weighs up the
surplus and lets `RULES` choose, one after the other: each may change what the one before wanted,
so the last one wins. A new rule is one function here and one row in the tests' table of cases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from easee_load_balancer.control.boost import Boost
from easee_load_balancer.control.cycle_inputs import (
    Situation,
    Wish,
    look,
)
from easee_load_balancer.control.feedback import (
    disobeyed,
    notice_other_hands,
    other_limit,
    resolve_doubt,
)
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.power_estimate import (
    CAR_STARTS,
    CLOUD_SETTLES,
    DRAWING_W,
    NOMINAL_VOLTAGE_V,
)
from easee_load_balancer.control.state import TIME_TO_LIVE, Choice, ControllerState, after_push
from easee_load_balancer.measurements import (
    CAR_CURRENTS_OBSERVED,
    MIN_CURRENT_A,
    ChargerMode,
    ChargerState,
    InverterReading,
    Setpoint,
)

__all__ = [
    "NOMINAL_VOLTAGE_V",
    "RENEW_AFTER",
    "TIME_TO_LIVE",
    "ControllerState",
    "Decision",
    "Policy",
    "after_push",
    "decide",
]

RENEW_AFTER = timedelta(minutes=25)
RAISE_AFTER = timedelta(seconds=20)
"""Increases are at least so far apart."""
START_CURRENT_A = 7
"""Some firmware waits five minutes when a charge starts at 6 A."""
RISE_PAYS_WH = 1.0
"""A rise is worth a write to the API once it would have brought so much."""
COVERED_WH = 5.0
"""A battery in the house covers a shortfall until it has cost so much."""
UNKNOWN_HOLD = timedelta(seconds=60)
"""How long a setpoint is held while a value is missing; then the lowest current."""
UNKNOWN_STOP = timedelta(minutes=5)
"""After so long without a value a charge on sun is paused."""
DISABLED, SCHEDULED = 53, 54


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now and why."""

    setpoint: Setpoint | None
    """None: leave the charger as it is."""
    push: bool
    """Whether the setpoint has to be sent: it changed, or its time to live needs renewing."""
    reason: str
    state: ControllerState
    surplus_w: float | None = None

    def pushed(self, now: datetime) -> Decision:
        """This decision once the charger has accepted its setpoint."""
        if self.setpoint is None:
            return self
        return replace(self, state=after_push(self.state, self.setpoint, now))

    def in_doubt(self, now: datetime) -> Decision:
        """This decision when nobody knows whether the charger has taken its setpoint."""
        if self.setpoint is None:
            return self
        return replace(self, state=self.state.with_doubt(self.setpoint, now))


def decide(
    now: datetime,
    inverter: InverterReading,
    charger: ChargerState,
    policy: Policy,
    state: ControllerState,
    boost: Boost | None = None,
) -> Decision:
    """The setpoint for the present readings, with the reason and the state for the next cycle.

    A boost takes the place of what the policy wants, not of its limits.
    """
    if boost is None:
        return _decide(now, inverter, charger, policy, state)
    decision = _decide(now, inverter, charger, boost.over(policy), boost.hurry(state))
    return replace(decision, reason=f"{boost}: {decision.reason}")


def _decide(
    now: datetime,
    inverter: InverterReading,
    charger: ChargerState,
    policy: Policy,
    state: ControllerState,
) -> Decision:
    state = resolve_doubt(now, charger, _remember(now, inverter, charger, state))
    state = notice_other_hands(charger, state, leave=policy.mode == "off")
    missing = _missing(now, inverter, charger, policy)
    unknown_since = min(state.unknown_since or now, now) if missing else None
    state = state.model_copy(update={"unknown_since": unknown_since})
    for rule in HANDS_OFF:
        if decision := rule(now, inverter, charger, policy, state):
            return decision
    case = look(now, inverter, charger, policy, state)
    wish = Wish(case.held.phases, case.held.current_a)
    for choose in RULES:
        wish = choose(case, wish)
    setpoint = Setpoint(wish.current_a, wish.phases)
    shown_a = disobeyed(now, setpoint, charger, state) if setpoint == state.setpoint else None
    told_again = None if shown_a is None else f"the charger shows {shown_a:.0f} A and is told again"
    why = f"{wish.why}; " if wish.why else ""
    return Decision(
        setpoint,
        push=_needs_push(now, setpoint, charger, state),
        reason=f"{setpoint}: {why}{told_again or case.equation}",
        state=case.state,
        surplus_w=case.surplus.middle_w if case.surplus else None,
    )


def leave_alone(
    now: datetime,
    inverter: InverterReading,
    charger: ChargerState,
    policy: Policy,
    state: ControllerState,
) -> Decision | None:
    """The charger is none of our business: switched off, no car, or the owner has to act first."""
    why = {
        ChargerMode.DISCONNECTED: "no car connected",
        ChargerMode.AWAITING_AUTHENTICATION: "charger waits to be unlocked: Easee app or tag",
        ChargerMode.DEAUTHENTICATING: "charger waits to be unlocked: Easee app or tag",
        ChargerMode.ERROR: "charger reports an error: see the Easee app",
    }.get(charger.mode or ChargerMode.OFFLINE)
    if policy.mode == "off":
        why = "off: the charger is left alone"
    elif not charger.online:
        why = None
    elif why is None and charger.mode is not ChargerMode.CHARGING:
        why = {
            DISABLED: "charger is switched off in the Easee app",
            SCHEDULED: "charger waits for its own schedule",
        }.get(charger.reason_for_no_current or 0)
    return Decision(None, push=False, reason=why, state=state) if why else None


def step_down_when_blind(
    now: datetime,
    inverter: InverterReading,
    charger: ChargerState,
    policy: Policy,
    state: ControllerState,
) -> Decision | None:
    """A value is missing: hold for a minute, then the lowest current, then pause. Never raise.

    `solar+minimum` keeps the lowest current. `fast` needs no sun: after the minute it goes on
    within what `protect_main_fuse` allows when the meter is unknown.
    """
    age = state.since(state.unknown_since, now)
    sees = state.unknown_since is None
    if sees or (policy.mode == "fast" and charger.online and age >= UNKNOWN_HOLD):
        return None
    missing = _missing(now, inverter, charger, policy)
    held = state.setpoint
    why = f"unknown for {age.total_seconds():.0f} s: {', '.join(missing)}"
    case = look(now, inverter, charger, policy, state)
    current_a = 0 if held is None else held.current_a
    if age >= UNKNOWN_HOLD:
        current_a = min(current_a, policy.min_current_a)
    if age >= UNKNOWN_STOP and policy.mode == "solar":
        current_a = 0
    if age >= UNKNOWN_HOLD or case.import_a() is not None:
        fuse_a, _ = case.fuse_limit(raising=False)
        limit_a = min(case.limit(state.phases)[0], fuse_a)
        if current_a > limit_a:
            current_a = limit_a if limit_a >= policy.min_current_a else 0
    setpoint = Setpoint(current_a, state.phases)
    waits = age < UNKNOWN_HOLD and (held is None or setpoint == held)
    return Decision(
        None if held is None and waits else setpoint,
        push=not waits and _needs_push(now, setpoint, charger, state),
        reason=f"{setpoint}: {why}",
        state=state,
    )


def choose_phases(case: Situation, wish: Wish) -> Wish:
    """Pause, one phase or three: another choice has to have missed more than the change costs."""
    policy, state, held = case.policy, case.state, case.held
    missed = {other: state.missed_wh.get(other, 0.0) for other in case.others}
    ripe = {other: wh for other, wh in missed.items() if wh > case.cost_wh(other)}
    if policy.mode != "solar":
        ripe.pop(0, None)
    if not held.current_a:
        return _start(case, wish, ripe)
    rested = case.since(state.switched_at) >= timedelta(seconds=policy.phase_interval_s)
    if held.phases not in case.possible or (policy.mode == "fast" and rested):
        return replace(wish, phases=case.possible[-1])
    if not rested:
        ripe = {other: wh for other, wh in ripe.items() if other == 0}
    if not ripe or policy.mode == "fast":
        return wish
    best = max(ripe, key=lambda other: ripe[other])
    if best == 0:
        return replace(wish, current_a=0, why=f"pause, {ripe[best]:.0f} Wh lost so far")
    why = f"{'one phase' if best == 1 else 'three phases'}, {ripe[best]:.0f} Wh missed so far"
    return replace(wish, phases=best, why=why)


def _start(case: Situation, wish: Wish, ripe: Mapping[Choice, float]) -> Wish:
    if case.policy.mode == "solar" and not ripe:
        return wish
    wait_s = case.policy.start_interval_s - case.since(case.state.started_at).total_seconds()
    if wait_s > 0:
        return replace(wish, why=f"next start in {wait_s:.0f} s")
    phases = case.possible[-1 if case.policy.mode == "fast" else 0]
    for other, wh in ripe.items():
        if other and case.policy.mode != "fast" and wh == max(ripe.values()):
            phases = other
    return Wish(phases, START_CURRENT_A, "start")


def choose_amperes(case: Situation, wish: Wish) -> Wish:
    """The step that pays best now; until a pause pays, never less than the lowest current."""
    held, surplus = case.held, case.surplus
    if not wish.current_a:
        return wish
    if case.policy.mode == "fast" or surplus is None:
        return replace(wish, current_a=case.policy.max_current_a, why="fast")
    low_a = case.best_current_a(wish.phases, surplus.low_w)
    high_a = case.best_current_a(wish.phases, surplus.high_w)
    if not held.current_a or wish.phases != held.phases:
        return replace(wish, current_a=max(low_a, START_CURRENT_A))
    wish = replace(wish, current_a=min(max(held.current_a, low_a), high_a))
    if case.policy.mode == "solar" and case.best_worth_w(wish.phases, surplus.high_w) < 0:
        return replace(wish, why="pause if this lasts")
    return wish


def leave_idle_car(case: Situation, wish: Wish) -> Wish:
    """A car that is full or asleep keeps the lowest offer and is not bothered."""
    state, held = case.state, case.held
    idle = case.charger.mode in (ChargerMode.COMPLETED, ChargerMode.READY_TO_CHARGE)
    drawing = (case.charger.car_w or 0.0) > DRAWING_W
    if not idle or drawing or not held.current_a or not wish.current_a:
        return wish
    if min(case.since(state.started_at), case.since(state.switched_at)) < CAR_STARTS:
        return wish
    current_a = min(held.current_a, case.policy.min_current_a)
    return Wish(held.phases, current_a, "the car takes nothing")


def hold_against_flapping(case: Situation, wish: Wish) -> Wish:
    """Down at once, unless a battery covers it for a moment; up when it is worth a write."""
    held, missed_wh = case.held, case.state.missed_step_wh
    keep = Wish(held.phases, held.current_a, wish.why)
    if wish.current_a * wish.phases > held.current_a * held.phases:
        if case.since(case.state.raised_at) < RAISE_AFTER:
            return replace(keep, why="a rise waits")
        worth_it = missed_wh >= RISE_PAYS_WH
    else:
        worth_it = not case.inverter.has_battery or missed_wh >= COVERED_WH
    same = wish.phases == held.phases and held.current_a and wish.current_a
    return wish if worth_it or not same or case.policy.mode == "fast" else keep


def respect_limits(case: Situation, wish: Wish) -> Wish:
    """Never more than policy, charger, circuit and other hands on the charger allow."""
    limit_a, whose = case.limit(wish.phases)
    allowed_a = limit_a if limit_a >= case.policy.min_current_a else 0
    binds = wish.current_a == allowed_a < case.policy.max_current_a and wish.why in ("", "fast")
    if wish.current_a > allowed_a or binds:
        return replace(wish, current_a=allowed_a, why=f"{whose} allows {limit_a} A")
    return wish


def protect_main_fuse(case: Situation, wish: Wish) -> Wish:
    """The worst phase decides, at once and in every mode.

    With the meter unknown the house is left half of the fuse.
    """
    raising = wish.current_a > case.held.current_a or wish.phases > case.held.phases
    limit_a, why = case.fuse_limit(raising=raising)
    if raising and wish.phases == case.held.phases:
        limit_a = max(limit_a, min(case.held.current_a, case.fuse_limit(raising=False)[0]))
    if wish.current_a <= limit_a:
        return wish
    return replace(wish, current_a=limit_a if limit_a >= case.policy.min_current_a else 0, why=why)


def name_other_hands(case: Situation, wish: Wish) -> Wish:
    """Say who gives the car less than we do; nothing is done about it."""
    why = other_limit(case.charger, wish.current_a)
    return replace(wish, why=why) if why and wish.current_a <= case.held.current_a else wish


HandsOff = Callable[
    [datetime, InverterReading, ChargerState, Policy, ControllerState],
    Decision | None,
]
HANDS_OFF: tuple[HandsOff, ...] = (leave_alone, step_down_when_blind)
RULES: tuple[Callable[[Situation, Wish], Wish], ...] = (
    choose_phases,
    choose_amperes,
    leave_idle_car,
    hold_against_flapping,
    respect_limits,
    protect_main_fuse,
    name_other_hands,
)


def _remember(
    now: datetime, inverter: InverterReading, charger: ChargerState, state: ControllerState
) -> ControllerState:
    """The sun, for the night; the car's phases, until it is unplugged."""
    update: dict[str, object] = {}
    if not inverter.asleep and inverter.pv_w is not None:
        update = {
            "inverter_read_at": inverter.taken_at,
            "pv_w": inverter.pv_w,
            "has_battery": inverter.has_battery,
        }
    offered_a = charger.output_current_a
    if state.setpoint is None and charger.mode is ChargerMode.CHARGING and offered_a is not None:
        # a charge that was under way before the first cycle is not interrupted
        update["setpoint_a"] = int(offered_a) if offered_a >= MIN_CURRENT_A else 0
        update["phases"] = 1 if charger.output_phases == 1 else 3
    if charger.online and charger.mode is ChargerMode.DISCONNECTED:
        update |= {"car_phases": None, "missed_wh": {}}
    seen_at = [
        charger.observed_at[name] for name in CAR_CURRENTS_OBSERVED if name in charger.observed_at
    ]
    amps = [value for value in charger.car_current_a if value is not None]
    if (
        charger.output_phases == 3
        and len(amps) == 3
        and max(amps) > 4
        and seen_at
        and now - max(seen_at) >= CLOUD_SETTLES
    ):
        update["car_phases"] = sum(value > 1 for value in amps)
    return state.model_copy(update=update) if update else state


def _missing(
    now: datetime, inverter: InverterReading, charger: ChargerState, policy: Policy
) -> list[str]:
    """Names of the values that the law needs and does not have."""
    if not charger.online or charger.mode in (None, ChargerMode.OFFLINE):
        return ["charger (offline)"]
    missing = ["car power"] if charger.car_w is None and policy.mode != "fast" else []
    if inverter.asleep:
        return missing
    if now - inverter.taken_at > UNKNOWN_HOLD:
        return [*missing, "inverter (silent)"]
    if inverter.grid_export_w is None:
        missing.append("grid power (meter offline?)")
    if inverter.battery_charge_w is None and policy.mode != "fast":
        missing.append("battery power")
    needs_soc = policy.mode != "fast" and (
        policy.battery_first_until_pct > 0 or policy.battery_support_w > 0
    )
    if needs_soc and inverter.has_battery and inverter.battery_soc_pct is None:
        missing.append("battery state of charge")
    return missing


def _needs_push(
    now: datetime, setpoint: Setpoint, charger: ChargerState, state: ControllerState
) -> bool:
    held, age = state.setpoint, state.since(state.pushed_at, now)
    if held is None or state.in_doubt or age >= RENEW_AFTER:
        return True
    if held != setpoint and (held.current_a or setpoint.current_a):
        return True
    return disobeyed(now, setpoint, charger, state) is not None
