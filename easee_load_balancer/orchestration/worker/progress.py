"""The newest cycle of each deployment, also correct after the clock is set back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

_TOLERANCE = timedelta(seconds=5)
"""A due time further ahead dates from before the clock was set back."""


def in_future(at: datetime) -> bool:
    """Whether that time has certainly not come yet."""
    return at > datetime.now(UTC) + _TOLERANCE


class Progress:
    """When the newest cycle of each deployment was due."""

    def __init__(self) -> None:
        self._newest: dict[UUID, datetime] = {}

    def record(self, deployment_id: UUID, due: datetime) -> None:
        """Record that the cycle due at that time has started, or is done."""
        if not self.reached(deployment_id, due):
            self._newest[deployment_id] = due

    def reached(self, deployment_id: UUID, due: datetime) -> bool:
        """Whether a cycle due at that time or later has been recorded."""
        newest = self._newest.get(deployment_id)
        return newest is not None and not in_future(newest) and due <= newest
