"""Notifications: the automations in `deployments/automations`, sent through a Prefect block.

python -m easee_load_balancer.orchestration.notifications custom-webhook/phone
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from prefect import get_client
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound

from easee_load_balancer.errors import ConfigurationError

FOLDER = Path("deployments/automations")


async def create_automations(folder: Path, block: str) -> list[str]:
    """Create or replace the automations of `folder`; their names.

    `block` is type and name of a saved notification block, for example `slack-webhook/family`.
    Raises ConfigurationError if there is no such block or no automation.
    """
    described = _described(folder)
    if not described:
        raise ConfigurationError(f"There are no automations in {folder}.")
    block_type, _, block_name = block.partition("/")
    async with get_client() as client:
        try:
            document = await client.read_block_document_by_name(block_name, block_type)
        except ObjectNotFound:
            raise ConfigurationError(
                f"There is no notification block '{block}': create it under Blocks, and name it "
                "as type/name, for example slack-webhook/family."
            ) from None
        names = []
        for one in described:
            wanted = _automation(one, str(document.id))
            known = await client.read_automations_by_name(wanted.name)
            if known:
                await client.update_automation(known[0].id, wanted)
            else:
                await client.create_automation(wanted)
            names.append(wanted.name)
    return names


def _described(folder: Path) -> list[dict[str, Any]]:
    return [yaml.safe_load(file.read_text()) for file in sorted(folder.glob("*.yaml"))]


def _automation(described: dict[str, Any], block_id: str) -> AutomationCore:
    for action in described["actions"]:
        if action["type"] == "send-notification":
            action["block_document_id"] = block_id
    return AutomationCore.model_validate(described)


def notify(
    block: Annotated[
        str,
        typer.Argument(
            metavar="TYPE/NAME",
            help="A notification block saved in Prefect, such as slack-webhook/family.",
        ),
    ],
    folder: Annotated[Path, typer.Option(help="Folder with the automations.")] = FOLDER,
) -> None:
    """Send a notification when balancing fails or works again, and a headline each day."""
    try:
        names = asyncio.run(create_automations(folder, block))
    except ConfigurationError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"These are now sent through {block}: {', '.join(names)}.")


if __name__ == "__main__":
    typer.run(notify)
