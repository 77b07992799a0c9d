"""Tasks of the event loop that outlive the flow run which starts them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from contextvars import Context, copy_context
from typing import Any

_AGAIN_S = 5.0


async def cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended; their results and errors are dropped.

    Once is not always enough: Python 3.11's `asyncio.wait_for`, which the libraries for the push
    stream and for MQTT use, swallows a cancellation that meets the end of what it waits for.
    """
    running = pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_S)
    await asyncio.gather(*running, return_exceptions=True)


class LastingTasks:
    """Starts such tasks as long as something holds it: a worker, not a single run."""

    def __init__(self) -> None:
        self._context: Context | None = None

    @property
    def kept(self) -> bool:
        """Whether tasks outlive a cycle in this process."""
        return self._context is not None

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Let tasks go on until the block is left, which cancels them."""
        self._context = copy_context()
        try:
            yield
        finally:
            self._context, tasks = None, list(self._take_all())
            await cancel(tasks)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task outside of the context of the present flow run."""
        return asyncio.get_running_loop().create_task(work, context=self._context)

    def _take_all(self) -> Iterable[asyncio.Task[None]]:
        """The tasks that were started, which are forgotten here."""
        raise NotImplementedError
