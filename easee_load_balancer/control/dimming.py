"""A limit of the car's power for a time, such as the grid operator's dimming (section 14a EnWG)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime

from easee_load_balancer.control.boost import moment
from easee_load_balancer.control.metered_charge import MeteredCharge
from easee_load_balancer.control.plan import CarLimit
from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.periods import time_zone_called

_LENGTH = re.compile(r"(\d+(?:[.,]\d+)?)\s*(h|min)", re.IGNORECASE)
_LONGEST_H = 48
"""A limit that is longer belongs in the policy, as its highest power."""


class Dimming(MeteredCharge):
    """The car gets no more than this power until then, in every mode and during a boost."""

    limit_w: float
    until: AwareDatetime
    time_zone: str = "UTC"

    @classmethod
    def asked(cls, limit_w: float, until: str, time_zone: str, now: datetime) -> Self:
        """The limit that a form asks for: until "18:00", "2 h", "90 min".

        Raises ConfigurationError with what is wrong in it.
        """
        zone = time_zone_called(time_zone)
        if length := _LENGTH.fullmatch(until.strip()):
            number = float(length[1].replace(",", "."))
            hours = number if length[2].lower() == "h" else number / 60
            at = now + timedelta(hours=min(hours, _LONGEST_H + 1))
        else:
            at = moment(until, zone, now)
        if not now < at <= now + timedelta(hours=_LONGEST_H):
            raise ConfigurationError("Until: a limit has to end within two days.")
        return cls(started_at=now, limit_w=limit_w, until=at, time_zone=time_zone)

    @property
    def car_limit(self) -> CarLimit:
        """The limit for the control law and the plan."""
        return CarLimit(self.limit_w, self.until)

    def ended(self, now: datetime) -> str | None:
        """Why it is over; None while it lasts."""
        return "its time is up" if now >= self.until else None

    def progress(self, now: datetime) -> str:
        """How far it has come, for the name of its run."""
        return f"{self.title}: {self.charged_kwh:.1f} kWh so far"

    @property
    def title(self) -> str:
        """The limit in words."""
        until = self.until.astimezone(ZoneInfo(self.time_zone))
        return f"limit {self.limit_w / 1000:g} kW until {until:%a %H:%M}"

    def __str__(self) -> str:
        return self.title
