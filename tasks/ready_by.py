"""Beginning, following and obeying departures that were asked for."""

from __future__ import annotations

import asyncio
from datetime import datetime

from easee_load_balancer.control.departures import ReadyBy
from easee_load_balancer.history.requests import Requests
from easee_load_balancer.history.store import open_history
from easee_load_balancer.history.tables import ReadyByRow
from easee_load_balancer.measurements import ChargerState
from easee_load_balancer.system.settings import Settings
from tasks.requests import follow, obey
from tasks.step import step


@step(name="find ready by", tags=["history"], timeout_seconds=15)
async def find_ready_by(run_id: str) -> ReadyByRow | None:
    """The departure that this run asked for before its worker ended."""
    return await asyncio.to_thread(lambda: _departures().of_run(run_id))


@step(name="begin ready by", task_run_name="begin {asked}", tags=["history"], timeout_seconds=15)
async def begin_ready_by(site: str, run_id: str, asked: ReadyBy) -> ReadyByRow:
    """Store the departure for the next cycle and plan; it ends the one under way."""
    return await asyncio.to_thread(lambda: _departures().begin(site, run_id, asked))


@step(name="follow ready by", task_run_name="follow {begun.request}")
async def follow_ready_by(begun: ReadyByRow) -> ReadyByRow:
    """Tell in the run's name how far it has come, until the departure; cycles do the work."""
    return await follow(begun, _departures())


@step(name="obey ready by", task_run_name="obey {row.request}", timeout_seconds=12)
async def obey_ready_by(row: ReadyByRow, now: datetime, charger: ChargerState) -> ReadyBy | None:
    """Count what the car has got; None, and stored as ended, once the car may leave."""
    obeyed = await obey(row, _departures(), now, charger)
    return None if obeyed is None else obeyed.request


def _departures() -> Requests[ReadyByRow]:
    return open_history(Settings().database_url).departures
