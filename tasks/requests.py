"""Following and obeying what a flow run has asked for, until it is over or cancelled."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound

from easee_load_balancer.control.boost import Boost
from easee_load_balancer.control.departures import ReadyBy
from easee_load_balancer.control.dimming import Dimming
from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history.requests import CANCELLED, Requests, Row
from easee_load_balancer.measurements import ChargerState
from easee_load_balancer.orchestration.worker.offline import offline_due
from tasks.history import in_time
from tasks.run import Run, cancelled, completed, name_run

_Request = TypeVar("_Request", Boost, ReadyBy, Dimming)
_LOOK_EVERY_S = 5.0
_NO_SERVER = (httpx.HTTPError, RuntimeError)
"""What the client raises when the server is away; RuntimeError while it connects."""
_SERVER_S = 3.0
"""How long a cycle waits for the server's word on whether a run was cancelled."""


async def follow(begun: Row, table: Requests[Row]) -> Row:
    """Tell in the run's name how far it has come, until it has ended; cycles do the work."""
    name = ""
    while True:
        try:
            row = await asyncio.to_thread(_look, begun, table)
        except HistoryError as error:  # locked for a moment, or being moved: it goes on
            Run.current().log(str(error))
        else:
            if row.ended_at is not None:
                return row
            if (progress := row.request.progress(datetime.now(UTC))) != name:
                with suppress(*_NO_SERVER):
                    await name_run(progress)
                    name = progress
        await asyncio.sleep(_LOOK_EVERY_S)


async def obey(row: Row, table: Requests[Row], now: datetime, charger: ChargerState) -> Row | None:
    """Count what the car has got; None, and stored as ended, once the request is over."""
    request = row.request.after(now, charger)
    why = CANCELLED if await _cancelled(row.run_id) else request.ended(now)
    if why is not None:
        await in_time(lambda: table.end(row.run_id, request, now, why))
        return None
    await in_time(lambda: table.record(row.run_id, request))
    row.state = request.model_dump(mode="json")
    return row


def unless_ended(request: _Request, now: datetime) -> _Request | None:
    """What holds of a request where the history does not say whether somebody has ended it."""
    return None if request.ended(now) else request


async def final_state(row: Row, message: str) -> State[Any]:
    """How the run of an ended request ends; the message says what came of it, and why."""
    if row.ended_by == row.superseded:
        return await cancelled(message, name="Superseded")
    if row.ended_by == CANCELLED:
        return await cancelled(message)
    return await completed(message, row.request)


def _look(begun: Row, table: Requests[Row]) -> Row:
    """The request now; it ends in time even where no cycle runs."""
    row = table.of_run(begun.run_id)
    if row is None:
        raise HistoryError(
            f"The {begun.what} is not in the history any more: cancel it, or begin another."
        )
    now = datetime.now(UTC)
    if row.ended_at is None and (why := row.request.ended(now)):
        table.end(row.run_id, row.request, now, why)
        row = table.of_run(begun.run_id) or row
    return row


async def _cancelled(run_id: str) -> bool:
    """Whether somebody has cancelled or deleted the run; not known without the server."""
    if offline_due() is not None:
        return False
    try:
        flow_run_id = UUID(run_id)
    except ValueError:  # it came by MQTT
        return False
    try:
        async with asyncio.timeout(_SERVER_S), get_client() as client:
            state = (await client.read_flow_run(flow_run_id)).state
    except ObjectNotFound:
        return True
    except (*_NO_SERVER, TimeoutError):
        return False
    return state is not None and (state.is_cancelling() or state.is_cancelled())
