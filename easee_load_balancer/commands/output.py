"""Terminal output; no text is interpreted as markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from easee_load_balancer.commands.troubleshooting import usual_causes
from easee_load_balancer.devices.huawei.discovery import NotFound
from easee_load_balancer.orchestration.own_addresses import HOME, addresses


def print_table(console: Console, title: str, rows: Iterable[tuple[str, str]]) -> None:
    """Print a table of names and values."""
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, value in rows:
        table.add_row(Text(name), Text(value))
    console.print(table)


def print_addresses(console: Console, ui: str, site: str = HOME) -> None:
    """Print the addresses of the owner's pages."""
    for title, address in addresses(ui, site).items():
        console.print(Text.assemble(f"{title:<15}", (address, f"link {address}")))


def print_warnings(console: Console, warnings: Iterable[str]) -> None:
    """Print what the owner should know."""
    for warning in warnings:
        console.print(Text.assemble(("! ", "bold yellow"), warning))


def print_failure(console: Console, message: str, causes: Sequence[str]) -> None:
    """Print what does not work, with its usual causes."""
    console.print(Text(message, "red"))
    if causes:
        console.print(Text("Usual causes:"))
    for cause in causes:
        console.print(Text(f"  - {cause}"))


def print_error(console: Console, error: Exception) -> None:
    """Print an error with its usual causes."""
    finding = error.finding if isinstance(error, NotFound) else None
    print_failure(console, str(error), usual_causes(error, finding))
