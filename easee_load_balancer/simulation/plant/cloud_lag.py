"""How a charger's values reach its cloud: sent when they leave their dead band, shown later."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class DeadBand:
    """A value is sent again when it has moved by more than both limits and `every_s` has passed."""

    absolute: float
    relative: float = 0.0
    every_s: int = 0

    def left(self, before: float, value: float, elapsed_s: int) -> bool:
        """Whether to send the value; to zero and from zero at once."""
        if not before or not value:
            return before != value
        moved = abs(value - before) > max(self.absolute, self.relative * abs(before))
        return moved and elapsed_s >= self.every_s


CAR_POWER_W = DeadBand(100.0, relative=0.05)
"""The car's currents are sent together with its power."""
CAR_POWER_KW = DeadBand(CAR_POWER_W.absolute / 1000, CAR_POWER_W.relative)
VOLTAGE_V = DeadBand(2.0)
"""All voltages are sent together with that of L1."""
SESSION_KWH = DeadBand(0.01, every_s=300)
LIFETIME_KWH = DeadBand(0.01, every_s=3600)


@dataclass(frozen=True, slots=True)
class Reported:
    """A value in the cloud, and when the charger observed it."""

    value: Any
    observed_at: datetime


class CloudLag(Generic[Key]):
    """The cloud's copy of the charger's values, each shown `delay_s` after it was observed.

    Values without a dead band are sent on any change; `together` names the values that are only
    sent together with another one, and when they come from zero or go to zero. First values are
    shown at once.
    """

    def __init__(
        self,
        delay_s: float,
        bands: Mapping[Key, DeadBand],
        together: Mapping[Key, tuple[Key, ...]],
    ) -> None:
        self._delay = timedelta(seconds=delay_s)
        self._bands = bands
        self._together = together
        self._leading: list[Key] = []
        self._following: list[Key] = []
        self._sent: dict[Key, tuple[Any, int]] = {}
        self._shown: dict[Key, Reported] = {}
        self._under_way: deque[tuple[Key, Reported]] = deque()

    def update(self, values: Mapping[Key, Any], clock_s: int, now: datetime) -> None:
        """Send what has changed, at a simulated second and the charger's time."""
        if len(self._sent) < len(values):
            self._send_first(values, clock_s, now)
        for key in self._leading:
            before, sent_s = self._sent[key]
            if values[key] == before:
                continue
            band = self._bands.get(key)
            if band is None or band.left(before, values[key], clock_s - sent_s):
                for each in (key, *self._together.get(key, ())):
                    self._send(each, values[each], clock_s, now)
        for key in self._following:
            if bool(values[key]) != bool(self._sent[key][0]):
                self._send(key, values[key], clock_s, now)

    def shown(self, now: datetime) -> Mapping[Key, Reported]:
        """What the cloud shows at that time."""
        while self._under_way and self._under_way[0][1].observed_at + self._delay <= now:
            key, arrived = self._under_way.popleft()
            self._shown[key] = arrived
        return self._shown

    def _send_first(self, values: Mapping[Key, Any], clock_s: int, now: datetime) -> None:
        for key, value in values.items():
            if key not in self._sent:
                self._sent[key] = value, clock_s
                self._shown[key] = Reported(value, now)
        followers = {key for keys in self._together.values() for key in keys}
        self._leading = [key for key in self._sent if key not in followers]
        self._following = [key for key in self._sent if key in followers]

    def _send(self, key: Key, value: Any, clock_s: int, now: datetime) -> None:
        self._sent[key] = value, clock_s
        self._under_way.append((key, Reported(value, now)))
