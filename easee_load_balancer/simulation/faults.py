"""Faults of the simulated house that can be switched on and off from outside."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from easee_load_balancer.simulation.plant.meter import MeterFaultKind

ModbusFault = Literal[
    "refuse",  # nothing listens on the port (the inverter is off)
    "silent",  # connections are accepted, nothing is ever answered
    "drop",  # every second request is not answered
    "delay",  # replies come `modbus_delay_s` later
    "busy",  # exception 6
    "reset",  # the connection is reset at each request
    "short",  # the reply holds fewer registers than requested
    "implausible",  # another request's payload: lengths right, values impossible
    "garbage",  # bytes that are not Modbus
    "rival",  # another client keeps connecting, which ends the current connection
    "function",  # the reply answers another function, with the right length
]

BatteryWriteFault = Literal[
    "refused",  # exception 4 to every write
    "refused_lifting",  # the same to the write that lets the battery discharge again
    "ignored",  # accepted and not carried out
    "unanswered",  # carried out, without an answer
]

BodyFault = Literal[
    "truncated",  # cut in the middle of the JSON, with a matching length
    "cut",  # the connection ends in the middle of the body
    "html",  # the page of a proxy; commands do not get through
    "nulls",  # every value is null except ids and times
    "new fields",  # additional unknown fields
]


StreamFault = Literal[
    "silent",  # the connection stays open, nothing arrives any more, not even pings
    "mute",  # pings arrive, values and answers to commands do not
    "disorder",  # values arrive twice, late and out of order
    "garbage",  # frames that cannot be read
]

PriceFault = Literal[
    "outage",  # status 503
    "limited",  # status 429
    "garbage",  # a page that is neither JSON nor XML nor CSV
    "impossible",  # prices far out of all bounds
    "late",  # tomorrow's prices do not appear
]

SolarFault = Literal["outage", "garbage", "impossible"]


class Faults(BaseModel):
    """The active faults; all off by default."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    modbus: ModbusFault | None = None
    modbus_delay_s: float = Field(default=3.0, ge=0, le=60)
    battery_writes: BatteryWriteFault | None = None
    meter: MeterFaultKind | None = None
    api_status: Literal[400, 401, 403, 429, 500, 503, 504] | None = None
    """Every API call except the login gets this status (403 and 429: the login too)."""
    api_command_status: Literal[400, 403] | None = None
    """Commands alone get this status: 400 from a charger without connection, 403 by role."""
    api_retry_after_s: int = Field(default=120, ge=0)
    api_delay_s: float = Field(default=0.0, ge=0, le=120)
    api_body: BodyFault | None = None
    """Responses have a corrupt body."""
    stream: StreamFault | None = None
    stream_status: Literal[401, 403, 404, 429, 503] | None = None
    """Negotiations for the push stream get this status; open connections stay."""
    api_clock_ahead_s: int = 0
    """How far the clock of cloud and charger is ahead of this machine's."""
    charger_clock_ahead_s: int = 0
    """How far the charger's own clock is ahead of the cloud's."""
    observations_stopped: bool = False
    """The charger reports nothing new; old values keep their old times."""
    commands_ignored: bool = False
    """Commands are accepted and never reach the charger."""
    prices: PriceFault | None = None
    """What the sources of day-ahead prices do wrong."""
    solar_forecast: SolarFault | None = None
    """What the sources of solar forecasts do wrong."""

    def replace_with(self, other: Faults) -> None:
        """Take over all faults of `other`."""
        for name in Faults.model_fields:
            setattr(self, name, getattr(other, name))
