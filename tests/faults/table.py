"""The rows of the campaign, and the table made of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

_LONGEST = 150


@dataclass(slots=True)
class Row:
    """What one fault at one moment did; `wrong` is empty where all went as it should."""

    fault: str
    moment: str
    state: str = ""
    message: str = ""
    before_a: float = 0.0
    highest_a: float = 0.0
    after_a: float = 0.0
    recovered_s: float | None = None
    """Seconds from the end of the fault until a good cycle has set the right current."""
    lost: str = "nothing"
    wrong: list[str] = field(default_factory=list)

    def check(self, holds: bool, otherwise: str) -> None:
        """Note what is wrong unless it holds."""
        if not holds:
            self.wrong.append(otherwise)

    @property
    def cells(self) -> tuple[str, ...]:
        message = self.message.replace("|", "/").replace("\n", " ")
        if len(message) > _LONGEST:
            message = message[:_LONGEST] + "..."
        took = "never" if self.recovered_s is None else f"{self.recovered_s:.0f}"
        current = f"{self.before_a:.0f}, {self.highest_a:.0f}, {self.after_a:.0f}"
        verdict = "green" if not self.wrong else "RED: " + "; ".join(self.wrong)
        return (self.fault, self.moment, self.state, message, current, took, self.lost, verdict)


_HEAD = (
    "fault",
    "moment",
    "run",
    "message",
    "circuit A before, highest, after",
    "s until all is well",
    "lost",
    "verdict",
)


def markdown(rows: Iterable[Row]) -> str:
    """The table."""
    lines = [_HEAD, ("---",) * len(_HEAD), *(row.cells for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
