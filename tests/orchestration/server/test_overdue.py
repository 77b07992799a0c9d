"""A server that starts after a pause: the cycles of that time are gone, and nothing else is."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from prefect import get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.server.database import provide_database_interface
from prefect.server.database.dependencies import temporary_database_interface
from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL, temporary_settings

from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from easee_load_balancer.orchestration.server.overdue import delete_overdue_cycles
from easee_load_balancer.orchestration.worker.run_states import in_states
from tests.support.postgres import Postgres, for_prefect
from tests.support.prefect_servers import a_server
from tests.support.waiting import until
from tests.support.worker import deployed

PAUSED_RUNS = 1500
INTERVAL_S = 30


def insert_overdue(database: Path, deployment: UUID, tags: list[str], count: int) -> None:
    """Scheduled runs of the deployment every 30 s in the past, each with its state."""
    with closing(sqlite3.connect(database)) as connection, connection:
        [flow] = connection.execute(
            "SELECT flow_id FROM deployment WHERE id = ?", [str(deployment)]
        ).fetchone()
        for number in range(count):
            run, state = str(uuid4()), str(uuid4())
            due = f"-{(number + 1) * INTERVAL_S} seconds"
            connection.execute(
                "INSERT INTO flow_run (id, created, updated, name, flow_id, deployment_id, tags,"
                " state_type, state_name, state_id, expected_start_time, next_scheduled_start_time,"
                " auto_scheduled, total_run_time) VALUES (?, datetime('now'), datetime('now'),"
                " 'overdue', ?, ?, ?, 'SCHEDULED', 'Late', ?, datetime('now', ?),"
                " datetime('now', ?), 1, '1970-01-01 00:00:00')",
                [run, flow, str(deployment), json.dumps(tags), state, due, due],
            )
            connection.execute(
                "INSERT INTO flow_run_state (id, created, updated, flow_run_id, type, timestamp,"
                " name) VALUES (?, datetime('now'), datetime('now'), ?, 'SCHEDULED',"
                " datetime('now', ?), 'Late')",
                [state, run, due],
            )


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[PrefectStack]:
    with a_server(tmp_path) as stack:
        yield stack


async def test_overdue_cycles_are_deleted_before_the_services_start(stack: PrefectStack) -> None:
    database = stack.folder / "prefect" / "prefect.db"
    async with get_client() as client:
        cycles = await deployed(client, "home", "cycle", interval_s=INTERVAL_S)
        summary = await deployed(client, "other", "cycle", tags=["home"])
    assert stack.server is not None
    stack.server.end()
    insert_overdue(database, cycles, ["home", "cycle"], PAUSED_RUNS)
    insert_overdue(database, summary, ["home"], 2)
    stack.start_server()

    async def scheduled() -> list[FlowRun]:
        async with get_client() as client:
            return await client.read_flow_runs(flow_run_filter=in_states(StateType.SCHEDULED))

    async def upcoming() -> bool:
        return any(run.deployment_id == cycles for run in await scheduled())

    await until(upcoming)
    overdue = [run.deployment_id for run in await scheduled() if run.name == "overdue"]
    assert overdue == [summary, summary]
    with closing(sqlite3.connect(database)) as connection:
        [late] = connection.execute("SELECT count(*) FROM flow_run_state WHERE name = 'Late'")
    assert late == (2,)
    assert "Traceback" not in stack.server.log.read_text()


async def test_overdue_cycles_are_deleted_on_postgresql_too(postgres: Postgres) -> None:
    url = for_prefect(postgres.empty_database())
    now, minute = datetime.now(UTC), timedelta(minutes=1)
    settings = {PREFECT_SERVER_DATABASE_CONNECTION_URL: url}
    # other tests of this process have used SQLite
    with temporary_settings(settings), temporary_database_interface():
        database = provide_database_interface()
        await delete_overdue_cycles(now)  # nothing is there yet
        await database.create_db()
        async with database.session_context(begin_transaction=True) as session:
            session.add(flow := database.Flow(name="balance"))
            await session.flush()
            for name, tags, due in (
                ("overdue", ["home", "cycle"], now - minute),
                ("overdue summary", ["home"], now - minute),
                ("upcoming", ["home", "cycle"], now + minute),
            ):
                run = database.FlowRun(
                    flow_id=flow.id,
                    name=name,
                    tags=tags,
                    auto_scheduled=True,
                    state_type=StateType.SCHEDULED,
                    next_scheduled_start_time=due,
                )
                session.add(run)
                await session.flush()
                session.add(
                    database.FlowRunState(flow_run_id=run.id, type=StateType.SCHEDULED, name="Late")
                )
        await delete_overdue_cycles(now)
        async with database.session_context() as session:
            names = (await session.execute(sa.select(database.FlowRun.name))).scalars().all()
            states = sa.select(sa.func.count()).select_from(database.FlowRunState)
            assert (await session.execute(states)).scalar_one() == len(names)
        assert sorted(names) == ["overdue summary", "upcoming"]
        await (await database.engine()).dispose()
