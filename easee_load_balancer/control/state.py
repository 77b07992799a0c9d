"""Controller state: what one control cycle leaves for the next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, model_validator

from easee_load_balancer.control.car_model import CarModel
from easee_load_balancer.control.changes import Change, with_change
from easee_load_balancer.control.export_limit import HiddenSurplus
from easee_load_balancer.control.lending import Lent
from easee_load_balancer.control.meter_sign import MeterSign
from easee_load_balancer.measurements import BatteryHold, Setpoint

TIME_TO_LIVE = timedelta(minutes=30)
"""How long the charger keeps a setpoint that is not renewed."""
CAR_STARTS = timedelta(seconds=150)
"""From a start or a phase change until a car that wants to charge draws."""
_LONGEST_RESEND = timedelta(minutes=20)
"""The same setpoint after a longer time renews its time to live."""
START_PATIENCE = timedelta(seconds=200)
"""How long a car is given to start drawing, the cloud's delay included."""
DARK_W = 150.0
"""With less PV than this at the last reading, an inverter that is silent is asleep."""
LONGEST_NIGHT = timedelta(hours=20)
"""In the dark season in the north, with snow on the panels."""

Phases = Literal[1, 3]
Choice = Literal[0, 1, 3]
"""Phases to charge on; 0 = pause."""

_OLD_NAMES = {
    "asked_a": "pending_a",
    "asked_phases": "pending_phases",
    "asked_at": "pending_at",
    "in_doubt": "is_pending",
    "elsewhere_a": "external_limit_a",
    "supporting": "battery_assisting",
    "weighed_at": "assessed_at",
    "missed_wh": "accumulated_benefit_wh",
    "missed_step_wh": "accumulated_step_benefit_wh",
}
"""Field names of version 0.1, which stored histories still have."""


class Mismatch(StrEnum):
    """How the charger's behaviour differs from the command, as a sentence."""

    ONE_PHASE = "charging on one phase although three are commanded"
    MORE_PHASES = "charging on three phases although one is commanded"
    IGNORED_PAUSE = "charging although a pause is commanded"
    TOO_MUCH = "drawing more current than commanded"


class Attempt(IntEnum):
    """Attempts at starting a car that does not draw; after the last it is left in peace."""

    FIRST = 0
    OTHER_PHASES = 1
    WAKE_UP = 2
    """A pause that wakes some cars, and some chargers that are stuck on their phases."""
    AGAIN = 3
    """On the phases before the pause."""
    LAST = 4
    """On the phases of the first attempt."""


