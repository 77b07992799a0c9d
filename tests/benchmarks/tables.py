"""Tables of the benchmarks, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def as_row(cells: Iterable[object]) -> str:
    """A row."""
    return f"| {' | '.join(map(str, cells))} |"


def as_head(names: Sequence[str]) -> str:
    """The two lines above the rows."""
    return f"{as_row(names)}\n{as_row(['---'] * len(names))}"
