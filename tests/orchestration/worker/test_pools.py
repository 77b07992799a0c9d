"""prefect.yaml in a pool of type `process`; the demo tests the type `in-process`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    DeploymentFilter,
    DeploymentFilterTags,
)
from prefect.client.schemas.objects import StateType

from easee_load_balancer.commands.demo import demo_site
from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from easee_load_balancer.orchestration.worker.run_states import in_states
from easee_load_balancer.simulation.server import RunSpec, running_house
from tests.support.paths import PROJECT
from tests.support.prefect_servers import prepared
from tests.support.waiting import until

UNTOUCHED_A = 40


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectStack]:
    """A server with this project's deployments, and a worker that starts a process per run."""
    with PrefectStack(prepared(tmp_path_factory.mktemp("process")), PROJECT) as stack:
        stack.deploy(pool_type="process")
        stack.start_worker(pool_type="process")
        yield stack


async def test_a_cycle_changes_the_current_and_the_page_of_now(
    stack: PrefectStack, client: PrefectClient
) -> None:
    async with running_house(RunSpec(speed=1)) as house:
        await demo_site(house.api_url, house.modbus_port).save()
        tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=["cycle"]))
        [deployment] = await client.read_deployments(deployment_filter=tagged)
        late = {"latest_start_s": 3600}  # a slow machine may start the process later than 30 s
        await client.create_flow_run_from_deployment(deployment.id, parameters=late)

        async def a_run_completed() -> bool:
            assert not await client.read_flow_runs(flow_run_filter=in_states(StateType.FAILED))
            return bool(await client.read_flow_runs(flow_run_filter=in_states(StateType.COMPLETED)))

        await until(a_run_completed)
        now = ArtifactFilter(key=ArtifactFilterKey(any_=["now-home"]))
        assert len(await client.read_artifacts(artifact_filter=now)) == 1
        await until(lambda: max(house.plant.charger.dynamic_circuit_current_a) < UNTOUCHED_A)
