"""Everything a home server runs, in one command: Prefect server, deployments and worker."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from easee_load_balancer.system.processes import StartError, interrupt_on_signals
from easee_load_balancer.system.settings import Settings

_LOOK_EVERY_S = 1.0
_PAUSE_S = 5.0
"""Between the end of a process and its next start."""


def run_up(project: Path, port: int, console: Console) -> None:
    """Start everything, start again what ends, and end at Ctrl-C or SIGTERM.

    Cycles go on while the server is started again. Raises StartError when the first start fails.
    """
    if not (project / "prefect.yaml").is_file():
        raise StartError(f"there is no prefect.yaml in {project}: start in the project's folder")
    interrupt_on_signals()
    folder = Settings().folder
    try:
        with PrefectStack(folder, project, port, data_folder=folder) as stack:
            stack.deploy()
            stack.start_worker()
            console.print(f"Prefect UI: [link={stack.ui_url}]{stack.ui_url}[/link]")
            console.print(f"Logs are in {folder}; Ctrl-C ends everything.")
            while True:
                time.sleep(_LOOK_EVERY_S)
                _revive(stack, console)
    except KeyboardInterrupt:
        console.print("Ended.")


def _revive(stack: PrefectStack, console: Console) -> None:
    for child, start in ((stack.server, stack.start_server), (stack.worker, stack.start_worker)):
        if child is not None and not child.running:
            console.print(f"[red]The {child.name} ended; see {child.log}. Starting it again.[/red]")
            time.sleep(_PAUSE_S)
            try:
                start()
            except StartError as error:
                console.print(str(error), style="red", markup=False)
