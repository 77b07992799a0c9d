"""The in-process worker against a real Prefect server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.states import Cancelling, Running, Scheduled
from prefect.workers.base import BaseWorker

from easee_load_balancer.orchestration.worker.in_process import InProcessWorker
from tests.support.disk import disk, set_read_only
from tests.support.home import data_folder
from tests.support.worker import deployed, ended, under_way, working

__all__ = ["data_folder", "disk"]


def test_prefect_finds_the_worker_by_its_type() -> None:
    assert BaseWorker.get_worker_class_from_type("in-process") is InProcessWorker


async def test_runs_end_in_the_usual_prefect_states(client: PrefectClient) -> None:
    pool = "states"
    run_of = {
        name: await client.create_flow_run_from_deployment(await deployed(client, pool, name))
        for name in ("good", "raises", "hangs", "slow")
    }
    async with working(pool):
        good = await ended(client, run_of["good"])
        raised = await ended(client, run_of["raises"])
        hung = await ended(client, run_of["hangs"])
        slow = await client.read_flow_run(run_of["slow"].id)
        assert slow.state_type is StateType.RUNNING
        await client.set_flow_run_state(slow.id, Cancelling())
        cancelled = await ended(client, slow)
    assert (good.name, good.message) == ("Completed", "flows")
    assert raised.name == "Failed"
    assert "no such luck" in str(raised.message)
    assert (hung.name, hung.type) == ("TimedOut", StateType.FAILED)
    assert (cancelled.name, cancelled.message) == ("Cancelled", "Cancelled while running.")
    names = [one.name for one in await client.read_flow_run_states(run_of["slow"].id)]
    assert names == ["Scheduled", "Pending", "Running", "Cancelling", "Cancelled"]


async def test_a_worker_starts_with_a_read_only_data_folder(
    client: PrefectClient, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASEE_BALANCER_DATA_FOLDER", str(disk))
    set_read_only(disk, True)
    run = await client.create_flow_run_from_deployment(await deployed(client, "frozen", "good"))
    async with working("frozen"):
        assert (await ended(client, run)).is_completed()


async def test_a_sync_flow_does_not_delay_another(client: PrefectClient, tmp_path: Path) -> None:
    pool, release = "threads", tmp_path / "release"
    blocking = await client.create_flow_run_from_deployment(
        await deployed(client, pool, "blocks", until_file=str(release))
    )
    good = await deployed(client, pool, "good")
    async with working(pool):
        await under_way(client, blocking)
        run = await client.create_flow_run_from_deployment(good)
        assert (await ended(client, run)).is_completed()
        assert (await client.read_flow_run(blocking.id)).state_type is StateType.RUNNING
        release.touch()
        state = await ended(client, blocking)
    assert state.is_completed()
    assert state.message != "flows"


def written(diary: Path) -> list[str]:
    """The lines of the diary."""
    return diary.read_text().splitlines()


async def test_only_the_newest_due_cycle_runs(client: PrefectClient, diary: Path) -> None:
    deployment = await deployed(client, "stale", "cycle", diary=str(diary))
    now = datetime.now(UTC)
    late = [
        await client.create_flow_run_from_deployment(
            deployment, state=Scheduled(scheduled_time=now - timedelta(seconds=10 * age))
        )
        for age in range(1, 31)
    ]
    async with working("stale"):
        states = [await ended(client, run) for run in late]
    assert states[0].is_completed()
    assert {(one.name, one.message) for one in states[1:]} == {
        ("Superseded", "superseded: a newer cycle is due")
    }
    names = {(await client.read_flow_run(run.id)).name for run in late[1:]}
    assert names == {"superseded: a newer cycle is due"}
    assert len(written(diary)) == 1


async def test_runs_of_a_killed_worker_get_a_final_state(client: PrefectClient) -> None:
    pool = "orphans"
    good = await deployed(client, pool, "good")
    run = await client.create_flow_run_from_deployment(good)
    await client.set_flow_run_state(run.id, Running(), force=True)
    async with working(pool):
        state = await ended(client, run)
    assert state.is_crashed()
    assert state.message == "Its worker stopped while it was running."


class Impatient(InProcessWorker):
    """Gives runs little time to finish."""

    type = "impatient"
    finish_s = 0.2


async def test_unfinished_runs_are_requeued_when_the_worker_stops(client: PrefectClient) -> None:
    pool = "requeued"
    run = await client.create_flow_run_from_deployment(await deployed(client, pool, "slow"))
    later = await client.create_flow_run_from_deployment(
        await deployed(client, pool, "good"),
        state=Scheduled(scheduled_time=datetime.now(UTC) + timedelta(hours=1)),
    )
    async with working(pool, Impatient, prefetch_seconds=7200):
        await under_way(client, run)
    for one in (run, later):
        assert (await client.read_flow_run(one.id)).state_type is StateType.SCHEDULED


async def test_two_workers_never_run_the_same_run(client: PrefectClient, diary: Path) -> None:
    deployment = await deployed(client, "two", "cycle", diary=str(diary))
    run = await client.create_flow_run_from_deployment(
        deployment, state=Scheduled(scheduled_time=datetime.now(UTC) + timedelta(seconds=3))
    )
    async with working("two"), working("two"):
        assert (await ended(client, run)).is_completed()
        await asyncio.sleep(0.5)
    assert len(written(diary)) == 1
    names = [one.name for one in await client.read_flow_run_states(run.id)]
    assert names == ["Scheduled", "Pending", "Running", "Completed"]
