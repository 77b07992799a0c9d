"""Faults that start at a chosen point of a client's cycle, as the simulated house sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Trigger = Literal[
    "asked",  # a client requests the charger's observations
    "read",  # the meter and the charger's observations have been answered
    "taken",  # a circuit current has taken effect, the answer is not sent yet
    "pushed",  # the answer to a circuit current has been sent
]
Reading = Literal["meter", "observations"]


class FaultTriggers:
    """What to do at the next occurrence of each trigger, once."""

    def __init__(self) -> None:
        self._waiting: dict[Trigger, list[Callable[[], None]]] = {}
        self._to_read: set[Reading] = set()

    def on(self, trigger: Trigger, act: Callable[[], None]) -> None:
        """Call `act` at the trigger; earlier readings do not count."""
        self._waiting.setdefault(trigger, []).append(act)
        self._to_read = {"meter", "observations"}

    def clear(self) -> None:
        """Cancel everything that has not happened yet."""
        self._waiting.clear()

    def fire(self, trigger: Trigger) -> bool:
        """Run what waits for the trigger. Returns whether anything did."""
        acts = self._waiting.pop(trigger, [])
        for act in acts:
            act()
        return bool(acts)

    def note_read(self, reading: Reading) -> None:
        """A client has received an answer; with both, it has read the house."""
        self._to_read.discard(reading)
        if not self._to_read:
            self.fire("read")
