"""Where the inverter listens."""

from __future__ import annotations

from pydantic import BaseModel, Field


class InverterAddress(BaseModel):
    """Where the inverter listens, and timeouts."""

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
        title="Unit id",
        description="1 on most dongles, 0 on the inverter's own access point.",
    )
    settle_time_s: float = Field(
        default=1.5,
        ge=0,
        le=5,
        title="Settle time (s)",
        description="Wait after connecting before the first request; old dongles need 1 to 2 s.",
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
        return self.settle_time_s + 2.6 * self.timeout_s

    def __str__(self) -> str:
        return f"{self.host}:{self.port} unit {self.unit_id}"
