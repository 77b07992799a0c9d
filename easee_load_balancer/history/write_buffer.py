"""Cycles on their way into the history: none is lost while the database cannot be used."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from functools import cache
from threading import Lock

from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history.store import Cycle, open_history

_MOST_WAITING = 6000
"""Two days, at a cycle every 30 s."""


class WriteBuffer:
    """What this process knows of the cycles of a history, whether that can be used or not.

    A process that ends takes with it what the history has not taken yet.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: deque[Cycle] = deque(maxlen=_MOST_WAITING)
        self._newest: dict[str, Cycle] = {}
        self._lock = Lock()

    def last_cycle(self, site: str) -> Cycle | None:
        """The cycle of the site that ran last. Raises HistoryError when that cannot be known."""
        known = self._newest.get(site)
        if known is not None and known in self._waiting:
            return known
        return open_history(self._url).last_cycle(site)

    def last_known(self, site: str) -> Cycle | None:
        """The last cycle that this process recorded; None if there was none."""
        return self._newest.get(site)

    def record(self, cycle: Cycle, calls: Mapping[str, int] | None = None) -> None:
        """Store the cycle, those still waiting, and the calls to the cloud.

        The cycle waits itself, and the calls do not count, when HistoryError is raised.
        """
        self._newest[cycle.site] = cycle
        self._waiting.append(cycle)
        with self._lock:  # one may still be writing when its cycle has been given up
            cycles = list(self._waiting)
            if not cycles:
                return
            try:
                open_history(self._url).record(*cycles, calls=calls)
            except HistoryError as error:
                raise HistoryError(
                    f"{error} Cycles that are kept until it works again: {len(cycles)}."
                ) from error
            for one in cycles:
                if self._waiting and self._waiting[0] is one:
                    self._waiting.popleft()


@cache
def open_write_buffer(url: str) -> WriteBuffer:
    """This process's journal for the history at that URL."""
    return WriteBuffer(url)