class ControllerState(BaseModel):
    """What one cycle leaves for the next; stored with the history."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    setpoint_a: int | None = None
    """Current of the active setpoint: the last one that the charger accepted; None = none yet."""
    phases: Phases = 3
    pushed_at: AwareDatetime | None = None
    pending_a: int | None = None
    """Current of the last command whose outcome was unknown."""
    pending_phases: Phases = 3
    pending_at: AwareDatetime | None = None
    is_pending: bool = False
    """Whether the outcome of that command is still unknown."""
    external_limit_a: tuple[float, float, float] | None = None
    """What another controller allows on L1, L2, L3 of the circuit; None = no limit seen."""
    before_a: int = 0
    """Current before the last change."""
    before_phases: Phases = 3
    changed_at: AwareDatetime | None = None
    """When current or phases last changed; renewals do not count."""
    phase_change_s: float = 60.0
    """How long a phase change interrupts the charge, as seen with this charger and its cars."""
    raised_at: AwareDatetime | None = None
    started_at: AwareDatetime | None = None
    switched_at: AwareDatetime | None = None
    """When the phases last changed while charging."""
    inverter_read_at: AwareDatetime | None = None
    pv_w: float | None = None
    """PV power at `inverter_read_at`."""
    has_battery: bool = False
    battery_first: bool = True
    """Whether the battery was still below the state of charge until which it comes first."""
    battery_assisting: bool = False
    """Whether the battery is adding power for the car."""
    lent: Lent = Lent()
    """What the battery has lent the car today."""
    battery_claim_w: float | None = None
    """Power with which the battery charges on command; None = it follows the surplus."""
    battery_takes_w: float | None = None
    """The most that the battery takes at present, nearly full or cold; None = no limit seen."""
    battery_limit_at: AwareDatetime | None = None
    """When that was noticed."""
    hidden: HiddenSurplus = HiddenSurplus()
    """The search for surplus that a limit of the export hides."""
    sign: MeterSign = MeterSign()
    """What the car's changes have said about the meter's sign."""
    export_beside_since: AwareDatetime | None = None
    """Since when the house has exported although the battery could charge."""
    import_beside_charge_since: AwareDatetime | None = None
    """Since when the house has imported while its battery charges."""
    hold: BatteryHold = BatteryHold.FREE
    """How the battery should be kept out of the car."""
    hold_since: AwareDatetime | None = None
    hold_known_at: AwareDatetime | None = None
    """When the values that decide about that were last known."""
    lack_since: AwareDatetime | None = None
    """Since when the surplus has been too small for a car that may charge from the grid."""
    covered_since: AwareDatetime | None = None
    """Since when the surplus has covered the car while the battery is held."""
    assessed_at: AwareDatetime | None = None
    """When benefits were last accumulated."""
    accumulated_benefit_wh: dict[int, float] = {}
    """Energy that each other `Choice` would have gained over the present one so far."""
    accumulated_at_weight: float | None = None
    """Weight of grid energy with which the benefit of a pause was accumulated."""
    accumulated_step_benefit_wh: float = 0.0
    """Energy that another current would have gained over the present one so far."""
    frozen: bool = False
    """Whether the meter repeats its last values."""
    meter_since: AwareDatetime | None = None
    """Since when the meter has shown the same values."""
    car_w_then: float | None = None
    """The car's power when it began to."""
    unknown_since: AwareDatetime | None = None
    """Since when a value that the law needs has been missing."""
    car: CarModel = CarModel()
    """What is known of the present car."""
    session_at: AwareDatetime | None = None
    """When the present car was first seen; None = no car."""
    session_kwh: float | None = None
    """The charger's session counter when it was last read."""
    mode_seen_at: AwareDatetime | None = None
    """When the charger last observed a change of its mode."""
    weighed: bool = False
    """Whether the charge of this session has been weighed as a start."""
    drew: bool = True
    """Whether the car has drawn current since the last start or change of phases."""
    attempt: Attempt = Attempt.FIRST
    """Which attempt at starting the car this is."""
    attempt_at: AwareDatetime | None = None
    """When the present start or change of phases was made."""
    wiring: dict[int, int] = {}
    """House phase (index) of each phase of the charger, as far as it is known."""
    wiring_vote: tuple[int, int] | None = None
    """A charger phase and the house phase that followed it once."""
    wiring_checked_at: AwareDatetime | None = None
    """The change whose effect on the house's phases has been looked at."""
    imports_a: tuple[float, ...] | None = None
    """Import on each phase of the house in the last cycle."""
    imports_before_a: tuple[float, ...] | None = None
    """The same before the last change."""
    car_currents_a: tuple[float, ...] | None = None
    """The car's current on each phase of the charger in the last cycle."""
    car_currents_before_a: tuple[float, ...] | None = None
    """The car's current on each phase of the charger before the last change."""
    available_a: float | None = None
    """What surplus or main fuse left to each of the car's lines in the last cycle."""
    planned: bool = False
    """Whether the last cycle was planned to take energy from the grid."""
    interval_counted_at: AwareDatetime | None = None
    """Until when the import of the capacity tariff's running interval has been counted."""
    interval_wh: float = 0.0
    changes: tuple[Change, ...] = ()
    """The changes of the setpoint in the last hour."""
    mismatch: Mismatch | None = None
    """How the charger's behaviour differs from the command."""
    mismatch_since: AwareDatetime | None = None
    phases_need_pause: bool = False
    """Whether this charger changes its phases only after a pause."""
    forced_at: AwareDatetime | None = None
    """When a pause was made in this session to force a change of phases."""
    resends: int = 0
    """How often the active setpoint was sent again because the charger did not follow it."""
    watch_closely: bool = False
    """Whether a car that is plugged in now would matter at once: near the fuse, or with surplus."""
    near_fuse: bool = False
    """Whether the main fuse leaves a car less than it may take: old values could trip it."""

    @model_validator(mode="before")
    @classmethod
    def _accept_old_names(cls, stored: Any) -> Any:
        if not isinstance(stored, Mapping):
            return stored
        return {_OLD_NAMES.get(name, name): value for name, value in stored.items()}

    @classmethod
    def lost(cls, now: datetime) -> ControllerState:
        """The state of a cycle that cannot know the past: as if just raised, to raise nothing."""
        return cls(raised_at=now)

    def after_crash(self, record: str) -> ControllerState:
        """This state when a later cycle was killed and left the record of its pending command."""
        try:
            return ControllerState.model_validate(self.model_dump() | json.loads(record))
        except (ValueError, TypeError):
            return self

    def is_night(self, now: datetime) -> bool:
        """Whether an inverter that does not answer is asleep rather than broken.

        True when the last reading came in the dark, from a plant without a battery, no longer
        ago than the longest night.
        """
        if self.inverter_read_at is None or self.pv_w is None or self.has_battery:
            return False
        return self.pv_w < DARK_W and now - self.inverter_read_at < LONGEST_NIGHT

    @property
    def setpoint(self) -> Setpoint | None:
        """The active setpoint; None = none yet."""
        return None if self.setpoint_a is None else Setpoint(self.setpoint_a, self.phases)

    @property
    def before(self) -> Setpoint:
        """The setpoint before the last change."""
        return Setpoint(self.before_a, self.before_phases)

    @property
    def pending(self) -> Setpoint | None:
        """The last command whose outcome was unknown; it may still be applied."""
        return None if self.pending_a is None else Setpoint(self.pending_a, self.pending_phases)

    def with_pending(self, setpoint: Setpoint, now: datetime) -> ControllerState:
        """The state while nobody knows whether the charger has applied the setpoint."""
        return self.model_copy(update=_pending(setpoint, now))

    @staticmethod
    def pending_record(setpoint: Setpoint, now: datetime) -> str:
        """The record to leave for `after_crash` before that setpoint is sent."""
        return json.dumps(_pending(setpoint, now), default=datetime.isoformat)

    def since(self, moment: datetime | None, now: datetime) -> timedelta:
        """Time since a moment; the longest possible if there was none, or it lies in the future."""
        return timedelta.max if moment is None or moment > now else now - moment


