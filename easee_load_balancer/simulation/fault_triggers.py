"""Moments of a client's cycle as the house sees them, for faults that come just then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Moment = Literal[
    "asked",  # somebody asks for the charger's observations
    "read",  # the meter and the charger's observations have been answered
    "taken",  # a circuit current has taken effect, the answer is still to be sent
    "pushed",  # the answer to a circuit current has been sent
]
Reading = Literal["meter", "observations"]


class Moments:
    """What is to happen at the next of each moment, once."""

    def __init__(self) -> None:
        self._waiting: dict[Moment, list[Callable[[], None]]] = {}
        self._to_read: set[Reading] = set()

    def at(self, moment: Moment, act: Callable[[], None]) -> None:
        """Call `act` when the moment comes; readings that are over do not count."""
        self._waiting.setdefault(moment, []).append(act)
        self._to_read = {"meter", "observations"}

    def forget(self) -> None:
        """Let nothing happen any more."""
        self._waiting.clear()

    def reached(self, moment: Moment) -> bool:
        """The moment has come. Returns whether anything was waiting for it."""
        acts = self._waiting.pop(moment, [])
        for act in acts:
            act()
        return bool(acts)

    def was_read(self, reading: Reading) -> None:
        """A client has its answer; with both answers it has read the house."""
        self._to_read.discard(reading)
        if not self._to_read:
            self.reached("read")
