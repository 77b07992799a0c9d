"""The Prefect server for a command: a running one, or a temporary one."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import httpx
from prefect import Flow, get_client
from prefect.client.schemas.objects import State
from prefect.events.clients import NullEventsClient
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_URL, temporary_settings
from rich.console import Console

from easee_load_balancer.orchestration.blocks import EaseeCharger, load_if_saved
from easee_load_balancer.orchestration.groups import join_group
from easee_load_balancer.orchestration.own_addresses import HOME
from easee_load_balancer.orchestration.prefect_stack import POOL, PrefectStack, deploy
from easee_load_balancer.orchestration.sites import deploy_common, pause_home
from easee_load_balancer.system.processes import HOST, StartError, is_free, listener_on
from easee_load_balancer.system.settings import Settings

_ANSWER_S = 15.0


@contextmanager
def prefect_server(project: Path, port: int, console: Console) -> Iterator[Mapping[str, str]]:
    """Connect to the server at PREFECT_API_URL, else to the one at that port of this machine.

    Without either, starts a temporary server with the data of `up`. Yields the environment for
    Prefect commands. Raises StartError if the server wants a password, if the one at
    PREFECT_API_URL does not answer, or if none can be started.
    """
    EventsWorker.set_client_override(NullEventsClient)  # else sent when the server has stopped
    configured = PREFECT_API_URL.value()
    url = configured or f"http://{HOST}:{port}/api"
    with temporary_settings({PREFECT_API_URL: url}):
        if asyncio.run(_answers(url)):
            yield os.environ | {"PREFECT_API_URL": url}
            return
    if configured:
        raise StartError(
            f"The Prefect server at {configured} does not answer. Start it, or unset "
            "PREFECT_API_URL to use one on this machine."
        )
    if not is_free(port):
        raise StartError(
            f"Port {port} is used by {listener_on(port)}, and no Prefect server answers there. End "
            "it, or choose another port with --port, also for `up`."
        )
    folder = Settings().folder
    with ExitStack() as stop_at_exit:
        with console.status("Starting a temporary Prefect server ..."):
            stack = stop_at_exit.enter_context(PrefectStack(folder, project, data_folder=folder))
        stop_at_exit.enter_context(temporary_settings({PREFECT_API_URL: stack.api_url}))
        yield stack.env


def run_deploy(
    project: Path,
    port: int,
    site: str | None,
    pool: str | None,
    group: str | None,
    console: Console,
) -> None:
    """Deploy to the server of `prefect_server`: this site, and all that are deployed already.

    `group`: the site's cycles run in this group; if it is empty, in runs of their own again. Raises
    StartError or ConfigurationError if that fails.
    """
    with prefect_server(project, port, console) as env:
        deploy_for(site, project, env, pool)
        if site is not None and group is not None:
            with get_client(sync_client=True) as client:
                join_group(client, [site], group)
    console.print("Deployed.")


def deploy_for(
    site: str | None, project: Path, env: Mapping[str, str], pool: str | None = None
) -> None:
    """Deploy; if `home` is not set up, its deployments are paused. Raises StartError."""
    if site is None or site == HOME:
        deploy(project, env, pool or POOL)
        return
    deploy(project, env, sites=[site], sites_pool=pool)
    if asyncio.run(load_if_saved(EaseeCharger, HOME)) is None:
        with get_client(sync_client=True) as client:
            pause_home(client, paused=True)
            deploy_common(client)  # what serves all sites continues in their pool


async def _answers(url: str) -> bool:
    """Whether a Prefect server answers there. Raises StartError if it wants a password."""
    try:
        async with asyncio.timeout(_ANSWER_S), get_client() as client:
            await client.hello()  # unlike its health, only with the password
    except httpx.HTTPStatusError as error:
        if error.response.status_code != httpx.codes.UNAUTHORIZED:
            return False
        raise StartError(
            f"The Prefect server at {url} wants a password: set PREFECT_API_AUTH_STRING to its "
            "`user:password`."
        ) from None
    except (TimeoutError, httpx.HTTPError):
        return False
    return True


def run_once(flow: Flow[..., Coroutine[Any, Any, Any]], port: int = 4200) -> NoReturn:
    """Run a flow now, in this process, with its defaults; exit code 1 if it fails."""

    async def run() -> State[Any]:
        state: State[Any] = await flow(return_state=True)
        await APILogHandler.aflush()  # while the server still runs
        return state

    with prefect_server(Path.cwd(), port, Console(stderr=True)):
        state = asyncio.run(run())
    sys.exit(0 if state.is_completed() else 1)
