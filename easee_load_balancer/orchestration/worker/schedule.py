"""When a deployment's cycles are due, as far as that can be known without asking the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import IntervalSchedule


def utc(at: datetime) -> datetime:
    """A plain UTC datetime of one from the Prefect client, whose types are subclasses."""
    return datetime.fromtimestamp(at.timestamp(), UTC)


@dataclass(frozen=True, slots=True)
class Every:
    """An interval schedule: due at `anchor` and each `interval` before and after it."""

    interval: timedelta
    anchor: datetime

    def latest(self, now: datetime) -> datetime:
        """The last due time that is not after `now`."""
        return self.anchor + (now - self.anchor) // self.interval * self.interval


@dataclass(frozen=True, slots=True)
class Plan:
    """A deployment whose runs are cycles: of those that are due, only the newest counts."""

    deployment_id: UUID
    parameters: Mapping[str, Any] = field(default_factory=dict)
    schedules: tuple[Every, ...] = ()

    @classmethod
    def of(cls, deployment: DeploymentResponse) -> Plan:
        """The plan of a deployment as the server knows it; paused schedules are left out."""
        schedules = tuple(
            Every(one.schedule.interval, utc(one.schedule.anchor_date))
            for one in deployment.schedules
            if one.active and not deployment.paused and isinstance(one.schedule, IntervalSchedule)
        )
        return cls(deployment.id, deployment.parameters, schedules)

    def latest_due(self, now: datetime) -> datetime | None:
        """When the newest cycle became due; None without an active interval schedule."""
        return max((one.latest(now) for one in self.schedules), default=None)

    def next_due(self, now: datetime) -> datetime | None:
        """When the next cycle will be due; None without an active interval schedule."""
        return min((one.latest(now) + one.interval for one in self.schedules), default=None)
