"""Beginning, following and obeying boosts."""

from __future__ import annotations

import asyncio
from datetime import datetime

from easee_load_balancer.control.boost import Boost
from easee_load_balancer.history.requests import Requests
from easee_load_balancer.history.store import open_history
from easee_load_balancer.history.tables import BoostRow
from easee_load_balancer.measurements import ChargerState
from easee_load_balancer.system.settings import Settings
from tasks.failures import Failures
from tasks.history import StoredState
from tasks.requests import follow, obey, unless_ended
from tasks.step import step


@step(name="find boost", tags=["history"], timeout_seconds=15)
async def find_boost(run_id: str) -> BoostRow | None:
    """The boost that this run began before its worker ended."""
    return await asyncio.to_thread(lambda: _boosts().of_run(run_id))


@step(name="begin boost", task_run_name="begin {boost}", tags=["history"], timeout_seconds=15)
async def begin_boost(site: str, run_id: str, boost: Boost) -> BoostRow:
    """Store the boost for the next cycle; it ends the one under way."""
    return await asyncio.to_thread(lambda: _boosts().begin(site, run_id, boost))


@step(name="follow boost", task_run_name="follow {begun.request}")
async def follow_boost(begun: BoostRow) -> BoostRow:
    """Tell in the run's name how far it has come, until it has ended; cycles do the work."""
    return await follow(begun, _boosts())


@step(name="obey boost", task_run_name="obey {row.request}", timeout_seconds=12)
async def obey_boost(row: BoostRow, now: datetime, charger: ChargerState) -> Boost | None:
    """Count what the car has got; None, and stored as ended, once the boost is over."""
    obeyed = await obey(row, _boosts(), now, charger)
    return None if obeyed is None else obeyed.request


async def present_boost(
    past: StoredState, now: datetime, charger: ChargerState, failures: Failures
) -> Boost | None:
    """The boost that counts for this cycle; as last recorded where the history fails."""
    if past.boost is None:
        return None
    fallback = unless_ended(past.boost.request, now)
    return await failures.or_else(fallback, obey_boost(past.boost, now, charger))


def _boosts() -> Requests[BoostRow]:
    return open_history(Settings().database_url).boosts
