"""Remembering cycles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from easee_load_balancer.devices.connections import CONNECTIONS
from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history.boosts import BoostRow
from easee_load_balancer.history.store import Cycle, open_history
from easee_load_balancer.history.write_buffer import WriteBuffer, open_write_buffer
from easee_load_balancer.orchestration.blocks import EaseeCharger
from easee_load_balancer.system.settings import Settings
from tasks.step import step

_LONGEST_S = 7.0
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Past:
    """What a cycle finds in the history."""

    last: Cycle | None
    """The cycle that ran last."""
    boost: BoostRow | None
    """The boost under way."""


@step(name="load past", task_run_name="load past", timeout_seconds=8)
async def load_past(site: str) -> Past:
    """The cycle that ran last, and the boost under way."""
    return await in_time(lambda: Past(_write_buffer().last_cycle(site), _boost(site)))


def known_past(site: str) -> Past:
    """What this process knows by itself, for when the history cannot be asked: no boost."""
    return Past(_write_buffer().last_known(site), None)


@step(name="record cycle", task_run_name="record cycle", timeout_seconds=8)
async def record_cycle(cycle: Cycle, charger: EaseeCharger) -> None:
    """Store the cycle and how often its cloud was called; storing it again replaces it.

    What fails is stored by the next cycle.
    """
    cloud = await CONNECTIONS.easee(charger.credentials, Settings().folder)
    calls = cloud.calls.copy()
    await in_time(lambda: _write_buffer().record(cycle, calls))
    cloud.calls -= calls


async def in_time(use: Callable[[], _T]) -> _T:
    """Use the history in a thread, which goes on alone when it takes too long.

    Raises HistoryError.
    """
    try:
        async with asyncio.timeout(_LONGEST_S):
            return await asyncio.to_thread(use)
    except TimeoutError:
        raise HistoryError(
            f"The history did not answer within {_LONGEST_S:.0f} s. Is its disk or server busy?"
        ) from None


def _boost(site: str) -> BoostRow | None:
    return open_history(Settings().database_url).boosts.under_way(site)


def _write_buffer() -> WriteBuffer:
    return open_write_buffer(Settings().database_url)
