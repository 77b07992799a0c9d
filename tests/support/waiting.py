"""Waiting for conditions instead of times."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

LONGEST_S = 240.0
"""For a machine under load; Prefect's SQLite database alone can be locked for a minute."""


@asynccontextmanager
async def stalls() -> AsyncIterator[list[float]]:
    """The pauses in which this process could not run, in s."""
    seen = [0.0]

    async def watch() -> None:
        while True:
            began_s = time.monotonic()
            await asyncio.sleep(0.1)
            seen.append(time.monotonic() - began_s - 0.1)

    watching = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        watching.cancel()


async def until(condition: Callable[[], Any], every_s: float = 0.1) -> Any:
    """Wait until a function or coroutine function returns something true; returns that."""
    async with asyncio.timeout(LONGEST_S):
        while True:
            result = condition()
            if inspect.isawaitable(result):
                result = await result
            if result:
                return result
            await asyncio.sleep(every_s)
