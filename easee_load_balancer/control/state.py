"""What one control cycle leaves for the next."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from easee_load_balancer.measurements import Setpoint

TIME_TO_LIVE = timedelta(minutes=30)
"""How long the charger keeps a setpoint that nobody renews."""
DARK_W = 150.0
LONGEST_NIGHT = timedelta(hours=20)

Phases = Literal[1, 3]
Choice = Literal[0, 1, 3]
"""Phases to charge on; 0 = pause."""


class ControllerState(BaseModel):
    """What one cycle leaves for the next; stored with the history."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    setpoint_a: int | None = None
    """Last current pushed; None = never."""
    phases: Phases = 3
    pushed_at: AwareDatetime | None = None
    asked_a: int | None = None
    """Current of the last push of which it was not known whether the charger takes it."""
    asked_phases: Phases = 3
    asked_at: AwareDatetime | None = None
    in_doubt: bool = False
    """Whether it is still not known."""
    elsewhere_a: tuple[float, float, float] | None = None
    """What somebody else allows on L1, L2, L3 of the circuit; None = nobody does."""
    before_a: int = 0
    """Current before the last change."""
    before_phases: Phases = 3
    changed_at: AwareDatetime | None = None
    """When current or phases last changed; renewals do not count."""
    raised_at: AwareDatetime | None = None
    started_at: AwareDatetime | None = None
    switched_at: AwareDatetime | None = None
    """When the phases last changed during a charge."""
    inverter_read_at: AwareDatetime | None = None
    pv_w: float | None = None
    """PV power at `inverter_read_at`."""
    has_battery: bool = False
    battery_first: bool = True
    """Whether the battery was still below the state of charge until which it comes first."""
    supporting: bool = False
    """Whether the battery is supporting the car."""
    weighed_at: AwareDatetime | None = None
    """When the surplus was last weighed up."""
    missed_wh: dict[int, float] = {}
    """What each other `Choice` would have brought more than the present one until now."""
    missed_step_wh: float = 0.0
    """What another current would have brought more than the present one until now."""
    unknown_since: AwareDatetime | None = None
    """Since when a value that the law needs has been missing."""
    car_phases: Literal[1, 2, 3] | None = None
    """Phases that the present car used when it was offered three."""

    @classmethod
    def lost(cls, now: datetime) -> ControllerState:
        """The state of a cycle that cannot know what was before: as if just raised, so that it
        raises nothing."""
        return cls(raised_at=now)

    def after_crash(self, word: str) -> ControllerState:
        """This state when a cycle after it was killed, and left `word` of what it was sending."""
        try:
            return ControllerState.model_validate(self.model_dump() | json.loads(word))
        except (ValueError, TypeError):
            return self

    def is_night(self, now: datetime) -> bool:
        """Whether an inverter that does not answer is asleep rather than broken.

        It is when the last reading came in the dark, from a plant without battery, and that
        was no longer ago than the longest night.
        """
        if self.inverter_read_at is None or self.pv_w is None or self.has_battery:
            return False
        return self.pv_w < DARK_W and now - self.inverter_read_at < LONGEST_NIGHT

    @property
    def setpoint(self) -> Setpoint | None:
        """The last setpoint pushed; None = never."""
        return None if self.setpoint_a is None else Setpoint(self.setpoint_a, self.phases)

    @property
    def asked(self) -> Setpoint | None:
        """A setpoint that was sent and may have been taken, or be taken late."""
        return None if self.asked_a is None else Setpoint(self.asked_a, self.asked_phases)

    def with_doubt(self, setpoint: Setpoint, now: datetime) -> ControllerState:
        """The state when nobody knows whether the charger has taken the setpoint."""
        return self.model_copy(update=_asked(setpoint, now))

    @staticmethod
    def word_of(setpoint: Setpoint, now: datetime) -> str:
        """The word to leave for `after_crash` before that setpoint is sent."""
        return json.dumps(_asked(setpoint, now), default=datetime.isoformat)

    def since(self, moment: datetime | None, now: datetime) -> timedelta:
        """Time since a moment; for ever when it never was, or the clock was set back meanwhile."""
        return timedelta.max if moment is None or moment > now else now - moment


def after_push(state: ControllerState, setpoint: Setpoint, now: datetime) -> ControllerState:
    """The state once the charger has accepted the setpoint."""
    before = state.setpoint or Setpoint(0, setpoint.phases)
    update: dict[str, object] = {
        "setpoint_a": setpoint.current_a,
        "phases": setpoint.phases,
        "pushed_at": now,
        "in_doubt": False,
    }
    if before != setpoint:
        update |= {
            "before_a": before.current_a,
            "before_phases": before.phases,
            "changed_at": now,
            "missed_step_wh": 0.0,
        }
        if setpoint.power_w(1) > before.power_w(1):
            update["raised_at"] = now
        if before.current_a == 0 and setpoint.current_a > 0:
            update["started_at"] = now
        if _choice(before) != _choice(setpoint):
            update["missed_wh"] = {}
            if before.current_a and setpoint.current_a:
                update["switched_at"] = now
    return state.model_copy(update=update)


def _asked(setpoint: Setpoint, now: datetime) -> dict[str, object]:
    return {
        "asked_a": setpoint.current_a,
        "asked_phases": setpoint.phases,
        "asked_at": now,
        "in_doubt": True,
    }


def _choice(setpoint: Setpoint) -> Choice:
    return setpoint.phases if setpoint.current_a else 0
