"""The result table of the campaign."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from easee_load_balancer.reports.markdown import as_table

_LONGEST = 150


@dataclass(slots=True)
class Row:
    """Result of one fault at one moment; `wrong` is empty if everything was right."""

    fault: str
    moment: str
    state: str = ""
    message: str = ""
    before_a: float = 0.0
    highest_a: float = 0.0
    after_a: float = 0.0
    recovered_s: float | None = None
    """Seconds from the fault's end until a good cycle set the right current."""
    lost: str = "nothing"
    wrong: list[str] = field(default_factory=list)

    def check(self, holds: bool, otherwise: str) -> None:
        """Record a failure unless the condition holds."""
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
    "recovery s",
    "lost",
    "verdict",
)


def markdown(rows: Iterable[Row]) -> str:
    """The table."""
    return as_table(_HEAD, "l" * len(_HEAD), [row.cells for row in rows]) + "\n"
