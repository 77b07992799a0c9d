"""When a deployment's cycles are due, computed without asking the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import IntervalSchedule


def utc(at: datetime) -> datetime:
    """A plain UTC datetime; the Prefect client returns subclasses."""
    return datetime.fromtimestamp(at.timestamp(), UTC)


@dataclass(frozen=True, slots=True)
class Interval:
    """Due at `anchor` and at every `length` before and after it."""

    length: timedelta
    anchor: datetime

    def latest(self, now: datetime) -> datetime:
        """The last due time that is not after `now`."""
        return self.anchor + (now - self.anchor) // self.length * self.length


@dataclass(frozen=True, slots=True)
class CycleSchedule:
    """A deployment of control cycles, with its active interval schedules."""

    deployment_id: UUID
    parameters: Mapping[str, Any] = field(default_factory=dict)
    intervals: tuple[Interval, ...] = ()

    @classmethod
    def of(cls, deployment: DeploymentResponse) -> CycleSchedule:
        """The schedule of a deployment on the server, without paused intervals."""
        intervals = tuple(
            Interval(one.schedule.interval, utc(one.schedule.anchor_date))
            for one in deployment.schedules
            if one.active and not deployment.paused and isinstance(one.schedule, IntervalSchedule)
        )
        return cls(deployment.id, deployment.parameters, intervals)

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites whose cycles it runs."""
        own = self.parameters.get("site")
        return tuple(self.parameters.get("sites") or (() if own is None else (own,)))

    def latest_due(self, now: datetime) -> datetime | None:
        """When the newest cycle became due; None without an active interval."""
        return max((one.latest(now) for one in self.intervals), default=None)

    def next_due(self, now: datetime) -> datetime | None:
        """When the next cycle will be due; None without an active interval."""
        return min((one.latest(now) + one.length for one in self.intervals), default=None)
