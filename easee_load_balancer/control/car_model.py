"""What is known of the car that is plugged in: lines in use, watts per ampere, what it takes.

Every conversion between watts and amperes goes through this model. It starts from the physics
of the grid and learns from the charger's own measurements.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from easee_load_balancer.measurements import (
    CAR_CURRENTS_OBSERVED,
    ChargerMode,
    ChargerState,
    GridType,
    Setpoint,
)

CAR_UNDERDRAW_A = 0.3
"""Cars draw this much less than they are offered."""
MOST_UNDERDRAW_A = 2.3
"""A larger difference is a limit of the car: its own setting, a full battery, its charger."""
LINES_STEADY = timedelta(seconds=30)
"""Fewer lines than before count once they have been seen this long; more lines at once."""
SEEN_TOGETHER = timedelta(seconds=10)
"""Power and currents observed within this time belong together."""
_LEAST_A = 4.0
"""Below this current a measurement says little about lines and watts."""
_IT_FACTORS = (1.0, math.sqrt(3))
"""Watts per ampere on an IT grid in units of the phase voltage: two lines, three lines."""


class CarModel(BaseModel):
    """The car as learned in this session; stored with the controller state."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    lines: dict[int, int] = {}
    """Lines that carry its current, by the number of phases offered."""
    factors: dict[int, float] = {}
    """Watts per ampere in units of the phase voltage, by the number of phases offered."""
    first_line: int = 0
    """Index of the charger's phase that a one-phase car uses."""
    fewer_lines_since: AwareDatetime | None = None
    """Since when fewer lines than known have been seen."""
    draws_a: dict[int, float] = {}
    """Current per line that it was seen to draw of an offer, where that was a surprise."""
    uncertainty_a: float = 0.0
    """How far its draw was from the expected one when it last differed."""
    failed_starts: dict[int, int] = {}
    """How often it did not start, by the number of phases offered."""
    refused: Literal[1, 3] | None = None
    """Number of phases on which it does not start, although on the other."""

    def factor(self, offered: int, grid_type: int | None) -> float:
        """Watts per ampere in units of the phase voltage on that many offered phases."""
        if offered in self.factors:
            return self.factors[offered]
        if offered == 1 or grid_type in (GridType.TN_ONE_PHASE, GridType.IT_ONE_PHASE):
            return 1.0
        if grid_type == GridType.TN_TWO_PHASES:
            return 2.0
        return math.sqrt(3) if grid_type == GridType.IT_THREE_PHASES else 3.0

    def failed_on(self, offered: int) -> CarModel:
        """The model after a start that the car let pass."""
        count = self.failed_starts.get(offered, 0) + 1
        return self.model_copy(update={"failed_starts": self.failed_starts | {offered: count}})

    def started_on(self, offered: Literal[1, 3], *, at_once: bool) -> CarModel:
        """The model after a start that followed failed ones on other phases.

        `at_once`: nothing else than the phases had been changed. Otherwise it takes two failures
        to blame the phases.
        """
        other: Literal[1, 3] = 1 if offered == 3 else 3
        failed = self.failed_starts.get(other, 0)
        refuses = failed >= (1 if at_once else 2)
        return self.model_copy(update={"refused": other}) if refuses else self

    def without_lines(self, offered: int) -> CarModel:
        """The model without what was learned on that many phases."""
        known = {
            name: {key: value for key, value in getattr(self, name).items() if key != offered}
            for name in ("lines", "factors")
        }
        return self.model_copy(update=known)

    def draw_a(self, offered_a: float) -> float:
        """Current per line that the car draws of an offer: as seen, else as most cars do.

        What it drew of other offers bounds it: more is never less, and a limit stays one.
        """
        usual_a = max(0.0, offered_a - CAR_UNDERDRAW_A)
        if not self.draws_a:
            return usual_a
        if offered_a in self.draws_a:
            return self.draws_a[int(offered_a)]
        below = [(offer, seen) for offer, seen in self.draws_a.items() if offer < offered_a]
        above_a = [seen for offer, seen in self.draws_a.items() if offer > offered_a]
        if below:
            offer, seen_a = max(below)
            limited = offer - seen_a > MOST_UNDERDRAW_A
            usual_a = seen_a if limited else max(usual_a, seen_a)
        return min([usual_a, *above_a])

    def house_lines(self, offered: int, wiring: Mapping[int, int], phases: int) -> Sequence[int]:
        """Indexes of the house's phases that the car uses; all of them where that is unknown."""
        if offered == 1:  # the first of the charger's phases
            line = wiring.get(0)
        else:
            line = wiring.get(self.first_line) if self.lines.get(offered) == 1 else None
        return range(phases) if line is None or line >= phases else (line,)


