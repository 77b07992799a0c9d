"""A boost's run is resumed by the next worker."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.states import Running

from easee_load_balancer.commands.demo import demo_site
from easee_load_balancer.history.store import History
from easee_load_balancer.orchestration.worker.in_process import InProcessWorker
from tests.support.paths import PROJECT
from tests.support.waiting import LONGEST_S, until
from tests.support.worker import deployed, ended, under_way, working


class Patient(InProcessWorker):
    """Would wait longer for its runs than the test does."""

    type = "patient"
    finish_s = 2 * LONGEST_S


async def test_a_boost_survives_its_worker(
    client: PrefectClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASEE_BALANCER_DATA_FOLDER", str(tmp_path))
    await demo_site("http://127.0.0.1:9", 5020).save()
    flow = PROJECT / "flows" / "boost.py"
    deployment = await deployed(client, "boosts", "boost", file=flow, tags=["resumed"])
    run = await client.create_flow_run_from_deployment(deployment)
    history = History(f"sqlite:///{tmp_path / 'history.db'}")

    async with asyncio.timeout(LONGEST_S):
        async with working("boosts", Patient):
            await under_way(client, run)
            row = await until(lambda: history.boosts.under_way("home"))
    assert (await client.read_flow_run(run.id)).state_type is StateType.SCHEDULED

    await client.set_flow_run_state(run.id, Running(), force=True)  # as if killed
    async with working("boosts"):
        await under_way(client, run, times=3)
        still = history.boosts.under_way("home")
        assert still is not None
        assert (still.run_id, still.started_at) == (str(run.id), row.started_at)
        history.boosts.end(row.run_id, row.request, row.started_at, "the car was unplugged")
        state = await ended(client, run)
    history.close()
    assert state.is_completed()
    assert state.message == "boost 16 A until unplugged: 0.0 kWh, the car was unplugged"
    states = await client.read_flow_run_states(run.id)
    assert "Requeued: its worker stopped while it was running." in {one.message for one in states}
