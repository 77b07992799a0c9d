"""Publishing one cycle with a connection of its own, where no link is kept."""

from __future__ import annotations

from easee_load_balancer.integrations.broker_client import connected
from easee_load_balancer.integrations.home_assistant import (
    ONLINE,
    Message,
    Topics,
    discovery,
    states,
)
from easee_load_balancer.integrations.link import LinkSettings
from easee_load_balancer.integrations.snapshot import Snapshot


async def publish_once(settings: LinkSettings, snapshot: Snapshot) -> None:
    """Publish what this cycle knows, without controls: nobody would listen. Raises BrokerError."""
    async with connected(settings.address, snapshot.site) as client:
        await client.publish(discovery(snapshot, settings.interval, linked=False))
        await client.publish([*states(snapshot), Message(Topics.of(snapshot).status, ONLINE)])
