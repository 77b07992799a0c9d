"""Following and obeying what a flow run has asked for, until it is over or cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
from prefect import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound

from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history.requests import CANCELLED, Requests, Row
from easee_load_balancer.history.store import History
from easee_load_balancer.measurements import ChargerState
from easee_load_balancer.orchestration.worker.offline import offline_due
from tasks.failures import Failures
from tasks.history import in_time, use_history
from tasks.run import Run, cancelled, completed, name_run

Table = Callable[[History], Requests[Row]]
"""Finds the table of such requests in the history."""
_LOOK_EVERY_S = 5.0
_NO_SERVER = (httpx.HTTPError, RuntimeError)
"""What the client raises when the server is away; RuntimeError while it connects."""
_SERVER_S = 3.0
"""How long a cycle waits for the server's word on whether a run was cancelled."""


async def follow(begun: Row, table: Table[Row]) -> Row:
    """Show the progress in the run's name until the request has ended; cycles do the work."""
    name = trouble = ""
    while True:
        try:
            row = await use_history(lambda history: _look(begun, table(history)))
        except HistoryError as error:  # locked for a moment, or being moved: it goes on
            if trouble != str(error):
                trouble = str(error)
                Run.current().log(trouble)
        else:
            trouble = ""
            if row.ended_at is not None:
                return row
            if (progress := row.request.progress(datetime.now(UTC))) != name:
                with suppress(*_NO_SERVER):
                    await name_run(progress)
                    name = progress
        await asyncio.sleep(_LOOK_EVERY_S)


async def obey(row: Row, table: Table[Row], now: datetime, charger: ChargerState) -> None:
    """Count what the car has got, or end the request, in the row and then in the history.

    Raises HistoryError; the row is right nevertheless.
    """
    request = row.request.after(now, charger)
    row.state = request.model_dump(mode="json")
    row.ended_by = why = CANCELLED if await _cancelled(row.run_id) else request.ended(now)
    if why is None:
        await in_time(row.site, lambda history: table(history).record(row.run_id, request))
    else:
        await in_time(row.site, lambda history: table(history).end(row.run_id, request, now, why))


async def present(
    row: Row | None, obeyed: Callable[[Row], Awaitable[None]], failures: Failures
) -> Row | None:
    """The request once the cycle has obeyed it; None if it is over. The history may fail."""
    if row is None or row.ended_by is not None:
        return None
    await failures.or_else(None, obeyed(row))
    return row if row.ended_by is None else None


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
