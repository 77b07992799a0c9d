"""What Home Assistant may look up and change: the policy's block, and runs of `boost`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowFilter,
    FlowFilterName,
)
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling

from easee_load_balancer.control.boost import Boost
from easee_load_balancer.control.departures import ReadyBy
from easee_load_balancer.errors import ConfigurationError, ServerUnreachable
from easee_load_balancer.integrations.commands import SettingChange
from easee_load_balancer.integrations.link import LinkSettings
from easee_load_balancer.orchestration.blocks import (
    ChargingPolicy,
    MqttBroker,
    load_block,
    load_if_saved,
)

_USUAL_INTERVAL = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class RemoteControl:
    """A site as Home Assistant sees it. Raises ServerUnreachable or ConfigurationError."""

    site: str

    async def settings(self) -> LinkSettings | None:
        """The broker and the interval of the cycles; None without the block."""
        async with _server() as client:
            broker = await load_if_saved(MqttBroker, self.site)
            if broker is None:
                return None
            return LinkSettings(broker, await self._interval(client))

    async def time_zone(self) -> str:
        """The time zone in which the site's days begin."""
        async with _server() as client:
            deployment = await self._deployment(client, "boost", "daily_summary")
            return str(deployment.parameters["time_zone"])

    async def change_policy(self, change: SettingChange) -> ChargingPolicy:
        """Save the policy's block with that change; returns what is saved."""
        async with _server():
            policy = await load_block(ChargingPolicy, self.site)
            fields = set(ChargingPolicy.model_fields)
            changed = ChargingPolicy(**change.applied_to(policy.model_dump(include=fields)))
            await changed.asave(self.site, overwrite=True)
        return changed

    async def begin_boost(self, until: str) -> None:
        """Start the deployment of `boost`, with the policy's maximum current."""
        async with _server() as client:
            policy = await load_block(ChargingPolicy, self.site)
            deployment = await self._deployment(client, "boost")
            zone = str(deployment.parameters["time_zone"])
            Boost.asked(policy.max_current_a, until, zone, datetime.now(UTC))
            parameters = {"current_a": policy.max_current_a, "until": until}
            await client.create_flow_run_from_deployment(deployment.id, parameters=parameters)

    async def begin_ready_by(self, ready: str) -> None:
        """Start the deployment of `ready_by`."""
        async with _server() as client:
            deployment = await self._deployment(client, "ready_by")
            zone = str(deployment.parameters["time_zone"])
            ReadyBy.asked(ready, zone, datetime.now(UTC))
            parameters = {"ready": ready}
            await client.create_flow_run_from_deployment(deployment.id, parameters=parameters)

    async def begin_plan(self, reason: str) -> None:
        """Start the deployment of `plan`, once for each reason."""
        async with _server() as client:
            deployment = await self._deployment(client, "plan")
            await client.create_flow_run_from_deployment(deployment.id, idempotency_key=reason)

    async def cancel_run(self, run_id: str) -> None:
        """Cancel the run of a boost or departure; the next cycle ends it."""
        async with _server() as client:
            try:
                await client.set_flow_run_state(UUID(run_id), Cancelling())
            except ObjectNotFound:
                return  # the next cycle ends what has no run

    async def _interval(self, client: PrefectClient) -> timedelta:
        try:
            schedules = (await self._deployment(client, "balance")).schedules
        except ConfigurationError:
            return _USUAL_INTERVAL
        intervals = [
            one.schedule.interval for one in schedules if isinstance(one.schedule, IntervalSchedule)
        ]
        return min(intervals, default=_USUAL_INTERVAL)

    async def _deployment(self, client: PrefectClient, *flows: str) -> DeploymentResponse:
        """The site's deployment of one of these flows."""
        wanted = FlowFilter(name=FlowFilterName(any_=[*flows]))
        tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=[self.site]))
        # by the tag, because the server returns 200 at most, and reading them takes a while
        for one in await client.read_deployments(flow_filter=wanted, deployment_filter=tagged):
            if one.parameters.get("site") == self.site:
                return one
        raise ConfigurationError(
            f"There is no deployment of {' or '.join(flows)} for the site '{self.site}': run "
            "`easee-balancer deploy`."
        )


@asynccontextmanager
async def _server() -> AsyncIterator[PrefectClient]:
    """A client of the Prefect server. Raises ServerUnreachable when it does not answer."""
    try:
        async with get_client() as client:
            yield client
    except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError while the client connects
        raise ServerUnreachable(
            f"The Prefect server does not answer ({type(error).__name__}): is it running?"
        ) from None
