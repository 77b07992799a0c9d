"""Beginning, following and obeying limits of the car's power."""

from __future__ import annotations

from datetime import datetime

from easee_load_balancer.control.dimming import Dimming
from easee_load_balancer.history.requests import Requests
from easee_load_balancer.history.store import History
from easee_load_balancer.history.tables import DimmingRow
from easee_load_balancer.measurements import ChargerState
from tasks.history import use_history
from tasks.requests import follow, obey
from tasks.step import step


@step(name="find limit", tags=["history"], timeout_seconds=15)
async def find_dimming(run_id: str) -> DimmingRow | None:
    """The limit that this run began before its worker ended."""
    return await use_history(lambda history: history.dimmings.of_run(run_id))


@step(name="begin limit", task_run_name="begin {asked}", tags=["history"], timeout_seconds=15)
async def begin_dimming(site: str, run_id: str, asked: Dimming) -> DimmingRow:
    """Store the limit for the next cycle; it ends the one under way."""
    return await use_history(lambda history: history.dimmings.begin(site, run_id, asked))


@step(name="follow limit", task_run_name="follow {begun.request}")
async def follow_dimming(begun: DimmingRow) -> DimmingRow:
    """Show the progress in the run's name until the limit has ended; cycles do the work."""
    return await follow(begun, _dimmings)


@step(name="obey limit", task_run_name="obey {row.request}", timeout_seconds=12)
async def obey_dimming(row: DimmingRow, now: datetime, charger: ChargerState) -> None:
    """Count what the car has got, or end the limit."""
    await obey(row, _dimmings, now, charger)


def _dimmings(history: History) -> Requests[DimmingRow]:
    return history.dimmings
