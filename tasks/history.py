"""Remembering cycles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from easee_load_balancer.blocks import EaseeCharger
from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history import Cycle
from easee_load_balancer.journal import Journal, open_journal
from easee_load_balancer.links import LINKS
from easee_load_balancer.settings import Settings
from tasks.step import step

_LONGEST_S = 7.0
_T = TypeVar("_T")


@step(name="load last cycle", task_run_name="load last cycle", timeout_seconds=8)
async def load_last_cycle(site: str) -> Cycle | None:
    """The cycle that ran last."""
    return await _in_time(lambda: _journal().last_cycle(site))


def last_known_cycle(site: str) -> Cycle | None:
    """The cycle that this process ran last, for when the history cannot be asked."""
    return _journal().last_known(site)


@step(name="record cycle", task_run_name="record cycle", timeout_seconds=8)
async def record_cycle(cycle: Cycle, charger: EaseeCharger) -> None:
    """Store the cycle and how often its cloud was called; storing it again replaces it.

    What fails is stored by the next cycle.
    """
    cloud = await LINKS.easee(charger.credentials, Settings().folder)
    calls = cloud.calls.copy()
    await _in_time(lambda: _journal().record(cycle, calls))
    cloud.calls -= calls


async def _in_time(use: Callable[[], _T]) -> _T:
    """Use the history in a thread, which goes on alone when it takes too long."""
    try:
        async with asyncio.timeout(_LONGEST_S):
            return await asyncio.to_thread(use)
    except TimeoutError:
        raise HistoryError(
            f"The history did not answer within {_LONGEST_S:.0f} s. Is its disk or server busy?"
        ) from None


def _journal() -> Journal:
    return open_journal(Settings().database_url)
