"""Showing at the terminal what was found; nothing in it is read as markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from easee_load_balancer.commands.troubleshooting import usual_causes
from easee_load_balancer.devices.huawei.discovery import NotFound
from easee_load_balancer.errors import BalancerError


def tell_rows(console: Console, title: str, rows: Iterable[tuple[str, str]]) -> None:
    """A table of names and values."""
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, value in rows:
        table.add_row(Text(name), Text(value))
    console.print(table)


def tell_cautions(console: Console, sentences: Sequence[str]) -> None:
    """What the owner should know."""
    for sentence in sentences:
        console.print(Text.assemble(("! ", "bold yellow"), sentence))


def tell_failure(console: Console, sentence: str, causes: Sequence[str]) -> None:
    """What does not work, with its usual causes."""
    console.print(Text(sentence, "red"))
    if causes:
        console.print(Text("Usual causes:"))
    for cause in causes:
        console.print(Text(f"  - {cause}"))


def tell_error(console: Console, error: BalancerError) -> None:
    """An error with its usual causes."""
    finding = error.finding if isinstance(error, NotFound) else None
    tell_failure(console, str(error), usual_causes(error, finding))
