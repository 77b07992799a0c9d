"""Output at a terminal and in a log: nothing is cut off or interpreted as markup."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from easee_load_balancer.commands.output import print_error, print_table, print_warnings
from easee_load_balancer.errors import BadCredentials

LONG = "A sentence with [red]brackets[/red] that goes on " + "and on " * 30 + "to its end."


def test_lines_in_a_log_are_not_wrapped() -> None:
    said = StringIO()
    console = Console(file=said, width=40, soft_wrap=True)
    print_warnings(console, [LONG])
    print_error(console, BadCredentials(LONG))
    lines = said.getvalue().splitlines()
    assert lines[:2] == [f"! {LONG}", LONG]
    assert lines[2] == "Usual causes:"
    assert len(lines) > 3
    assert all(line.startswith("  - ") and line.endswith(".") for line in lines[3:])


def test_a_table_shows_long_values_completely() -> None:
    said = StringIO()
    print_table(Console(file=said, width=40), "House", [("Name", LONG)])
    words = said.getvalue().replace("│", " ").split()
    assert [word for word in words if word in LONG.split()] == LONG.split()
