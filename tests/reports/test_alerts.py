"""What is reported to the owner, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.integrations.snapshot import Snapshot
from easee_load_balancer.measurements import ChargerMode, ReasonForNoCurrent, Setpoint
from easee_load_balancer.reports.alerts import Alert, Alerts, conditions
from tests.support.control_readings import NOW, charger, told
from tests.support.snapshots import snapshot


def idle(mode: ChargerMode, *, offered_a: int = 0, drew: bool = False, **other: Any) -> Snapshot:
    """4 kW of surplus and a car that draws nothing."""
    known = snapshot(charger=charger(0, mode=mode), **other)
    state = told(offered_a, drew=drew)
    decision = replace(known.decision, setpoint=Setpoint(offered_a, 3), state=state)
    return replace(known, decision=decision)


def too_little(known: Snapshot) -> Snapshot:
    return replace(known, decision=replace(known.decision, surplus_w=1300.0))


WAITS = ChargerMode.AWAITING_START
EQUALIZER = charger(8, reason_for_no_current=ReasonForNoCurrent.LIMITED_BY_EQUALIZER)
CASES: dict[str, tuple[Snapshot, set[Alert]]] = {
    "charging": (snapshot(), set()),
    "no car": (idle(ChargerMode.DISCONNECTED), set()),
    "paused": (idle(WAITS), {Alert.NOT_CHARGING}),
    "too little surplus": (too_little(idle(WAITS)), set()),
    "enough for one phase, three wanted": (
        replace(too_little(idle(WAITS)), policy=Policy(phases="3")),
        set(),
    ),
    "off": (idle(WAITS, policy=Policy(mode="off")), set()),
    "does not start": (idle(WAITS, offered_a=8), {Alert.NOT_CHARGING}),
    "has stopped by itself": (idle(WAITS, offered_a=8, drew=True), set()),
    "full": (idle(ChargerMode.COMPLETED, offered_a=8), set()),
    "locked": (idle(ChargerMode.AWAITING_AUTHENTICATION), {Alert.NOT_CHARGING}),
    "limited": (snapshot(charger=EQUALIZER), {Alert.LIMITED}),
    "limited, no car": (
        snapshot(charger=replace(EQUALIZER, mode=ChargerMode.DISCONNECTED)),
        set(),
    ),
    "attention": (
        snapshot(decision=replace(snapshot().decision, attention="too much")),
        {Alert.ATTENTION},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_state_of_the_house_has_its_alerts(case: str) -> None:
    known, expected = CASES[case]
    assert set(conditions(known)) == expected


def told_at(*minutes_of_attention: float) -> list[float]:
    """When a report is sent, in minutes, if these cycles need attention and others do not."""
    alerts, found = Alerts(), []
    for half_minutes in range(80):
        minute = half_minutes / 2
        holds = {Alert.ATTENTION: "why"} if minute in minutes_of_attention else {}
        alerts, tell = alerts.after(NOW + timedelta(minutes=minute), holds)
        found += [minute] * len(tell)
    return found


def minutes(first: int, last: int) -> list[float]:
    return [number / 2 for number in range(2 * first, 2 * last)]


def test_a_clock_that_was_ahead_delays_no_alert() -> None:
    holds = {Alert.ATTENTION: "why"}
    alerts, _ = Alerts().after(NOW + timedelta(days=1), holds)
    alerts, _ = alerts.after(NOW, holds)
    _, tell = alerts.after(NOW + timedelta(minutes=5), holds)
    assert tell == holds


@pytest.mark.parametrize(
    ("attention", "expected"),
    [
        ([], []),
        (minutes(0, 5), []),
        (minutes(0, 30), [5]),
        (minutes(0, 7) + minutes(10, 30), [5]),  # three good minutes in between are not its end
        (minutes(0, 7) + minutes(15, 30), [5, 20]),
        ([0, 3, 6, 9], [6]),  # now and then is often enough
    ],
)
def test_told_once_after_it_has_lasted(attention: list[float], expected: list[float]) -> None:
    assert told_at(*attention) == expected
