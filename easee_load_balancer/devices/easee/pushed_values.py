"""A charger's values as pushed by the cloud, and when they may be used instead of a call: pure.

Values are sent on change, so silence is normal and proves nothing. Therefore the values are
compared with a call from time to time: 30 s after the stream has begun, later every five minutes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from easee_load_balancer.devices.easee.models import CommandResponse, Observation
from easee_load_balancer.devices.easee.observations import OBSERVATION_IDS, charger_state
from easee_load_balancer.measurements import CIRCUIT_CURRENTS_OBSERVED, ChargerState

CHECK_FIRST_S, CHECK_LAST_S = 30.0, 300.0
"""From one comparison with a call to the next; the time doubles while nothing was missed."""
ANSWER_WITHIN_S = 3.0
"""A command that is unconfirmed for this long is looked for with calls, as without a stream ..."""
SEARCH_S = 60.0
"""... for this long."""
_CLOCKS_AGREE_S = 2.0
_DELIVERED = timedelta(seconds=10)
"""Within this time the stream has delivered a value that the cloud has."""
_SAME_TIME = timedelta(seconds=2)
_OURS_FOR_S = 600.0
"""A charger that was offline may take a command this late."""
_ANSWERS_KEPT = 32
CIRCUIT_SETTINGS, CHARGER_CURRENT = 22, 48
"""`id` of the answer to a current of the circuit, and to one of the charger itself."""
_SHOWN_BY: Mapping[int, tuple[str, ...]] = {
    CIRCUIT_SETTINGS: CIRCUIT_CURRENTS_OBSERVED,
    CHARGER_CURRENT: ("charger_current_a",),
}
"""The observations that show such a command."""
_COMPARED: Mapping[str, tuple[str, ...]] = {
    "mode": ("mode",),
    "car_w": ("car_w", "mode"),
    "output_current_a": ("output_current_a",),
    "output_phases": ("output_phases",),
    "circuit_current_a": CIRCUIT_CURRENTS_OBSERVED,
}
"""What decisions depend on most, and the observations behind it."""

Answer = Literal["confirmed", "refused", "foreign", "repeated"]


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, on two clocks: the time of day can be set, the monotonic one cannot."""

    at: datetime
    monotonic_s: float

    def since_s(self, earlier: Moment) -> float:
        """Monotonic seconds since then."""
        return self.monotonic_s - earlier.monotonic_s

    def agrees_with(self, earlier: Moment) -> bool:
        """Whether the time of day was not set in between."""
        elapsed_s = (self.at - earlier.at).total_seconds()
        return abs(elapsed_s - self.since_s(earlier)) <= _CLOCKS_AGREE_S


