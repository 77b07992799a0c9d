"""A request of the owner's, and what the car has got since: for boosts, departures and limits."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict

from easee_load_balancer.measurements import ChargerState

_JUMP_KWH = 2.0
"""A counter that is this far ahead of the car's power showed a wrong value at the start."""
_LONGEST_GAP = timedelta(minutes=5)
"""What the car drew in a longer time without cycles is left to the counters."""


class MeteredCharge(BaseModel):
    """Counts what the car has got since somebody asked; stored with the history."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    started_at: AwareDatetime
    charger: str = ""
    """The name of the charger where a home has several."""
    car: Literal["awaited", "here", "gone"] = "awaited"
    counted_kwh: float = 0.0
    """What the charger's counters have counted since the start."""
    bridged_kwh: float = 0.0
    """What the car has drawn since they last moved, which they do every few minutes."""
    from_session_kwh: float | None = None
    from_lifetime_kwh: float | None = None
    """What the counters showed at the start; None until they moved."""
    seen_at: AwareDatetime | None = None
    """When a cycle last obeyed it."""

    def after(self, now: datetime, charger: ChargerState) -> Self:
        """The request once a cycle has read the charger."""
        update: dict[str, object] = {"seen_at": now}
        if charger.car_connected:
            update["car"] = "here"
        elif charger.car_connected is False and self.car == "here":
            update["car"] = "gone"
        since_seen = max(now - (self.seen_at or self.started_at), timedelta())
        hours = min(since_seen, _LONGEST_GAP) / timedelta(hours=1)
        bridged_kwh = self.bridged_kwh + (charger.car_w or 0.0) / 1000 * hours
        counted_kwh, estimate_kwh = self.counted_kwh, self.counted_kwh + bridged_kwh
        for name in ("session_kwh", "lifetime_kwh"):
            counter, observed_at = getattr(charger, name), charger.observed_at.get(name)
            if counter is None or (observed_at is not None and observed_at < self.started_at):
                continue
            start = getattr(self, f"from_{name}")
            if start is None or counter - start > estimate_kwh + _JUMP_KWH:
                start = update[f"from_{name}"] = counter - estimate_kwh
            if counter - start > counted_kwh:
                counted_kwh, bridged_kwh = counter - start, 0.0
        return self.model_copy(
            update=update | {"counted_kwh": counted_kwh, "bridged_kwh": bridged_kwh}
        )

    @property
    def whose(self) -> str:
        """The charger's name as the beginning of a message."""
        return f"{self.charger}: " if self.charger else ""

    @property
    def charged_kwh(self) -> float:
        """What the car has got."""
        return self.counted_kwh + self.bridged_kwh
