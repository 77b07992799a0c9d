"""The links of this process to MQTT brokers, as long as something keeps them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from easee_load_balancer.integrations.link import Home, Link, logger
from easee_load_balancer.integrations.snapshot import Snapshot
from easee_load_balancer.system.lasting_tasks import LastingTasks


class Links(LastingTasks):
    """Links by site; each is a task of the event loop that keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self._links: dict[str, tuple[Link, asyncio.Task[None]]] = {}

    def hand_over(self, snapshot: Snapshot, home: Callable[[], Home]) -> None:
        """Give the cycle to the site's link; returns at once."""
        known = self._links.get(snapshot.site)
        if known is None or known[1].done():
            link = Link(home())
            task = self._start(link.run())
            task.add_done_callback(_report)
            known = self._links[snapshot.site] = (link, task)
        known[0].hand_over(snapshot)

    def _take_all(self) -> list[asyncio.Task[None]]:
        links = list(self._links.values())
        self._links.clear()
        return [task for _, task in links]


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("The link to MQTT failed and starts again: %r", error, exc_info=error)


LINKS = Links()
"""Those of this process."""
