"""Why a line is above the main fuse: what the controller causes, and what it cannot prevent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from easee_load_balancer.simulation.plant.plant import Plant
from tests.benchmarks.soak_tally import OURS, STEP, Stretch, Tally

TAKES_EFFECT_S = 10
"""The cloud delivers a command and the car follows it within this, after the end of a cycle."""

_VOLTS = 230.0
_Amps = tuple[float, ...]


class FuseWatch:
    """Follows a plant second by second.

    A second above the fuse is the controller's own if the house as it was at the last reading
    would be above it too, with the car as it is now. Otherwise a load was switched on since then,
    which only the next cycle can see.
    """

    def __init__(self, plant: Plant, tally: Tally) -> None:
        self._plant, self._tally = plant, tally
        self._readings: deque[tuple[int | None, _Amps]] = deque([(0, _alone_a(plant))])
        """When each reading had taken effect, and the house's currents without the car then."""
        self._stretch: Stretch | None = None
        self._minute_a = [0.0, 0.0, 0.0]

    def reads(self) -> None:
        """A cycle reads the meter now."""
        self._readings.append((None, _alone_a(self._plant)))

    def cycle_ended(self) -> None:
        """What the last reading led to takes effect soon."""
        at, house_a = self._readings[-1]
        if at is None:
            self._readings[-1] = (self._plant.clock_s + TAKES_EFFECT_S, house_a)

    def second(self, hindrance: Callable[[], str | None], faults: str) -> None:
        """One second has passed; `hindrance` says what keeps the controller from acting."""
        now_s, fuse_a = self._plant.clock_s, self._plant.spec.main_fuse_a
        while len(self._readings) > 1 and (self._readings[1][0] or now_s + 1) <= now_s:
            self._readings.popleft()
        line_a = tuple(-watts / _VOLTS for watts in self._plant.grid_export_phase_w)
        self._count(line_a)
        kind = None
        if max(line_a) > fuse_a:
            kind = hindrance() or self._cause(line_a, fuse_a)
        if self._stretch is not None and self._stretch.kind != kind:
            self._stretch = None
        if kind is not None:
            if self._stretch is None:
                self._stretch = Stretch(now_s, kind, faults)
                self._tally.over.append(self._stretch)
            self._stretch.seconds += 1

    def _cause(self, line_a: Sequence[float], fuse_a: float) -> str:
        now_a = _alone_a(self._plant)
        for _, read_a in self._readings:
            then_a = (
                line - now + read for line, now, read in zip(line_a, now_a, read_a, strict=True)
            )
            if max(then_a) <= fuse_a:
                return STEP
        return OURS

    def _count(self, line_a: Sequence[float]) -> None:
        tally = self._tally
        tally.highest_a = max(tally.highest_a, *line_a)
        self._minute_a = [sum(pair) for pair in zip(self._minute_a, line_a, strict=True)]
        if self._plant.clock_s % 60 == 0:
            tally.minutes_over += max(self._minute_a) / 60 > self._plant.spec.main_fuse_a
            self._minute_a = [0.0, 0.0, 0.0]


def _alone_a(plant: Plant) -> _Amps:
    """The house's currents without the car, + from the grid."""
    return tuple(-watts / _VOLTS for watts in plant.lines(0.0, ()).power_w)
