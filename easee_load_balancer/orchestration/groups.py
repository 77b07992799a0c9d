"""Groups of sites whose cycles share a run: deployments of their own, beside those of the sites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import (
    DeploymentScheduleCreate,
    DeploymentUpdate,
)
from prefect.client.schemas.responses import DeploymentResponse

from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.orchestration.sites import all_deployments, spread, unspread
from easee_load_balancer.orchestration.worker.run_states import CYCLE_TAG

_FLOW = "balance_group"
_SAME = ("time_zone", "latest_start_s")
"""Parameters that the sites of a group share."""


def join_group(client: SyncPrefectClient, sites: Sequence[str], group: str) -> None:
    """Run the sites' cycles in that group alone; without a name, each by itself again.

    Raises ConfigurationError where a site is not deployed, or differs in pool, time zone or latest
    start.
    """
    found = all_deployments(client)
    cycles = {one.parameters.get("site"): one for one in found if CYCLE_TAG in one.tags}
    groups = {one.name: one for one in found if "sites" in one.parameters}
    name = f"Balance group {group}"
    for site in sites:
        if site not in cycles:
            raise ConfigurationError(f"The site '{site}' is not deployed.")
        if group:
            _check(cycles[site], groups.get(name, cycles[sites[0]]), name)
    for known, one in groups.items():
        members = [member for member in one.parameters["sites"] if member not in sites]
        if known == name:
            members += sites
        if members != one.parameters["sites"]:
            _set_members(client, one, members)
    if group and name not in groups:
        _create(client, cycles[sites[0]], name, sites)
    for site in sites:
        for schedule in cycles[site].schedules:
            client.update_deployment_schedule(cycles[site].id, schedule.id, active=not group)


def _check(own: DeploymentResponse, other: DeploymentResponse, name: str) -> None:
    wrong = [key for key in _SAME if own.parameters.get(key) != other.parameters.get(key)]
    if own.work_pool_name != other.work_pool_name:
        wrong.append("work pool")
    if wrong:
        raise ConfigurationError(
            f"The site '{own.parameters['site']}' has another {' and another '.join(wrong)} than "
            f"the sites of '{name}'. Choose another group for it."
        )


def _set_members(client: SyncPrefectClient, group: DeploymentResponse, members: list[str]) -> None:
    if members:
        parameters = group.parameters | {"sites": members}
        client.update_deployment(group.id, DeploymentUpdate(parameters=parameters))
    else:
        client.delete_deployment(group.id)


def _create(
    client: SyncPrefectClient, own: DeploymentResponse, name: str, sites: Sequence[str]
) -> None:
    schedules = [
        DeploymentScheduleCreate(
            schedule=spread(unspread(one.schedule), name), slug=one.slug, active=True
        )
        for one in own.schedules
    ]
    parameters: dict[str, Any] = {"sites": list(sites)}
    client.create_deployment(
        client.create_flow_from_name(_FLOW),
        name,
        description="Control cycles of several sites in one run.",
        entrypoint=f"flows/{_FLOW}.py:{_FLOW}",
        tags=[CYCLE_TAG, name.rpartition(" ")[2]],
        parameters=parameters | {key: own.parameters[key] for key in _SAME},
        schedules=schedules,
        work_pool_name=own.work_pool_name,
        path=own.path,
        pull_steps=own.pull_steps,
    )
