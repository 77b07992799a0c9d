"""Cycles waiting to be stored: none is lost while the database is unavailable or replaced."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from functools import cache
from threading import Lock

from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history.store import History, open_history
from easee_load_balancer.history.tables import Cycle

_MAX_WAITING = 6000
"""Two days, at a cycle every 30 s."""
_REMEMBERED = 2880
"""One day: a history restored from last night's backup gets today's cycles again."""


class WriteBuffer:
    """The cycles of this process, kept in memory until the history has stored them.

    Stored cycles are remembered for a day and stored again if the history has lost the newest one:
    somebody has deleted it or restored a backup. Cycles that are not stored yet are lost when the
    process ends.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: deque[Cycle] = deque(maxlen=_MAX_WAITING)
        self._stored: deque[Cycle] = deque(maxlen=_REMEMBERED)
        self._newest: dict[str, Cycle] = {}
        self._lock = Lock()

    def last_cycle(self, site: str, *, shared: bool = False) -> Cycle | None:
        """The cycle of the site that ran last. Raises HistoryError if the history fails.

        `shared`: other workers run its cycles too, so that only the history knows.
        """
        if shared:
            self.record()
            return open_history(self._url).last_cycle(site)
        known = self._newest.get(site)
        if known is not None and known in self._waiting:
            return known
        history = open_history(self._url)
        if known is not None and not history.has(known):
            return known
        return history.last_cycle(site)

    def last_known(self, site: str) -> Cycle | None:
        """The last cycle that this process recorded."""
        return self._newest.get(site)

    def record(self, *cycles: Cycle, calls: Mapping[str, int] | None = None) -> None:
        """Store the cycles, the waiting ones, and the number of calls to the cloud.

        On HistoryError the cycles wait for the next attempt, and no calls are stored.
        """
        for cycle in cycles:
            before, self._newest[cycle.site] = self._newest.get(cycle.site), cycle
            if before is not None and cycle.outdates_state_of(before.scheduled_at):
                before.controller_state = {}
            self._waiting.append(cycle)
        with self._lock:  # a cycle that timed out may still be writing
            waiting = list(self._waiting)  # another site's cycle may have stored ours already
            if not waiting and not calls:
                return
            try:
                history = open_history(self._url)
                lost = [] if self._keeps(history) else list(self._stored)
                late = [*lost, *(one for one in waiting if one not in cycles)]
                history.record(*cycles, late=late, calls=calls)
            except HistoryError as error:
                raise HistoryError(f"{error} Cycles kept in memory: {len(waiting)}.") from error
            self._stored.extend(waiting)
            for one in waiting:
                if self._waiting and self._waiting[0] is one:
                    self._waiting.popleft()

    def _keeps(self, history: History) -> bool:
        """Whether the history still has the newest cycle that was stored in it."""
        return not self._stored or history.has(self._stored[-1])


@cache
def open_write_buffer(url: str) -> WriteBuffer:
    """This process's write buffer for the history at that URL."""
    return WriteBuffer(url)
