"""Where the plant listens, and which devices are there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, Field

PlantKind = Literal["single", "cascade", "emma", "smartlogger"]

_SETTLE_S: Mapping[PlantKind, float] = {
    "single": 1.5,
    "cascade": 1.5,
    "emma": 0.0,
    "smartlogger": 1.0,
}
"""A dongle ignores early requests; an EMMA closes a connection that is silent for a second."""

UnitId = Annotated[int, Field(ge=0, le=247)]


class InverterAddress(BaseModel):
    """Where the inverter, or the device in front of it, listens; and timeouts."""

    host: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[^\s/]+$",
        title="Host",
        description="IP address or name of the inverter or its dongle, for example 192.168.1.40.",
    )
    port: int = Field(
        default=502,
        ge=1,
        le=65535,
        title="Port",
        description="502 on a dongle, 6607 on the inverter's own access point.",
    )
    unit_id: int = Field(
        default=1,
        ge=0,
        le=247,
        title="Unit ID",
        description="1 on most dongles; 0 on the inverter's own access point, an EMMA or a "
        "SmartLogger.",
    )
    plant: PlantKind = Field(
        default="single",
        title="Plant",
        description="'single': one inverter. 'cascade': several behind one dongle. 'emma' or "
        "'smartlogger': behind that device.",
    )
    other_units: tuple[UnitId, ...] = Field(
        default=(),
        max_length=16,
        title="Other inverters",
        description="Unit IDs of a cascade's other inverters, or of those behind a SmartLogger.",
    )
    dongle_totals: bool = Field(
        default=False,
        title="Dongle adds up",
        description="Read the sums of a cascade from its dongle (unit 100), if it has them.",
    )
    meter_unit: UnitId = Field(
        default=11,
        title="Meter's unit ID",
        description="Unit ID of the grid meter behind a SmartLogger.",
    )
    meter_counts_backwards: bool = Field(
        default=False,
        title="Meter counts backwards",
        description="The meter's sign is the opposite of the documented one; "
        "`easee-balancer check --calibrate` finds out.",
    )
    settle_time_s: float | None = Field(
        default=None,
        ge=0,
        le=7,
        title="Settle time (s)",
        description="Wait after connecting before the first request. Empty: 1.5 s for a dongle, "
        "1 s for a SmartLogger, none for an EMMA. Old dongles need up to 7 s.",
    )
    timeout_s: float = Field(
        default=5.0,
        ge=0.2,
        le=8,
        title="Timeout (s)",
        description="Longest wait for one answer; 5 s suits old and new dongles.",
    )

    @property
    def budget_s(self) -> float:
        """Time for all attempts of one reading together (14.5 s by default).

        Enough to connect to an old dongle and wait 4 s for each of three answers, or for a second
        attempt after one lost answer.
        """
        return self.settle_s + 2.6 * self.timeout_s

    @property
    def settle_s(self) -> float:
        """The settle time, or what suits the plant."""
        return _SETTLE_S[self.plant] if self.settle_time_s is None else self.settle_time_s

    def at_unit(self, unit_id: int) -> str:
        """The address in words, with another unit id."""
        return f"{self.host}:{self.port} unit {unit_id}"

    def __str__(self) -> str:
        return self.at_unit(self.unit_id)
