"""What one of several cars is left: of the surplus, of the main fuse, of its circuit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from easee_load_balancer.control.power_estimate import PowerRange
from easee_load_balancer.control.state import Choice


@dataclass(frozen=True, slots=True)
class Share:
    """One car's share; the rules of the law apply to it as to a car that is alone."""

    others: PowerRange
    """What the other cars draw now less what they are left, in W: this car's to take."""
    rising_a: tuple[float, float, float]
    """What the other cars may come to draw on L1, L2, L3 beyond what the meter shows."""
    ceiling_a: int
    """The most it may be given."""
    ceiling_of: str
    """Whose limit that is."""
    choice: Choice | None = None
    """Phases to charge on, decided for all cars together; None: this car decides by itself."""
    benefit_wh: float = 0.0
    """What that choice has gained so far."""

    @property
    def ceiling(self) -> tuple[int, str]:
        """The most it may be given, and whose limit that is."""
        return self.ceiling_a, self.ceiling_of

    def added_to(self, surplus: PowerRange) -> PowerRange:
        """The surplus of this car alone, with what the others leave of theirs."""
        others = self.others
        return PowerRange(surplus.low_w + others.low_w, surplus.high_w + others.high_w)

    def ripe(self, present: Choice, own: Mapping[Choice, float]) -> Mapping[Choice, float]:
        """The choices to change to, and their gain in Wh; `own` are those of the car alone."""
        if self.choice is None:
            return own
        return {} if self.choice == present else {self.choice: self.benefit_wh}

    def risen(self, imports_a: Sequence[float]) -> list[float]:
        """Import on each phase once the other cars draw what they may."""
        return [amps + more for amps, more in zip(imports_a, self.rising_a, strict=False)]
