"""`easee-balancer up`: Prefect server, deployments and worker in one command."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from easee_load_balancer.system.processes import StartError, interrupt_on_signals
from easee_load_balancer.system.settings import Settings

_CHECK_EVERY_S = 1.0
_RESTART_DELAY_S = 5.0


def run_up(project: Path, port: int, console: Console) -> None:
    """Start everything, restart what stops, and end at Ctrl-C or SIGTERM.

    Cycles continue while the server restarts. Raises StartError if the first start fails.
    """
    if not (project / "prefect.yaml").is_file():
        raise StartError(f"There is no prefect.yaml in {project}: start in the project's folder.")
    interrupt_on_signals()
    folder = Settings().folder
    try:
        with PrefectStack(folder, project, port, data_folder=folder) as stack:
            stack.deploy()
            stack.start_worker()
            console.print(f"Prefect UI: [link={stack.ui_url}]{stack.ui_url}[/link]")
            console.print(f"Logs are in {folder}. Ctrl-C stops everything.")
            while True:
                time.sleep(_CHECK_EVERY_S)
                _restart_stopped(stack, console)
    except KeyboardInterrupt:
        console.print("Stopped.")


def _restart_stopped(stack: PrefectStack, console: Console) -> None:
    for child, start in ((stack.server, stack.start_server), (stack.worker, stack.start_worker)):
        if child is not None and not child.running:
            console.print(f"[red]The {child.name} stopped; see {child.log}. Restarting it.[/red]")
            time.sleep(_RESTART_DELAY_S)
            try:
                start()
            except StartError as error:
                console.print(str(error), style="red", markup=False)
