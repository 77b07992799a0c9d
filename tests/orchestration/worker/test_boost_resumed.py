"""A boost's run and the end of its worker: it is taken up again where it was left."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Running

from easee_load_balancer.commands.demo import save_demo_blocks
from easee_load_balancer.history.store import History
from easee_load_balancer.history.tables import BoostRow
from tests.support.paths import PROJECT
from tests.support.worker import deployed, ended, under_way, working


async def until_it_is_stored(history: History) -> BoostRow:
    async with asyncio.timeout(15):
        while True:
            if row := history.boosts.under_way("home"):
                return row
            await asyncio.sleep(0.05)


async def started(client: PrefectClient, run: FlowRun, times: int) -> None:
    """Wait until the run has become Running so many times."""
    async with asyncio.timeout(15):
        while True:
            now = await client.read_flow_run(run.id)
            if now.run_count == times and now.state_type is StateType.RUNNING:
                return
            await asyncio.sleep(0.1)


async def test_a_boost_survives_its_worker(
    client: PrefectClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASEE_BALANCER_DATA_FOLDER", str(tmp_path))
    await save_demo_blocks("http://127.0.0.1:9", 5020)
    flow = PROJECT / "flows" / "boost.py"
    deployment = await deployed(client, "boosts", "boost", file=flow, tags=["resumed"])
    run = await client.create_flow_run_from_deployment(deployment)
    history = History(f"sqlite:///{tmp_path / 'history.db'}")

    async with working("boosts"):
        await under_way(client, run)
        row = await until_it_is_stored(history)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 5  # nobody waits for a boost to end
    assert (await client.read_flow_run(run.id)).state_type is StateType.SCHEDULED

    await client.set_flow_run_state(run.id, Running(), force=True)  # as if killed
    async with working("boosts"):
        await started(client, run, times=3)
        still = history.boosts.under_way("home")
        assert still is not None
        assert (still.run_id, still.started_at) == (str(run.id), row.started_at)
        history.boosts.end(row.run_id, row.boost, row.started_at, "the car was unplugged")
        state = await ended(client, run)
    history.close()
    assert state.is_completed()
    assert state.message == "boost 16 A until unplugged: 0.0 kWh, the car was unplugged"
    states = await client.read_flow_run_states(run.id)
    assert "Handed back: its worker ended while it was running." in {one.message for one in states}
