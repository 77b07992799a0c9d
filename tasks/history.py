"""Remembering cycles."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from easee_load_balancer.blocks import EaseeCharger
from easee_load_balancer.boost_history import BoostRow
from easee_load_balancer.history import Cycle, History, open_history
from easee_load_balancer.links import LINKS
from easee_load_balancer.settings import Settings
from tasks.step import step


@dataclass(frozen=True, slots=True)
class Past:
    """What a cycle finds in the history."""

    last: Cycle | None
    """The newest cycle."""
    boost: BoostRow | None
    """The boost under way."""


@step(name="load past", task_run_name="load past", tags=["history"], timeout_seconds=15)
async def load_past(site: str) -> Past:
    """The newest cycle and the boost under way."""
    return await asyncio.to_thread(
        lambda: Past(_history().last_cycle(site), _history().boosts.under_way(site))
    )


@step(name="record cycle", task_run_name="record cycle", tags=["history"], timeout_seconds=15)
async def record_cycle(cycle: Cycle, charger: EaseeCharger) -> None:
    """Store the cycle and how often its cloud was called; storing it again replaces it."""
    cloud = await LINKS.easee(charger.credentials, Settings().folder)
    calls = cloud.calls.copy()
    await asyncio.to_thread(lambda: _history().record(cycle, calls))
    cloud.calls -= calls


def _history() -> History:
    return open_history(Settings().database_url)
