"""The Prefect server for a command that needs it: the one that runs, or one for the time being."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from prefect import get_client
from prefect.events.clients import NullEventsClient
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, temporary_settings
from rich.console import Console

from easee_load_balancer.orchestration.prefect_stack import PrefectStack, deploy
from easee_load_balancer.system.processes import HOST, StartError
from easee_load_balancer.system.settings import Settings


@dataclass(frozen=True, slots=True)
class Server:
    """A Prefect server that answers, as long as its context is entered."""

    api_url: str
    env: Mapping[str, str]
    for_now: bool
    """Whether it was started for the time being."""

    def deploy(self, project: Path) -> None:
        """Deploy prefect.yaml as it stands. Raises StartError."""
        deploy(project, self.env)


@contextmanager
def prefect_server(project: Path, port: int, console: Console) -> Iterator[Server]:
    """The server at PREFECT_API_URL or at that port of this machine, or one with the data of `up`.

    Raises StartError when the one at PREFECT_API_URL does not answer, or none can be started.
    """
    EventsWorker.set_client_override(NullEventsClient)  # they would come when the server is gone
    wanted = PREFECT_API_URL.value()
    url = wanted or f"http://{HOST}:{port}/api"
    with temporary_settings({PREFECT_API_URL: url}):
        if asyncio.run(_answers()):
            yield Server(url, os.environ | {"PREFECT_API_URL": url}, for_now=False)
            return
    if wanted:
        raise StartError(
            f"The Prefect server at {wanted} does not answer. Start it, or unset PREFECT_API_URL "
            "to use one on this machine."
        )
    folder = Settings().folder
    with ExitStack() as until_left:
        with console.status("Starting a Prefect server for the time being ..."):
            stack = until_left.enter_context(PrefectStack(folder, project, data_folder=folder))
        until_left.enter_context(temporary_settings({PREFECT_API_URL: stack.api_url}))
        yield Server(stack.api_url, stack.env, for_now=True)


async def _answers() -> bool:
    async with get_client() as client:
        return await client.api_healthcheck() is None
