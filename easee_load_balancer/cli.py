"""The command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from easee_load_balancer.house.cli import house
from easee_load_balancer.processes import StartError, interrupt_on_signals

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False)


@app.callback()
def main() -> None:
    """Charge the car with what the roof has left over."""


app.command()(house)


@app.command()
def demo(
    cycles: Annotated[
        int | None, typer.Option(min=1, help="End after this many completed cycles.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the demo keeps its data.")] = Path(".demo"),
) -> None:
    """Run the whole product against a simulated house; touches no hardware, ends with Ctrl-C."""
    from easee_load_balancer.demo import run_demo  # Prefect takes seconds to import

    interrupt_on_signals()
    console = Console(highlight=False, soft_wrap=True)
    try:
        good = run_demo(Path.cwd(), folder.resolve(), cycles, console)
    except StartError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]{error}[/red]")
        raise typer.Exit(1) from None
    raise typer.Exit(0 if good else 1)


@app.command()
def up(
    port: Annotated[
        int, typer.Option(min=1, max=65_535, help="Port of the Prefect server and its web pages.")
    ] = 4200,
) -> None:
    """Run it for real: Prefect server, deployments and worker, until Ctrl-C."""
    from easee_load_balancer.up import run_up  # Prefect takes seconds to import

    try:
        run_up(Path.cwd(), port, Console(highlight=False, soft_wrap=True))
    except StartError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]{error}[/red]")
        raise typer.Exit(1) from None


if __name__ == "__main__":
    app()
