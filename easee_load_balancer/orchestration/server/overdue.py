"""Cycles that became due while the server was stopped: deleted before its services meet them.

Prefect marks each overdue run late and hands it to the worker, which supersedes all but the newest;
after a pause of minutes, that keeps SQLite locked longer than the start itself takes.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from prefect.server.database import provide_database_interface
from prefect.server.schemas.states import StateType
from sqlalchemy.dialects import postgresql
from starlette.types import ASGIApp, Receive, Scope, Send

from easee_load_balancer.orchestration.worker.run_states import CYCLE_TAG


class WithoutOverdueCycles:
    """An ASGI application that deletes overdue cycles before the server's starts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; before the start, delete."""
        if scope["type"] == "lifespan":
            await delete_overdue_cycles(datetime.now(UTC))
        await self._app(scope, receive, send)


async def delete_overdue_cycles(now: datetime) -> None:
    """Delete the scheduled cycles that were due before `now`, with their states, in one statement.

    Uses the database of Prefect's settings; does nothing if that is new.
    """
    runs = provide_database_interface().FlowRun
    cycle = sa.cast(postgresql.array([CYCLE_TAG]), postgresql.ARRAY(sa.String()))
    overdue = sa.delete(runs).where(
        runs.state_type == StateType.SCHEDULED,
        runs.auto_scheduled == sa.true(),
        runs.next_scheduled_start_time < now,
        runs.tags.has_all(cycle),
    )
    engine = await provide_database_interface().engine()
    async with engine.begin() as connection:
        if await connection.run_sync(lambda sync: sa.inspect(sync).has_table(runs.__tablename__)):
            await connection.execute(overdue)
