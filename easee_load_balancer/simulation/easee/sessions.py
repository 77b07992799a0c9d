"""The charging sessions of one charger, from plug to plug, as its cloud knows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from easee_load_balancer.simulation.plant.other_chargers import ChargingPoint


@dataclass(slots=True)
class _Session:
    number: int
    started_at: datetime
    ended_at: datetime | None = None
    energy_kwh: float = 0.0
    charged_s: int = 0
    """Plant seconds with current."""


class Sessions:
    """Call `note()` after the plant has moved on."""

    def __init__(self) -> None:
        self._ongoing: _Session | None = None
        self._latest: _Session | None = None
        self._count = 0
        self._clock_s: int | None = None

    def note(self, point: ChargingPoint, now: datetime) -> None:
        """Begin, continue or end a session."""
        passed_s = point.clock_s - (point.clock_s if self._clock_s is None else self._clock_s)
        self._clock_s = point.clock_s
        ongoing = self._ongoing
        swapped = ongoing is not None and point.car.energy_kwh < ongoing.energy_kwh
        if ongoing is not None and (swapped or not point.car.plugged_in):
            ongoing.ended_at, self._latest, self._ongoing = now, ongoing, None
        if not point.car.plugged_in:
            return
        if self._ongoing is None:
            self._count += 1
            self._ongoing = _Session(self._count, now)
        self._ongoing.energy_kwh = point.car.energy_kwh
        self._ongoing.charged_s += passed_s if point.car.current_a else 0

    @property
    def ongoing(self) -> dict[str, Any] | None:
        """The session of the car that is plugged in; None without one."""
        return None if self._ongoing is None else _document(self._ongoing)

    @property
    def latest(self) -> dict[str, Any] | None:
        """The last session that has ended; None before the first one has."""
        return None if self._latest is None else _document(self._latest)


def _document(session: _Session) -> dict[str, Any]:
    return {
        "sessionId": session.number,
        "sessionEnergy": round(session.energy_kwh, 6),
        "sessionStart": _time(session.started_at),
        "sessionEnd": None if session.ended_at is None else _time(session.ended_at),
        "chargeDurationInSeconds": session.charged_s,
    }


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
