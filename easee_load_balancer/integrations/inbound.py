"""Values that other programs send by MQTT: bounded, and used only as long as they can be true.

A message is the value itself, or JSON with `value` and `at`, the time at which it was true. A
retained message needs the time: nobody knows how old it is otherwise.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from easee_load_balancer.devices.sanitize import plain
from easee_load_balancer.errors import ConfigurationError

_LONGEST = 200_000
_MOST_VALUES = 1000
_AHEAD = timedelta(minutes=5)
"""Clocks differ."""

Series = Mapping[datetime, float]
Value = float | bool | Series | None


@dataclass(frozen=True, slots=True)
class Reported:
    """A value that another program has sent; None withdraws it."""

    name: str
    value: Value
    at: datetime

    def holds(self, now: datetime) -> bool:
        """Whether it is not too old to be true."""
        return now - self.at < INPUTS[self.name].longest

    def __str__(self) -> str:
        return f"{self.name.replace('_', ' ')} reported"


@dataclass(frozen=True, slots=True)
class Input:
    """One inbound value."""

    longest: timedelta
    """How long it holds."""
    read: Callable[[Any], Value]
    """The value of what was sent. Raises ValueError."""


def _number(low: float, high: float) -> Callable[[Any], float]:
    def read(sent: Any) -> float:
        value = float(sent)
        if isinstance(sent, bool) or not math.isfinite(value) or not low <= value <= high:
            raise ValueError(f"not from {low:g} to {high:g}")
        return value

    return read


def _limit(sent: Any) -> float | None:
    """A power in W; "off" ends the limit."""
    return None if str(sent).lower() == "off" else _number(0, 100_000)(sent)


def _presence(sent: Any) -> bool:
    choices = {"home": True, "on": True, "away": False, "not_home": False, "off": False}
    if str(sent).lower() not in choices:
        raise ValueError("neither home nor away")
    return choices[str(sent).lower()]


def _series(low: float, high: float) -> Callable[[Any], Series]:
    """Values by the start of their quarter-hour or hour: [{"start": ..., "value": ...}, ...]."""
    read_number = _number(low, high)

    def read(sent: Any) -> Series:
        if not isinstance(sent, list) or not 0 < len(sent) <= _MOST_VALUES:
            raise ValueError(f"not a list of 1 to {_MOST_VALUES} values")
        return {_time(one["start"]): read_number(one["value"]) for one in sent}

    return read


def _time(text: Any) -> datetime:
    at = datetime.fromisoformat(str(text))
    if at.tzinfo is None:
        raise ValueError("a time without an offset")
    return at.astimezone(UTC)


INPUTS: Mapping[str, Input] = {
    "car_soc": Input(timedelta(hours=12), _number(0, 100)),
    "car_soc_limit": Input(timedelta(days=7), _number(1, 100)),
    "prices": Input(timedelta(days=3), _series(-100, 1000)),
    "solar_forecast": Input(timedelta(days=3), _series(0, 1_000_000)),
    "presence": Input(timedelta(hours=24), _presence),
    "grid_limit_w": Input(timedelta(hours=1), _limit),
}
"""The values by the last part of their topic."""


def reported(name: str, payload: bytes, now: datetime, *, retained: bool) -> Reported:
    """The value of a message. Raises ConfigurationError for one without a value, or too old."""
    known = INPUTS.get(name)
    if known is None:
        raise ConfigurationError(f"there is no input {plain(name)!r}.")
    try:
        sent, at = _opened(payload, now if not retained else None)
        value = known.read(sent)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ConfigurationError(
            f"the input {name} cannot be used: {plain(why) or type(error).__name__}."
        ) from None
    one = Reported(name, value, at)
    if at > now + _AHEAD or not one.holds(now):
        raise ConfigurationError(f"the input {name} is too old, or from the future.")
    return one


def _opened(payload: bytes, at: datetime | None) -> tuple[Any, datetime]:
    """What was sent, and when it was true."""
    if len(payload) > _LONGEST:
        raise ValueError("too long")
    text = payload.decode().strip()
    sent: Any = json.loads(text) if text[:1] in ("{", "[") else text
    if isinstance(sent, dict):
        at, sent = _time(sent["at"]), sent["value"]
    if at is None:
        raise ValueError("a retained message needs a time: value and at, as JSON")
    return sent, at
