"""Requests that are given up at every moment of their start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

_STEPS = 30
"""Of the event loop: in one of them, a request gets its connection."""


async def give_up(request: Callable[[], Coroutine[Any, Any, object]], at_once: int) -> None:
    """Begin this many requests at once; cancel them after no step, then after one, and so on."""
    for steps in range(_STEPS):
        requests = [asyncio.create_task(request()) for _ in range(at_once)]
        for _ in range(steps):
            await asyncio.sleep(0)
        for one in requests:
            one.cancel()
        await asyncio.gather(*requests, return_exceptions=True)
