"""The owner's time zone, in a Prefect variable: there before anything is deployed.

prefect.yaml takes it from there, so that nobody has to change a file of the project.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from prefect.server.database import provide_database_interface
from prefect.server.models import variables
from prefect.server.schemas.actions import VariableCreate
from sqlalchemy.ext.asyncio import AsyncSession

from easee_load_balancer.orchestration.time_zone_variable import TIME_ZONE
from easee_load_balancer.system.time_zone import system_time_zone


async def create_missing(session: AsyncSession) -> None:
    """Create the variable unless it is there: as deployed earlier, else this machine's zone."""
    model: Any = variables  # its decorators hide its types
    if await model.read_variable_by_name(session, TIME_ZONE) is None:
        zone = await _deployed(session) or system_time_zone()
        await model.create_variable(session, VariableCreate(name=TIME_ZONE, value=zone))


async def _deployed(session: AsyncSession) -> str | None:
    database = provide_database_interface()
    cycles = (
        sa.select(database.Deployment.parameters)
        .join(database.Flow, database.Flow.id == database.Deployment.flow_id)
        .where(database.Flow.name == "balance")
        .order_by(database.Deployment.created)
        .limit(1)
    )
    parameters: dict[str, Any] = await session.scalar(cycles) or {}
    return parameters.get("time_zone")
