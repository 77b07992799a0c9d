"""Beginning, following and obeying boosts."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import httpx
from prefect import get_client
from prefect.exceptions import ObjectNotFound

from easee_load_balancer.control.boost import Boost
from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history.boosts import CANCELLED, Boosts
from easee_load_balancer.history.store import open_history
from easee_load_balancer.history.tables import BoostRow
from easee_load_balancer.measurements import ChargerState
from easee_load_balancer.orchestration.worker.offline import offline_due
from easee_load_balancer.system.settings import Settings
from tasks.history import in_time
from tasks.run import Run, name_run
from tasks.step import step

_LOOK_EVERY_S = 5.0
_NO_SERVER = (httpx.HTTPError, RuntimeError)
"""What the client raises when the server is away; RuntimeError while it connects."""
_SERVER_S = 3.0
"""How long a cycle waits for the server's word on whether a boost was cancelled."""


@step(name="find boost", tags=["history"], timeout_seconds=15)
async def find_boost(run_id: str) -> BoostRow | None:
    """The boost that this run began before its worker ended."""
    return await asyncio.to_thread(lambda: _boosts().of_run(run_id))


@step(name="begin boost", task_run_name="begin {boost}", tags=["history"], timeout_seconds=15)
async def begin_boost(site: str, run_id: str, boost: Boost) -> BoostRow:
    """Store the boost for the next cycle; it ends the one under way."""
    return await asyncio.to_thread(lambda: _boosts().begin(site, run_id, boost))


@step(name="follow boost", task_run_name="follow {begun.boost}")
async def follow_boost(begun: BoostRow) -> BoostRow:
    """Tell in the run's name how far it has come, until it has ended; cycles do the work."""
    name = ""
    while True:
        try:
            row = await asyncio.to_thread(_look, begun)
        except HistoryError as error:  # locked for a moment, or being moved: the boost goes on
            Run.current().log(str(error))
        else:
            if row.ended_at is not None:
                return row
            if (progress := row.boost.progress(datetime.now(UTC))) != name:
                with suppress(*_NO_SERVER):
                    await name_run(progress)
                    name = progress
        await asyncio.sleep(_LOOK_EVERY_S)


@step(name="obey boost", task_run_name="obey {row.boost}", timeout_seconds=12)
async def obey_boost(row: BoostRow, now: datetime, charger: ChargerState) -> Boost | None:
    """Count what the car has got; None, and stored as ended, once the boost is over."""
    boost = row.boost.after(now, charger)
    why = CANCELLED if await _cancelled(row.run_id) else boost.ended(now)
    if why is None:
        await in_time(lambda: _boosts().record(row.run_id, boost))
        return boost
    await in_time(lambda: _boosts().end(row.run_id, boost, now, why))
    return None


def _look(begun: BoostRow) -> BoostRow:
    """The boost now; it ends in time even where no cycle runs."""
    row = _boosts().of_run(begun.run_id)
    if row is None:
        raise HistoryError("The boost is not in the history any more: cancel it, or begin another.")
    now = datetime.now(UTC)
    if row.ended_at is None and (why := row.boost.ended(now)):
        _boosts().end(row.run_id, row.boost, now, why)
        row = _boosts().of_run(begun.run_id) or row
    return row


async def _cancelled(run_id: str) -> bool:
    """Whether somebody has cancelled or deleted the boost's run; not known without the server."""
    if offline_due() is not None:
        return False
    try:
        async with asyncio.timeout(_SERVER_S), get_client() as client:
            state = (await client.read_flow_run(UUID(run_id))).state
    except ObjectNotFound:
        return True
    except (*_NO_SERVER, TimeoutError):
        return False
    return state is not None and (state.is_cancelling() or state.is_cancelled())


def _boosts() -> Boosts:
    return open_history(Settings().database_url).boosts
