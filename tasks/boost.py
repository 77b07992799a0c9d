"""Beginning, following and obeying boosts."""

from __future__ import annotations

from datetime import datetime

from easee_load_balancer.control.boost import Boost
from easee_load_balancer.history.requests import Requests
from easee_load_balancer.history.store import History
from easee_load_balancer.history.tables import BoostRow
from easee_load_balancer.measurements import ChargerState
from tasks.failures import Failures
from tasks.history import StoredState, use_history
from tasks.requests import follow, obey, present
from tasks.step import step


@step(name="find boost", tags=["history"], timeout_seconds=15)
async def find_boost(run_id: str) -> BoostRow | None:
    """The boost that this run began before its worker ended."""
    return await use_history(lambda history: history.boosts.of_run(run_id))


@step(name="begin boost", task_run_name="begin {boost}", tags=["history"], timeout_seconds=15)
async def begin_boost(site: str, run_id: str, boost: Boost) -> BoostRow:
    """Store the boost for the next cycle; it ends the one under way."""
    return await use_history(lambda history: history.boosts.begin(site, run_id, boost))


@step(name="follow boost", task_run_name="follow {begun.request}")
async def follow_boost(begun: BoostRow) -> BoostRow:
    """Show the progress in the run's name until the boost has ended; cycles do the work."""
    return await follow(begun, _boosts)


@step(name="obey boost", task_run_name="obey {row.request}", timeout_seconds=12)
async def obey_boost(row: BoostRow, now: datetime, charger: ChargerState) -> None:
    """Count what the car has got, or end the boost."""
    await obey(row, _boosts, now, charger)


async def present_boost(
    past: StoredState, now: datetime, charger: ChargerState, failures: Failures
) -> Boost | None:
    """The boost that counts for this cycle."""
    row = await present(past.boost, lambda row: obey_boost(row, now, charger), failures)
    return None if row is None else row.request


def _boosts(history: History) -> Requests[BoostRow]:
    return history.boosts
