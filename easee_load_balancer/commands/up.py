"""`easee-balancer up`: Prefect server, deployments and worker in one command."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import httpx
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from rich.console import Console

from easee_load_balancer.commands.cycle_lines import CycleLines
from easee_load_balancer.commands.output import print_addresses
from easee_load_balancer.orchestration.pairing import pair
from easee_load_balancer.orchestration.prefect_stack import POOL, PrefectStack, start_cycles
from easee_load_balancer.system.forked import fork_spares
from easee_load_balancer.system.locks import FileLock, pool_lock, worker_runs
from easee_load_balancer.system.processes import StartError, interrupt_on_signals, users_of
from easee_load_balancer.system.settings import Settings

_CHECK_EVERY_S = 1.0
_LINES_EVERY_S = 10.0
_RESTART_DELAY_S = 5.0


def run_up(project: Path, port: int, console: Console) -> None:
    """Start everything, print a line per cycle, restart what stops, and end everything.

    Ends at Ctrl-C, SIGTERM, or when the terminal closes. Cycles continue while the server restarts.
    This process must have had the stack's environment before Prefect was imported.
    Raises StartError if the first start fails, or if another `up` or worker uses the data folder.
    """
    if not (project / "prefect.yaml").is_file():
        raise StartError(
            f"There is no prefect.yaml in {project}: run `up` in the project's folder."
        )
    spares = fork_spares("server", "worker")
    interrupt_on_signals()
    folder = Settings().folder
    try:
        with _alone(folder):
            console.print("Starting the Prefect server ...")
            with (
                PrefectStack(folder, project, port, folder, spares) as stack,
                temporary_settings({PREFECT_API_URL: stack.api_url}),
                get_client(sync_client=True) as client,
            ):
                asyncio.run(pair(folder, POOL))
                stack.deploy_changes(client)
                console.print("Starting the worker ...")
                lines = CycleLines(client, console)
                start_cycles(client)
                stack.start_worker()
                print_addresses(console, stack.ui_url)
                console.print(f"Logs are in {folder}. Ctrl-C stops everything.\n")
                _watch(stack, lines, console)
    except KeyboardInterrupt:
        with suppress(OSError):  # the terminal may be closed
            console.print("Stopped.")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the data folder's lock. Raises StartError while another `up` or a worker uses it."""
    path = folder / "up.lock"
    with FileLock(path) as lock:
        if not lock.acquire():
            raise StartError(f"`up` is already running with {folder}: {users_of(path)}.")
        if worker_runs(folder, POOL):
            raise StartError(
                f"A worker is already running with {folder}: {users_of(pool_lock(folder, POOL))}. "
                "Stop it first: `systemctl stop easee-balancer-worker` if it is the service, "
                "otherwise `kill` with its number."
            )
        yield


def _watch(stack: PrefectStack, lines: CycleLines, console: Console) -> NoReturn:
    printed_s = float("-inf")
    while True:
        stack.rotate_logs()
        _restart_stopped(stack, console)
        if time.monotonic() - printed_s > _LINES_EVERY_S:
            printed_s = time.monotonic()
            with suppress(httpx.HTTPError):
                lines.print_new()
        time.sleep(_CHECK_EVERY_S)


def _restart_stopped(stack: PrefectStack, console: Console) -> None:
    for child, start in ((stack.server, stack.start_server), (stack.worker, stack.start_worker)):
        if child is not None and not child.running:
            console.print(f"[red]The {child.name} stopped; see {child.log}. Restarting it.[/red]")
            time.sleep(_RESTART_DELAY_S)
            try:
                start()
            except StartError as error:
                console.print(str(error), style="red", markup=False)
