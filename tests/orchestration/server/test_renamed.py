"""Deployments of an earlier version under their present names, and names of scheduled runs."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import yaml
from prefect.server import models
from prefect.server.database import PrefectDBInterface, provide_database_interface
from prefect.server.database.dependencies import temporary_database_interface
from prefect.server.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.server.schemas.states import StateType
from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL, temporary_settings

from easee_load_balancer.orchestration.server.renamed import RENAMED, rename_deployments
from easee_load_balancer.orchestration.server.run_names import name_scheduled_runs
from easee_load_balancer.orchestration.server.time_zone import create_missing
from easee_load_balancer.orchestration.time_zone_variable import TIME_ZONE
from tests.support.paths import PROJECT
from tests.support.prefect_servers import prepared


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[PrefectDBInterface]:
    """The database of a server that has not started yet."""
    url = f"sqlite+aiosqlite:///{prepared(tmp_path) / 'prefect' / 'prefect.db'}"
    settings = {PREFECT_SERVER_DATABASE_CONNECTION_URL: url}
    with temporary_settings(settings), temporary_database_interface():
        database = provide_database_interface()
        yield database
        await (await database.engine()).dispose()


async def a_deployment(database: PrefectDBInterface, flow: str, name: str, schedule: Any) -> UUID:
    """A deployment with a schedule, and a run that waits."""
    async with database.session_context(begin_transaction=True) as session:
        flow_id = await session.scalar(sa.select(database.Flow.id).filter_by(name=flow))
        if flow_id is None:
            session.add(added := database.Flow(name=flow))
            await session.flush()
            flow_id = added.id
        session.add(deployment := database.Deployment(flow_id=flow_id, name=name))
        await session.flush()
        session.add(
            database.DeploymentSchedule(
                deployment_id=deployment.id, schedule=schedule, active=True, slug="cycle"
            )
        )
        session.add(
            database.FlowRun(
                flow_id=flow_id,
                deployment_id=deployment.id,
                name=f"{name}'s",
                state_type=StateType.SCHEDULED,
                state_name="Scheduled",
            )
        )
    id: UUID = deployment.id
    return id


EVERY = IntervalSchedule(
    interval=timedelta(seconds=30),
    anchor_date=datetime(2026, 1, 1, tzinfo=UTC),
    timezone="Europe/Stockholm",
)


async def test_deployments_keep_their_runs_under_their_present_names(
    database: PrefectDBInterface,
) -> None:
    cycles = await a_deployment(database, "balance", "home", EVERY)
    cabin = await a_deployment(database, "balance", "cabin", EVERY)
    await a_deployment(database, "boost", "home", EVERY)
    boost = await a_deployment(database, "boost", "Boost", EVERY)
    await rename_deployments()
    await rename_deployments()
    async with database.session_context() as session:
        found = await session.execute(sa.select(database.Deployment.id, database.Deployment.name))
        runs = await session.scalars(sa.select(database.FlowRun.name))
        schedules = await session.scalars(sa.select(database.DeploymentSchedule.deployment_id))
    assert dict(tuple(row) for row in found) == {cycles: "Balance", cabin: "cabin", boost: "Boost"}
    assert sorted(runs) == ["Boost's", "cabin's", "home's"]
    assert set(schedules) == {cycles, cabin, boost}


async def test_a_scheduled_run_says_what_it_is_and_when(
    database: PrefectDBInterface, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployments: Any = models.deployments
    generate = deployments._generate_scheduled_flow_runs
    monkeypatch.setattr(deployments, "_generate_scheduled_flow_runs", generate)  # restored later
    name_scheduled_runs()
    cycles = await a_deployment(database, "balance", "Balance", EVERY)
    night = CronSchedule(cron="7 0 * * *", timezone="Europe/Stockholm")
    summary = await a_deployment(database, "daily_summary", "Daily summary", night)
    soon = datetime.now(UTC) + timedelta(seconds=45)
    async with database.session_context(begin_transaction=True) as session:
        for deployment, end in ((cycles, soon), (summary, soon + timedelta(days=1))):
            await deployments.schedule_runs(session, deployment, end_time=end, min_runs=1)
        names = list(await session.scalars(sa.select(database.FlowRun.name)))
    assert "Daily summary at 00:07:00" in names
    assert any(re.fullmatch(r"Balance at \d\d:\d\d:(00|30)", name) for name in names)


@pytest.mark.parametrize("deployed", [True, False])
async def test_an_owner_keeps_the_time_zone_of_an_earlier_version(
    database: PrefectDBInterface, deployed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Oslo")
    async with database.session_context(begin_transaction=True) as session:
        await session.execute(sa.delete(database.Variable))
    if deployed:
        cycles = await a_deployment(database, "balance", "home", EVERY)
        async with database.session_context(begin_transaction=True) as session:
            ours = await session.get_one(database.Deployment, cycles)
            ours.parameters = {"site": "home", "time_zone": "Europe/Paris"}
    for _ in range(2):
        async with database.session_context(begin_transaction=True) as session:
            await create_missing(session)
    async with database.session_context() as session:
        found = await session.execute(sa.select(database.Variable.name, database.Variable.value))
    zone = "Europe/Paris" if deployed else "Europe/Oslo"
    assert dict(tuple(row) for row in found) == {TIME_ZONE: zone}


def test_present_names_are_those_of_the_project() -> None:
    project = yaml.safe_load((PROJECT / "prefect.yaml").read_text())
    names = {one["name"] for one in project["deployments"]}
    assert set(RENAMED.values()) <= names  # deployments that came later have had no other
