"""Several sites in one run: each with its own cycle, result and failure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from balance_group import balance_group
from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from easee_load_balancer.history.store import open_history
from easee_load_balancer.orchestration.worker.offline import offline
from easee_load_balancer.system.locks import only_writer
from easee_load_balancer.system.settings import Settings
from tests.support.home import a_home, last_run
from tests.support.site import site_of


async def test_each_site_has_its_own_result_and_failure() -> None:
    usual = {"settle_time_s": 0.1, "timeout_s": 3.0, "mode": "fast", "phases": "3"}
    async with a_home() as home:
        await replace(
            site_of(home.house, **usual | {"charger_id": "EH000000"}), name="cabin"
        ).save()
        state = await balance_group(["home", "cabin", "lake"], return_state=True)
        assert state.is_failed()
        message = state.message or ""
        assert message.startswith("1 of 3 sites done, 2 failed. cabin: ")
        assert "check the block 'Easee charger'" in message
        assert "lake: There is no block" in message
        assert home.circuit_current_a == (16.0, 16.0, 16.0)
        assert {site: outcome(site) for site in ("home", "cabin", "lake")} == {
            "home": "pushed",
            "cabin": "failed",
            "lake": None,
        }
        run = await last_run()
        assert run.name.startswith("1 of 3 sites done")
        assert home.last_cycle().run_id == str(run.id)
        async with get_client() as client:
            only = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
            assert not await client.read_task_runs(flow_run_filter=only)
        home.house.advance(60)
        with only_writer(Settings().folder, "cabin"):
            state = await balance_group(["home", "cabin"], return_state=True)
        assert state.is_completed()
        assert state.message == "1 of 2 sites done, 1 superseded"
        assert outcome("home") == "held"
        home.house.advance(60)
        with offline(datetime.now(UTC)):  # as the worker does while the server is away
            state = await balance_group.fn(["home"])
        assert state.message == "1 of 1 sites done"
        assert home.last_cycle().run_id == "without Prefect"


def outcome(site: str) -> str | None:
    """How the site's last cycle ended."""
    row = open_history(Settings().database_url).last_cycle(site)
    return None if row is None else row.outcome