def measured_current_a(charger: ChargerState) -> float | None:
    """The car's current on its busiest line as measured, never more than the charger offers."""
    amps = [value for value in charger.car_current_a if value is not None]
    if len(amps) < len(charger.car_current_a) or charger.mode is not ChargerMode.CHARGING:
        return None
    if charger.output_current_a is None:
        return max(amps)
    return min(max(amps), charger.output_current_a + 1.0)


def currents_seen_at(charger: ChargerState) -> datetime | None:
    """When the newest of the car's currents, or at least its power, was observed."""
    names: tuple[str, ...] = CAR_CURRENTS_OBSERVED
    if not any(name in charger.observed_at for name in names):
        names = ("car_w",)
    times = [charger.observed_at.get(name) for name in names]
    return max((at for at in times if at is not None), default=None)


def lines_in_use(amps: Sequence[float]) -> int:
    """Lines that carry the car's current."""
    return sum(value > max(1.0, 0.3 * max(amps)) for value in amps)


def learn_lines(
    car: CarModel, now: datetime, charger: ChargerState, offered: Literal[1, 3], volts: float
) -> CarModel:
    """The model with the lines and the watts per ampere that the charger measures now."""
    current_a = measured_current_a(charger)
    if current_a is None or current_a < _LEAST_A:
        return car
    amps = [value for value in charger.car_current_a if value is not None]
    lines = lines_in_use(amps)
    known = car.lines.get(offered)
    if (known is not None and lines < known) or (known is None and lines < offered):
        since = car.fewer_lines_since or currents_seen_at(charger) or now
        if now - since < LINES_STEADY:
            return car.model_copy(update={"fewer_lines_since": since})
    factor = _factor(lines, charger, current_a, volts)
    return car.model_copy(
        update={
            "lines": car.lines | {offered: lines},
            "factors": car.factors | {offered: factor},
            "first_line": amps.index(max(amps)),
            "fewer_lines_since": None,
        }
    )


def learn_draw(
    car: CarModel, active: Setpoint, drawn_a: float, watts_per_ampere: float, tolerance_w: float
) -> CarModel:
    """The model after a steady measurement of the current that the car draws of the setpoint."""
    expected_a = car.draw_a(active.current_a)
    differs_a = drawn_a - expected_a
    if abs(differs_a) * watts_per_ampere <= max(250.0, tolerance_w):
        return car
    agreeing = {
        offer: seen_a
        for offer, seen_a in car.draws_a.items()
        if (seen_a <= drawn_a) == (offer <= active.current_a)
    }
    return car.model_copy(
        update={
            "draws_a": agreeing | {active.current_a: drawn_a},
            "uncertainty_a": min(2.0, abs(differs_a)),
        }
    )


def _factor(lines: int, charger: ChargerState, current_a: float, volts: float) -> float:
    """Watts per ampere in units of the phase voltage: the physical value next to the measured."""
    if charger.grid_type not in (GridType.IT_THREE_PHASES, GridType.IT_ONE_PHASE):
        return float(lines)
    seen_at, power_at = currents_seen_at(charger), charger.observed_at.get("car_w")
    together = seen_at and power_at and abs(seen_at - power_at) <= SEEN_TOGETHER
    if charger.car_w and together:
        measured = charger.car_w / (current_a * volts)
        return min(_IT_FACTORS, key=lambda factor: abs(factor - measured))
    return math.sqrt(3) if lines == 3 else 1.0
