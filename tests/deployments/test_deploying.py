"""Commands that a person types in the project's folder."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from datetime import UTC, timedelta

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.types._datetime import DateTime
from prefect.variables import Variable

from easee_load_balancer.orchestration.prefect_stack import POOL, PrefectStack
from easee_load_balancer.orchestration.time_zone_variable import TIME_ZONE
from tests.support.paths import PROJECT

DEPLOY_S = 240


def cycles(client: SyncPrefectClient) -> DeploymentResponse:
    return client.read_deployment_by_name("balance/Balance")


def test_deploying_in_a_terminal_asks_nothing(stack: PrefectStack) -> None:
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="in-process"), overwrite=True)
    own, terminal = pty.openpty()
    env = {name: value for name, value in stack.env.items() if name != "PREFECT_CLI_PROMPT"}
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "prefect", "deploy", "--all"],
            cwd=PROJECT,
            env=env,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
        ) as deploy:
            os.close(terminal)
            said = b""
            while part := _read(own):
                said += part
            assert deploy.wait(DEPLOY_S) == 0, said.decode()
    finally:
        os.close(own)
    assert b"?" not in said
    with get_client(sync_client=True) as client:
        assert [one.slug for one in cycles(client).schedules] == ["cycle"]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 10_000)
    except OSError:  # the other side is closed
        return b""


def test_deploying_keeps_interval_and_pause_and_deletes_a_schedule_that_has_a_new_name(
    stack: PrefectStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(stack.env, "PWD", raising=False)  # as in a service or a container
    every = IntervalSchedule(interval=timedelta(seconds=10))
    old = DeploymentScheduleCreate(schedule=every, slug="every-30-s", active=False)
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow_from_name("balance")
        client.create_deployment(flow_id, name="Balance", schedules=[old])
        stack.deploy()
        [step] = cycles(client).pull_steps or []
        [schedule] = cycles(client).schedules
        assert schedule.slug == "cycle"
        assert not schedule.active
        assert schedule.schedule == every.model_copy(
            update={
                "anchor_date": DateTime(2026, 1, 1, tzinfo=UTC),
                "timezone": Variable.get(TIME_ZONE),
            }
        )
    assert step == {"prefect.deployments.steps.set_working_directory": {"directory": str(PROJECT)}}


def test_the_flows_file_runs_one_cycle_of_the_site_home(stack: PrefectStack) -> None:
    done = subprocess.run(
        [sys.executable, "flows/balance.py"],
        cwd=PROJECT,
        env=stack.env,
        capture_output=True,
        text=True,
        timeout=DEPLOY_S,
    )
    assert done.returncode == 1
    assert "named 'home': run `easee-balancer setup`" in done.stderr
