"""What others have told the battery: power limits, which last, and forced commands, which end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Forced = Literal[0, 1, 2]
"""0 none, 1 charge, 2 discharge."""


@dataclass(slots=True)
class BatteryControls:
    """The settings and the forced command of one battery."""

    max_power_w: float
    charge_limit_w: float = field(init=False)
    discharge_limit_w: float = field(init=False)
    forced: Forced = 0
    forced_charge_w: float = 0.0
    forced_discharge_w: float = 0.0
    forced_min: int = 0
    """Length of a forced command that ends by time."""
    ends_by_time: bool = False
    """A forced command that does not end by time lasts until it is stopped."""
    grid_charge_allowed: bool = True
    """Whether forced charging may take more than the PV yields."""
    _left_s: int = 0

    def __post_init__(self) -> None:
        self.charge_limit_w = self.discharge_limit_w = self.max_power_w

    def force(self, command: Forced) -> None:
        """Begin a forced command, or begin it again, or stop it."""
        self.forced, self._left_s = command, 60 * self.forced_min

    @property
    def charges_from_grid(self) -> bool:
        """Whether it may charge with power from the grid now."""
        return self.forced == 1 and self.grid_charge_allowed

    def power_w(self, wanted_w: float) -> float:
        """Charging power of the next second where the battery by itself would take `wanted_w`."""
        if self.forced and self.ends_by_time:
            self._left_s -= 1
            if self._left_s < 0:
                self.forced = 0
        if self.forced == 1:
            return min(self.forced_charge_w, self.max_power_w)
        if self.forced == 2:
            return -min(self.forced_discharge_w, self.max_power_w)
        return max(-self.discharge_limit_w, min(wanted_w, self.charge_limit_w))
