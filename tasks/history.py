"""Remembering cycles."""

from __future__ import annotations

import asyncio

from easee_load_balancer.blocks import EaseeCharger
from easee_load_balancer.history import Cycle, History, open_history
from easee_load_balancer.links import LINKS
from easee_load_balancer.settings import Settings
from tasks.step import step


@step(name="load last cycle", task_run_name="load last cycle", timeout_seconds=15)
async def load_last_cycle(site: str) -> Cycle | None:
    """The newest cycle in the history."""
    return await asyncio.to_thread(lambda: _history().last_cycle(site))


@step(name="record cycle", task_run_name="record cycle", timeout_seconds=15)
async def record_cycle(cycle: Cycle, charger: EaseeCharger) -> None:
    """Store the cycle and how often its cloud was called; storing it again replaces it."""
    cloud = await LINKS.easee(charger.credentials, Settings().folder)
    calls = cloud.calls.copy()
    await asyncio.to_thread(lambda: _history().record(cycle, calls))
    cloud.calls -= calls


def _history() -> History:
    return open_history(Settings().database_url)
