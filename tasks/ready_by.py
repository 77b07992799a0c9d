"""Beginning, following and obeying departures that were asked for."""

from __future__ import annotations

from datetime import datetime

from easee_load_balancer.control.departures import ReadyBy
from easee_load_balancer.history.requests import Requests
from easee_load_balancer.history.store import History
from easee_load_balancer.history.tables import ReadyByRow
from easee_load_balancer.measurements import ChargerState
from tasks.history import use_history
from tasks.requests import follow, obey
from tasks.step import step


@step(name="find ready by", tags=["history"], timeout_seconds=15)
async def find_ready_by(run_id: str) -> ReadyByRow | None:
    """The departure that this run asked for before its worker ended."""
    return await use_history(lambda history: history.departures.of_run(run_id))


@step(name="begin ready by", task_run_name="begin {asked}", tags=["history"], timeout_seconds=15)
async def begin_ready_by(site: str, run_id: str, asked: ReadyBy) -> ReadyByRow:
    """Store the departure for the next cycle and plan; it ends the one under way."""
    return await use_history(lambda history: history.departures.begin(site, run_id, asked))


@step(name="follow ready by", task_run_name="follow {begun.request}")
async def follow_ready_by(begun: ReadyByRow) -> ReadyByRow:
    """Show the progress in the run's name until the departure; cycles do the work."""
    return await follow(begun, _departures)


@step(name="obey ready by", task_run_name="obey {row.request}", timeout_seconds=12)
async def obey_ready_by(row: ReadyByRow, now: datetime, charger: ChargerState) -> None:
    """Count what the car has got, or end the request once the car may leave."""
    await obey(row, _departures, now, charger)


def _departures(history: History) -> Requests[ReadyByRow]:
    return history.departures
