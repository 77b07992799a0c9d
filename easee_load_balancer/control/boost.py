"""A boost: the car charges now, whatever the sun does, until one of the boost's ends is reached.

Pure: what a boost makes of policy and state, what a cycle's readings make of the boost.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime

from easee_load_balancer.control.departures import MOST_KWH
from easee_load_balancer.control.metered_charge import MeteredCharge
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.periods import time_zone_called

CAR_COMES = timedelta(hours=1)
"""How long a boost without an end in time waits for a car."""
SILENCE = timedelta(minutes=3)
"""The run's name says so after this long without a cycle."""
_ENERGY = re.compile(r"(\d+(?:[.,]\d+)?)\s*kwh", re.IGNORECASE)
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


class Boost(MeteredCharge):
    """What somebody asked for, and how far it has come; stored with the history.

    It ends at `until`, with `energy_kwh`, or when the car is unplugged: whichever comes first.
    """

    current_a: int
    time_zone: str = "UTC"
    """The zone in which `until` is shown to people."""
    until: AwareDatetime | None = None
    energy_kwh: float | None = None

    @classmethod
    def asked(cls, current_a: int, until: str, time_zone: str, now: datetime) -> Boost:
        """The boost that a form asks for: until "17:30", "10 kWh", "17:30 or 10 kWh", "unplugged".

        Raises ConfigurationError with what is wrong in it.
        """
        zone = time_zone_called(time_zone)
        at = energy_kwh = None
        for end in re.split(r"\s+or\s+", until.strip()):
            if energy := _ENERGY.fullmatch(end):
                energy_kwh = float(energy[1].replace(",", "."))
            elif end and end.lower() != "unplugged":
                at = moment(end, zone, now)
        if energy_kwh is not None and not 0 < energy_kwh <= MOST_KWH:
            raise ConfigurationError(f"Until: no car takes {energy_kwh:g} kWh.")
        return cls(
            current_a=current_a,
            started_at=now,
            time_zone=time_zone,
            until=at,
            energy_kwh=energy_kwh,
        )

    def check_against(self, policy: Policy) -> None:
        """Raise ConfigurationError where the policy does not allow that current."""
        if self.current_a > policy.max_current_a:
            raise ConfigurationError(
                f"The policy allows {policy.max_current_a} A at most: ask for no more, or change "
                "'Highest current' in the block 'Charging policy'."
            )

    def over(self, policy: Policy) -> Policy:
        """The policy while the boost lasts; its limits and its main fuse stay."""
        return policy.model_copy(
            update={
                "mode": "fast",
                "max_current_a": min(self.current_a, policy.max_current_a),
                "min_current_a": min(self.current_a, policy.min_current_a),
            }
        )

    def hurry(self, state: ControllerState) -> ControllerState:
        """A start or phase change before the boost is no reason to wait now."""
        moments = {"started_at": state.started_at, "switched_at": state.switched_at}
        older = {name: None for name, at in moments.items() if at and at < self.started_at}
        return state.model_copy(update=older) if older else state

    def ended(self, now: datetime) -> str | None:
        """Why it is over; None while it lasts."""
        if self.car == "gone":
            return "the car was unplugged"
        if self.energy_kwh is not None and self.charged_kwh >= self.energy_kwh:
            return "the energy is in the car"
        if self.until is not None:
            return "its time is up" if now >= self.until else None
        if self.car == "awaited" and now - self.started_at >= CAR_COMES:
            return "no car came within an hour"
        return None

    def progress(self, now: datetime) -> str:
        """The boost and how far it has come, for the name of its run."""
        seen_at = self.seen_at or self.started_at
        if now - seen_at >= SILENCE:
            state = f"no control cycle since {seen_at.astimezone(ZoneInfo(self.time_zone)):%H:%M}"
        elif self.car == "awaited":
            state = "waits for a car" if self.seen_at else "begins with the next cycle"
        else:
            state = f"{self.charged_kwh:.1f} kWh so far"
        return f"{self.title}: {state}"

    @property
    def title(self) -> str:
        """The boost with its current."""
        return f"{self.whose}boost {self.current_a} A {self._end}"

    def __str__(self) -> str:
        return f"boost {self._end}"

    @property
    def _end(self) -> str:
        ends = [] if self.energy_kwh is None else [f"{self.energy_kwh:g} kWh"]
        if self.until is not None:
            zone = ZoneInfo(self.time_zone)
            until, start = self.until.astimezone(zone), self.started_at.astimezone(zone)
            days = (until.date() - start.date()).days
            day = "" if not days else f"{until:%a} " if days < 7 else f"{until.day} {until:%b} "
            ends.insert(0, f"{day}{until:%H:%M}")
        return f"until {' or '.join(ends) or 'unplugged'}"


def moment(text: str, zone: ZoneInfo, now: datetime) -> datetime:
    """The next time of day "17:30", or the date and time "2026-08-01 17:30", in UTC.

    Raises ConfigurationError for anything else and for what is over.
    """
    text = text.strip()
    if time := _TIME.fullmatch(text):
        local = now.astimezone(zone).replace(second=0, microsecond=0)
        at = local.replace(hour=int(time[1]), minute=int(time[2]))
        if at <= now:
            at += timedelta(days=1)
        return at.astimezone(UTC)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"Until: {text!r} is not a time such as 17:30, a date and time such as "
            "2026-08-01 17:30, an energy such as 10 kWh, or 'unplugged'."
        ) from None
    at = at if at.tzinfo else at.replace(tzinfo=zone)
    if at <= now:
        raise ConfigurationError(f"Until: {text} is in the past.")
    return at.astimezone(UTC)