class PushedValues:
    """One charger's newest values, pushed or from calls."""

    def __init__(self) -> None:
        self.replayed = False
        """Whether the present connection has delivered a value: from then on it delivers all."""
        self._newest: dict[int, Observation] = {}
        self._checked: Moment | None = None
        """The last call during the present connection."""
        self._check_every_s = CHECK_FIRST_S
        self._unconfirmed: Moment | None = None
        """The last command, until the charger has confirmed it."""
        self._shown_by: tuple[str, ...] = CIRCUIT_CURRENTS_OBSERVED
        """The observations that confirm it."""
        self._unanswered: deque[tuple[int, Moment]] = deque(maxlen=_ANSWERS_KEPT)
        """Commands without an answer yet; any further answer is to another controller."""
        self._answers: deque[tuple[int, int | None]] = deque(maxlen=_ANSWERS_KEPT)

    def newest(self) -> tuple[Observation, ...]:
        """The newest of each value."""
        return tuple(self._newest.values())

    def usable(self, now: Moment) -> bool:
        """Whether no call is needed now, provided that the connection is alive."""
        checked, sent = self._checked, self._unconfirmed
        if checked is None or not now.agrees_with(checked):
            return False
        if sent is not None and ANSWER_WITHIN_S <= now.since_s(sent) < SEARCH_S:
            return False
        return now.since_s(checked) < self._check_every_s

    def disconnected(self) -> None:
        """Changes may be missed from now on."""
        self.replayed, self._checked = False, None
        self._check_every_s = CHECK_FIRST_S
        self._newest.clear()

    def push(self, observation: Observation, now: Moment) -> None:
        """Take a pushed value; an older one than known is from a replay or out of order."""
        self.replayed = True
        self._take(observation, now)
        sent = self._unconfirmed
        shows = observation.id in (OBSERVATION_IDS[name] for name in self._shown_by)
        if sent and shows and observation.observed_at >= sent.at:
            self._unconfirmed = None

    def compare(self, observations: Iterable[Observation], now: Moment) -> list[str]:
        """Take the values of a call. Returns the names of those that the stream has missed."""
        polled, before = tuple(observations), self._checked
        clock_set = before is not None and not now.agrees_with(before)
        if clock_set:  # the times of all values are wrong
            self._newest.clear()
        missed = _missed(self.newest(), polled, now.at) if before and not clock_set else []
        for observation in polled:
            self._take(observation, now)
        state = charger_state(polled, now.at)
        seen_at = [state.observed_at.get(name) for name in self._shown_by]
        if self._unconfirmed and any(at and at >= self._unconfirmed.at for at in seen_at):
            self._unconfirmed = None
        undated = len(state.observed_at) < len(_known(polled))
        if missed or undated or clock_set or not self.replayed:
            self._checked = None
            return missed
        if before and now.since_s(before) >= self._check_every_s:
            self._check_every_s = min(2 * self._check_every_s, CHECK_LAST_S)
        self._checked = now
        return []

    def command_sent(self, now: Moment, answer_id: int = CIRCUIT_SETTINGS) -> None:
        """Expect the charger's answer to a current of ours, and the new value."""
        self._unconfirmed, self._shown_by = now, _SHOWN_BY[answer_id]
        self._unanswered.append((answer_id, now))

    def answer(self, response: CommandResponse, now: Moment) -> Answer:
        """What a charger's answer to a command means: to ours or to another controller's."""
        key = (response.id, response.ticks)
        if response.ticks is not None and key in self._answers:
            return "repeated"
        self._answers.append(key)
        while self._unanswered and now.since_s(self._unanswered[0][1]) > _OURS_FOR_S:
            self._unanswered.popleft()
        ours = next((one for one in self._unanswered if one[0] == response.id), None)
        if ours is None:
            return "foreign"
        self._unanswered.remove(ours)
        if response.was_accepted is False:
            return "refused"
        self._unconfirmed = None
        return "confirmed"

    def _take(self, observation: Observation, now: Moment) -> None:
        known = self._newest.get(observation.id)
        if known is None or known.observed_at > now.at or _is_newer(observation, known):
            self._newest[observation.id] = observation


def _is_newer(observation: Observation, known: Observation) -> bool:
    return observation.observed_at >= known.observed_at


def _known(polled: Iterable[Observation]) -> set[int]:
    return {one.id for one in polled} & set(OBSERVATION_IDS.values())


def _missed(
    pushed: Iterable[Observation], polled: Iterable[Observation], now: datetime
) -> list[str]:
    """Names of values that the cloud has had for long enough and the stream has not delivered."""
    had, has = charger_state(pushed, now), charger_state(polled, now)
    return [
        name
        for name, observed in _COMPARED.items()
        if _differ(getattr(had, name), getattr(has, name))
        and _latest(had, observed) + _SAME_TIME < _latest(has, observed) <= now - _DELIVERED
    ]


def _latest(state: ChargerState, names: Iterable[str]) -> datetime:
    never = datetime.min.replace(tzinfo=UTC) + _SAME_TIME
    return max((state.observed_at.get(name, never) for name in names), default=never)


def _differ(one: Any, other: Any) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return any(_differ(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) > 0.05 + 0.01 * abs(other)
    return bool(one != other)