def after_push(state: ControllerState, setpoint: Setpoint, now: datetime) -> ControllerState:
    """The state once the charger has accepted the setpoint."""
    before = state.setpoint or Setpoint(0, setpoint.phases)
    update: dict[str, object] = {
        "setpoint_a": setpoint.current_a,
        "phases": setpoint.phases,
        "pushed_at": now,
        "is_pending": False,
    }
    if before == setpoint:
        early = state.since(state.pushed_at, now) < _LONGEST_RESEND
        update["resends"] = state.resends + 1 if early else 0
    else:
        update |= {
            "before_a": before.current_a,
            "before_phases": before.phases,
            "changed_at": now,
            "accumulated_step_benefit_wh": 0.0,
            "imports_before_a": state.imports_a,
            "car_currents_before_a": state.car_currents_a,
            "changes": with_change(state.changes, setpoint, state.available_a, now),
            "sign": state.sign.model_copy(update={"before": state.sign.now}),
            "weighed": True,
            "resends": 0,
        }
        if setpoint.power_w(1) > before.power_w(1):
            update["raised_at"] = now
        if before.current_a == 0 and setpoint.current_a > 0:
            update["started_at"] = now
        if _choice(before) != _choice(setpoint):
            update |= {"accumulated_benefit_wh": {}} | _next_attempt(state, before, setpoint, now)
            if before.current_a and setpoint.current_a:
                update["switched_at"] = now
    return state.model_copy(update=update)


def _next_attempt(
    state: ControllerState, before: Setpoint, setpoint: Setpoint, now: datetime
) -> dict[str, object]:
    """Which attempt at starting the car comes after this change; see `Attempt`."""
    attempt = Attempt.FIRST if state.drew else state.attempt
    had_its_time = state.since(state.attempt_at, now) >= START_PATIENCE
    failed = not state.drew and bool(before.current_a) and had_its_time
    car = state.car.failed_on(before.phases) if failed else state.car
    if not setpoint.current_a:
        in_vain = failed and attempt < Attempt.WAKE_UP
        return {"attempt": Attempt.WAKE_UP if in_vain else attempt, "car": car}
    if failed or (not before.current_a and attempt is Attempt.WAKE_UP):
        attempt = min(Attempt(attempt + 1), Attempt.LAST)
    return {"attempt": attempt, "attempt_at": now, "drew": False, "car": car}


def _pending(setpoint: Setpoint, now: datetime) -> dict[str, object]:
    return {
        "pending_a": setpoint.current_a,
        "pending_phases": setpoint.phases,
        "pending_at": now,
        "is_pending": True,
    }


def _choice(setpoint: Setpoint) -> Choice:
    return setpoint.phases if setpoint.current_a else 0
