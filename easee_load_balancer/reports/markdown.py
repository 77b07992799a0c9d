"""Elements of the Markdown pages in Prefect artifacts."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence

UNKNOWN = "–"  # noqa: RUF001


def embedded(picture: bytes, title: str) -> str:
    """A PNG embedded in the page."""
    return f"![{title}](data:image/png;base64,{b64encode(picture).decode()})"


def embedded_svg(picture: bytes, title: str) -> str:
    """An SVG embedded in the page."""
    return f"![{title}](data:image/svg+xml;base64,{b64encode(picture).decode()})"


def as_table(names: Sequence[str], align: str, rows: Iterable[Sequence[str]]) -> str:
    """A table; `align` has an l or r for each column. A cell cannot break it."""
    marks = {"l": ":---", "r": "---:"}
    lines = [names, [marks[side] for side in align], *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "/")


def as_kwh(kwh: float | None, digits: int = 1) -> str:
    """An energy, without its unit."""
    return UNKNOWN if kwh is None else f"{kwh:z,.{digits}f}"


def as_duration(seconds: float) -> str:
    """Seconds as a duration: 45 s, 3 min 5 s, 12 min, 1 h 05 min."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 10:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02d} min" if hours else f"{minutes} min"
