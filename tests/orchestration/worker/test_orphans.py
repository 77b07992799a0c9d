"""What a worker ends when it starts, where others of its pool are at work on other machines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
from prefect.states import Pending, Running

from easee_load_balancer.orchestration.worker.orphans import claim_of, orphans
from tests.support.worker import deployed


async def test_the_runs_that_its_own_folder_has_claimed_and_cycles_that_are_long_over(
    client: PrefectClient,
) -> None:
    deployment = await deployed(client, "orphans", "slow")
    pool = WorkPoolFilter(name=WorkPoolFilterName(any_=["orphans"]))
    runs = {}
    for folder in ("here", "there", ""):
        run = runs[folder] = await client.create_flow_run_from_deployment(deployment)
        await client.set_flow_run_state(run.id, Pending(message=claim_of(folder)))
        await client.set_flow_run_state(run.id, Running())
    now = datetime.now(UTC)
    own = await orphans(client, pool, now, [], claim_of("here"))
    assert [one.id for one in own] == [runs["here"].id]
    cycle = await client.create_flow_run_from_deployment(
        await deployed(client, "orphans", "cycle", diary="")
    )
    await client.set_flow_run_state(cycle.id, Pending(message=claim_of("there")))
    await client.set_flow_run_state(cycle.id, Running())
    late = datetime.now(UTC) + timedelta(minutes=11)
    later = await orphans(client, pool, late, [], claim_of("here"))
    assert {one.id for one in later} == {runs["here"].id, cycle.id}
    alone = await orphans(client, pool, now, [runs["there"].id], claim_of(""))
    assert {one.id for one in alone} == {runs["here"].id, runs[""].id}
