"""Faults of the simulated house that can be switched on and off from outside."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ModbusFault = Literal[
    "refuse",  # nobody listens on the port (the inverter is off)
    "silent",  # connections are accepted, nothing is ever answered
    "drop",  # each second request is not answered
    "delay",  # replies come `modbus_delay_s` later
    "busy",  # exception 6
    "reset",  # the connection is reset at each request
    "short",  # the reply holds fewer registers than were asked for
    "implausible",  # another request's payload: lengths right, values impossible
    "garbage",  # bytes that are no Modbus at all
    "rival",  # another client connects again and again, and each connection ends the one before
]

BodyFault = Literal[
    "truncated",  # cut in the middle of the JSON, with the right length
    "cut",  # the connection ends in the middle of the body
    "html",  # a page of something in between; commands do not get through
    "nulls",  # every value is null, but ids and times
    "new fields",  # fields that nobody knows yet
]


class Faults(BaseModel):
    """What goes wrong at the moment; everything off by default."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    modbus: ModbusFault | None = None
    modbus_delay_s: float = Field(default=3.0, ge=0, le=60)
    meter_offline: bool = False
    api_status: Literal[400, 401, 403, 429, 500, 503, 504] | None = None
    """Every API call but the login is answered with this status (403 and 429: the login too)."""
    api_retry_after_s: int = Field(default=120, ge=0)
    api_delay_s: float = Field(default=0.0, ge=0, le=120)
    api_body: BodyFault | None = None
    """Answers have another body than they should."""
    api_clock_ahead_s: int = 0
    """How far the clock of the cloud, and of the charger, is ahead of this machine's."""
    observations_stopped: bool = False
    """The charger sends nothing new to its cloud; the old values stay, with their old times."""
    commands_ignored: bool = False
    """Commands are accepted (202) and never reach the charger."""

    def become(self, other: Faults) -> None:
        """Go wrong as the other says."""
        for name in Faults.model_fields:
            setattr(self, name, getattr(other, name))
