"""The links of this process to MQTT brokers, as long as something keeps them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import Context, copy_context

from easee_load_balancer.integrations.link import Home, Link, logger
from easee_load_balancer.integrations.snapshot import Snapshot


class Links:
    """Links by site; each is a task of the event loop that keeps them."""

    def __init__(self) -> None:
        self._context: Context | None = None
        self._links: dict[str, tuple[Link, asyncio.Task[None]]] = {}

    @property
    def kept(self) -> bool:
        """Whether links outlive a cycle in this process."""
        return self._context is not None

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Keep links until the block is left."""
        self._context = copy_context()
        try:
            yield
        finally:
            self._context = None
            tasks = [task for _, task in self._links.values()]
            self._links.clear()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def hand_over(self, snapshot: Snapshot, home: Callable[[], Home]) -> None:
        """Give the cycle to the site's link; returns at once."""
        known = self._links.get(snapshot.site)
        if known is None or known[1].done():
            link = Link(home())
            # not in the context of this flow run, which the link outlives
            task = asyncio.get_running_loop().create_task(link.run(), context=self._context)
            task.add_done_callback(_report)
            known = self._links[snapshot.site] = (link, task)
        known[0].hand_over(snapshot)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("The link to MQTT failed and starts again: %r", error, exc_info=error)


LINKS = Links()
"""Those of this process."""
