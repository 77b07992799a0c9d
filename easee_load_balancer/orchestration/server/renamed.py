"""Deployments that an earlier version named otherwise: taken over under their present names.

They keep their runs, a paused schedule and a boost that is under way. Deployed beside them, the new
ones would double every schedule.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from prefect.server.database import provide_database_interface
from prefect.server.models.deployments import delete_deployment
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.types import ASGIApp, Receive, Scope, Send

RENAMED = {
    "balance/home": "Balance",
    "daily_summary/home": "Daily summary",
    "boost/home": "Boost",
    "backtest/home": "Backtest",
    "discover/home": "List chargers",
    "housekeeping/server": "Housekeeping",
}
"""Present names by flow and earlier name."""


class WithRenamedDeployments:
    """An ASGI application that renames old deployments before the server's starts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; before the start, rename."""
        if scope["type"] == "lifespan":
            await rename_deployments()
        await self._app(scope, receive, send)


async def rename_deployments() -> None:
    """Give deployments their present names; one that has been deployed under both is deleted.

    Uses the database of Prefect's settings; does nothing if that is new.
    """
    database = provide_database_interface()
    engine = await database.engine()
    async with engine.begin() as connection:
        name = database.Deployment.__tablename__
        if not await connection.run_sync(lambda sync: sa.inspect(sync).has_table(name)):
            return
    async with database.session_context(begin_transaction=True) as session:
        for earlier, present in RENAMED.items():
            flow, _, name = earlier.partition("/")
            await _rename(session, flow, name, present)


async def _rename(session: AsyncSession, flow: str, earlier: str, present: str) -> None:
    database = provide_database_interface()
    deployments, flows = database.Deployment, database.Flow
    delete: Any = delete_deployment  # its decorator hides its type
    of_flow = sa.select(deployments).join(flows, flows.id == deployments.flow_id)
    found = await session.scalars(
        of_flow.where(flows.name == flow, deployments.name.in_((earlier, present)))
    )
    named = {one.name: one for one in found.unique()}
    if earlier in named and present in named:
        await delete(session=session, deployment_id=named[earlier].id)
    elif earlier in named:
        named[earlier].name = present
