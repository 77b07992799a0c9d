"""How far the cycles of each deployment have come, also when the clock is set back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

_AHEAD = timedelta(seconds=5)
"""A due time that is further in the future is one from before the clock was set back."""


def from_the_future(at: datetime) -> bool:
    """Whether that moment cannot have been yet."""
    return at > datetime.now(UTC) + _AHEAD


class Progress:
    """When the newest cycle of each deployment was due."""

    def __init__(self) -> None:
        self._newest: dict[UUID, datetime] = {}

    def note(self, deployment_id: UUID, due: datetime) -> None:
        """The cycle that was due then is under way, or done."""
        if not self.reached(deployment_id, due):
            self._newest[deployment_id] = due

    def reached(self, deployment_id: UUID, due: datetime) -> bool:
        """Whether a cycle that was due then or later has been noted."""
        newest = self._newest.get(deployment_id)
        return newest is not None and not from_the_future(newest) and due <= newest
