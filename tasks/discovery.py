"""Looking up the chargers of an Easee account."""

from __future__ import annotations

from prefect.artifacts import acreate_markdown_artifact

from easee_load_balancer.devices.connections import CONNECTIONS
from easee_load_balancer.devices.easee.discovery import FoundCharger, find_chargers
from easee_load_balancer.orchestration.blocks import EaseeCharger, EaseeCredentials
from easee_load_balancer.reports.chargers_page import chargers_page
from easee_load_balancer.system.settings import Settings
from tasks.step import step


@step(name="list chargers", tags=["charger"], timeout_seconds=60)
async def list_chargers(credentials: EaseeCredentials) -> tuple[FoundCharger, ...]:
    """All chargers of the account, with site and circuit."""
    return await find_chargers(await CONNECTIONS.easee(credentials, Settings().folder))


@step(name="publish chargers", timeout_seconds=60)
async def publish_chargers(chargers: tuple[FoundCharger, ...]) -> None:
    """Show them in the Prefect UI."""
    await acreate_markdown_artifact(
        chargers_page(chargers), key="chargers", description="Chargers of the Easee account"
    )


@step(name="save charger", task_run_name="save {charger.id}", timeout_seconds=60)
async def save_charger(site: str, charger: FoundCharger) -> None:
    """Save the block `Easee charger` of the site, replacing an earlier one."""
    await EaseeCharger(**charger.address.model_dump()).asave(site, overwrite=True)
