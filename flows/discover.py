"""Lists the chargers of an Easee account on request."""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State

from easee_load_balancer.devices.connections import CONNECTIONS
from easee_load_balancer.errors import BalancerError
from easee_load_balancer.orchestration.blocks import EaseeCredentials, Site, load_block
from easee_load_balancer.orchestration.parameters import SiteName, shown
from tasks.discovery import list_chargers, publish_chargers, save_charger
from tasks.run import completed, failed


@flow(
    name="discover",
    flow_run_name="Chargers of {site}",
    timeout_seconds=120,
    persist_result=False,
)
async def discover(
    site: SiteName = Site.DEFAULT,
    save: Annotated[str, shown("Save charger", "EH123456")] = "",
) -> State[int]:
    """List the chargers of the Easee account with their sites and circuits.

    Args:
        site: Name of the block with the Easee credentials.
        save: ID of the charger to save as the block `Easee charger` of that name; if empty, nothing
            is saved.
    """
    try:
        credentials = await load_block(EaseeCredentials, site)
        async with CONNECTIONS.held():
            chargers = await list_chargers(credentials)
    except BalancerError as error:
        return await failed(str(error))
    await publish_chargers(chargers)
    names = ", ".join(str(one) for one in chargers) or "no charger"
    if not save:
        return await completed(names, len(chargers))
    chosen = [one for one in chargers if one.id == save]
    if not chosen:
        return await failed(f"{save} is not in this account, which has: {names}.")
    await save_charger(site, chosen[0])
    return await completed(f"saved {chosen[0]} as '{site}'", len(chargers))
