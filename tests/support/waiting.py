"""Waiting for conditions instead of times."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

LONGEST_S = 240.0
"""For a machine under load; Prefect's SQLite database alone can be locked for a minute."""


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
