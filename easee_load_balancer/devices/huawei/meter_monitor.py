"""What only several readings of the meter show: values that stand still, and zeros in between."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from easee_load_balancer.devices.huawei.registers import MeterValues

_READINGS = 6
_CHANGES = 4
"""From this many changes between values and zeros on, the meter is unreliable; two outages in the
last readings have three."""


class MeterMonitor:
    """Remembers the last readings of one meter."""

    def __init__(self) -> None:
        self._words: tuple[int, ...] = ()
        self._since: datetime | None = None
        self._empty: deque[bool] = deque(maxlen=_READINGS)

    def unchanged_since(self, at: datetime, words: Sequence[int]) -> datetime:
        """When the meter's registers first had exactly these values."""
        if self._since is None or tuple(words) != self._words:
            self._words, self._since = tuple(words), at
        return self._since

    def checked(self, meter: MeterValues) -> MeterValues:
        """The values, unknown while they alternate with zeros or with nothing."""
        self._empty.append(meter.problem is not None or _only_zeros(meter))
        changes = sum(before != after for before, after in pairwise(self._empty))
        if changes < _CHANGES:
            return meter
        return MeterValues(meter.online, meter.phases, problem="meter: values and zeros alternate")


def _only_zeros(meter: MeterValues) -> bool:
    return not meter.grid_export_w and not any(meter.current_a)
