"""Boosts: what they ask for, when they end, and what the control law makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from easee_load_balancer.control.boost import Boost, moment
from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.history.store import History
from easee_load_balancer.history.tables import BoostRow
from easee_load_balancer.measurements import ChargerMode, ChargerState, Setpoint
from tests.support.control_readings import NOW, charger, inverter, told

STOCKHOLM = ZoneInfo("Europe/Stockholm")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
UNPLUGGED = {"mode": ChargerMode.DISCONNECTED}


def a_boost(**other: object) -> Boost:
    """16 A since NOW, which is 14:00 in Stockholm."""
    wish: dict[str, object] = {"current_a": 16, "started_at": NOW, "time_zone": STOCKHOLM.key}
    return Boost.model_validate(wish | other)


def cycles(boost: Boost, states: Sequence[ChargerState]) -> Boost:
    """The boost after a cycle each minute."""
    for minute, state in enumerate(states):
        boost = boost.after(NOW + minute * MINUTE, state)
    return boost


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("17:30", datetime(2026, 6, 21, 15, 30, tzinfo=UTC)),
        (" 7:05 ", datetime(2026, 6, 22, 5, 5, tzinfo=UTC)),
        ("14:00", datetime(2026, 6, 22, 12, 0, tzinfo=UTC)),
        ("2026-06-23 06:30", datetime(2026, 6, 23, 4, 30, tzinfo=UTC)),
        ("2026-06-23T06:30:00Z", datetime(2026, 6, 23, 6, 30, tzinfo=UTC)),
    ],
)
def test_until(text: str, at: datetime) -> None:
    assert moment(text, STOCKHOLM, NOW) == at


def test_until_is_local_time_when_the_clocks_change() -> None:
    evening = datetime(2026, 10, 24, 18, 0, tzinfo=UTC)  # 20:00, the day before
    assert moment("06:00", STOCKHOLM, evening) == datetime(2026, 10, 25, 5, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("half past five", "is not a time such as 17:30"),
        ("25:00", "is not a time"),
        ("17.30", "is not a time"),
        ("0 kWh", "no car takes 0 kWh"),
        ("17:30 or never", "'never' is not a time"),
        ("2026-06-20 12:00", "2026-06-20 12:00 is in the past"),
    ],
)
def test_what_cannot_be_meant_is_said(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        Boost.asked(16, text, STOCKHOLM.key, NOW)


def test_more_than_the_policy_allows_is_refused() -> None:
    a_boost().check_against(Policy())
    with pytest.raises(ConfigurationError, match="The policy allows 10 A at most"):
        a_boost().check_against(Policy(max_current_a=10))


@pytest.mark.parametrize(
    ("boost", "title"),
    [
        (Boost.asked(16, "", STOCKHOLM.key, NOW), "boost 16 A until unplugged"),
        (Boost.asked(16, "Unplugged", STOCKHOLM.key, NOW), "boost 16 A until unplugged"),
        (Boost.asked(16, "17:30", STOCKHOLM.key, NOW), "boost 16 A until 17:30"),
        (Boost.asked(8, "06:00 or 12.5 kWh", "UTC", NOW), "boost 8 A until Mon 06:00 or 12.5 kWh"),
        (Boost.asked(8, "2026-08-01 06:00", "UTC", NOW), "boost 8 A until 1 Aug 06:00"),
        (Boost.asked(6, "7,5kwh", "UTC", NOW), "boost 6 A until 7.5 kWh"),
    ],
)
def test_title(boost: Boost, title: str) -> None:
    assert boost.title == title


CAR, NO_CAR = charger(15.7), charger(0, **UNPLUGGED)
ENDS: list[tuple[str, Boost, list[ChargerState], timedelta, str | None]] = [
    ("lasts", a_boost(), [CAR, CAR], 9 * HOUR, None),
    ("time", a_boost(until=NOW + HOUR), [CAR], HOUR, "its time is up"),
    ("not yet", a_boost(until=NOW + HOUR), [CAR], HOUR - timedelta(seconds=1), None),
    ("unplugged", a_boost(), [CAR, NO_CAR], MINUTE, "the car was unplugged"),
    ("unplugged before its time", a_boost(until=NOW + HOUR), [CAR, NO_CAR], MINUTE,
     "the car was unplugged"),
    ("plugged in later", a_boost(), [NO_CAR, CAR], 2 * HOUR, None),
    ("cloud away", a_boost(), [CAR, ChargerState.unknown(NOW)], MINUTE, None),
    ("no car comes", a_boost(), [NO_CAR], HOUR, "no car came within an hour"),
    ("no car comes until then", a_boost(until=NOW + 3 * HOUR), [NO_CAR], 2 * HOUR, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("boost", "states", "later", "why"), [end[1:] for end in ENDS], ids=[end[0] for end in ENDS]
)
def test_end(boost: Boost, states: list[ChargerState], later: timedelta, why: str | None) -> None:
    assert cycles(boost, states).ended(NOW + later) == why


COUNTERS: list[tuple[str, list[tuple[float | None, float | None]], float]] = [
    ("a session that is under way", [(4.0, 900.0), (4.1, 900.0), (4.3, 900.0)], 0.3),
    ("a spurious zero between", [(4.0, None), (0.0, None), (4.2, None)], 0.2),
    ("nothing is lost by it", [(4.0, None), (4.2, None), (0.0, None)], 0.2),
    ("a spurious zero at the start", [(0.0, None), (12.0, None), (12.1, None)], 0.1),
    ("a new session", [(0.0, None), (0.3, None), (0.6, None)], 0.6),
    ("unknown at first", [(None, None), (4.0, None), (4.2, None)], 0.2),
    ("a new session that was not seen to begin", [(9.0, 900.0), (0.1, 900.1), (0.2, 900.2)], 0.2),
    ("never known", [(None, None), (None, None)], 0.0),
]


@pytest.mark.parametrize(
    ("counters", "kwh"), [row[1:] for row in COUNTERS], ids=[row[0] for row in COUNTERS]
)
def test_energy(counters: list[tuple[float | None, float | None]], kwh: float) -> None:
    idle = replace(CAR, car_w=0.0)
    states = [replace(idle, session_kwh=one, lifetime_kwh=other) for one, other in counters]
    boost = cycles(a_boost(energy_kwh=0.45), states)
    assert boost.charged_kwh == pytest.approx(kwh)
    assert (boost.ended(NOW) == "the energy is in the car") == (kwh > 0.45)


def test_energy_between_two_steps_of_the_counter() -> None:
    """The counter moves every five minutes; at 12 kW that is 1 kWh, and 0.2 kWh a minute."""
    drawing = replace(CAR, car_w=12_000.0)
    seen = []
    boost = a_boost()
    for minute in range(1, 13):
        moved = minute // 5 * 5
        at = {"session_kwh": NOW + (moved or -3) * MINUTE}
        state = replace(drawing, session_kwh=40 + 0.2 * moved, observed_at=at)
        boost = boost.after(NOW + minute * MINUTE, state)
        seen.append(round(boost.charged_kwh, 3))
    assert seen == [round(0.2 * minute, 3) for minute in range(1, 13)]


def test_an_hour_without_cycles_is_left_to_the_counters() -> None:
    """The car begins as the cycles come back: its counter has not moved yet."""
    waiting = replace(CAR, car_w=0.0, session_kwh=4.0)
    boost = cycles(a_boost(energy_kwh=5.0), [waiting])
    boost = boost.after(NOW + HOUR, replace(waiting, car_w=6000.0))
    assert boost.charged_kwh == pytest.approx(0.5)
    assert boost.ended(NOW + HOUR) is None


def test_progress() -> None:
    boost = a_boost(until=NOW + 3.5 * HOUR)
    assert boost.progress(NOW) == "boost 16 A until 17:30: begins with the next cycle"
    assert cycles(boost, [NO_CAR]).progress(NOW) == "boost 16 A until 17:30: waits for a car"
    charged = cycles(boost, [replace(CAR, car_w=0.0, session_kwh=kwh) for kwh in (1.0, 1.2)])
    assert charged.progress(NOW) == "boost 16 A until 17:30: 0.2 kWh so far"
    assert charged.progress(NOW + HOUR).endswith(": no control cycle since 14:01")


def law(
    boost: Boost | None,
    state: ChargerState,
    controller_state: ControllerState,
    export_w: float | None = -500.0,
    policy: Policy | None = None,
) -> tuple[Setpoint | None, str]:
    decision = decide(
        CycleInputs(NOW, inverter(export_w), state, policy or Policy(), boost=boost),
        controller_state,
    )
    return decision.setpoint, decision.reason


RECENT: dict[str, Any] = {"started_at": NOW - MINUTE, "switched_at": NOW - MINUTE}


@pytest.mark.parametrize(
    ("current_a", "policy", "setpoint"),
    [
        (16, Policy(), Setpoint(16)),
        (12, Policy(mode="solar+minimum"), Setpoint(12)),
        (6, Policy(min_current_a=10), Setpoint(6)),
        (16, Policy(mode="off"), Setpoint(16)),
        (32, Policy(max_current_a=13), Setpoint(13)),
        (16, Policy(phases="1"), Setpoint(16, 1)),
    ],
)
def test_a_boost_takes_the_place_of_the_policy_within_its_limits(
    current_a: int, policy: Policy, setpoint: Setpoint
) -> None:
    boost = a_boost(current_a=current_a, until=NOW + HOUR)
    phases = setpoint.phases
    given, reason = law(boost, charger(9.7, phases), told(10, phases), policy=policy)
    assert given == setpoint
    assert reason.startswith(f"boost until 15:00: {setpoint}: ")


def test_it_ends_as_it_began() -> None:
    """Without sun: the start is immediate, and so is the pause when it is over."""
    begun, _ = law(a_boost(), charger(), told(0, **RECENT))
    assert begun == Setpoint(16)
    controller_state = told(16, assessed_at=NOW - HOUR)
    for minutes in range(60, 0, -1):
        at = NOW - minutes * MINUTE
        controller_state = decide(
            CycleInputs(at, inverter(-11_000), charger(15.7), Policy(), boost=a_boost()),
            controller_state,
        ).state
    paused, reason = law(None, charger(15.7), controller_state, -11_000)
    assert paused == Setpoint(0)
    assert "pause" in reason
    sunny, _ = law(None, charger(15.7), controller_state, 0.0)
    assert sunny == Setpoint(16)


def test_a_start_during_the_boost_waits_for_the_next() -> None:
    """What the fuse has paused does not flap."""
    boost = a_boost(started_at=NOW - 5 * MINUTE)
    given, reason = law(boost, charger(), told(0, **RECENT))
    assert given == Setpoint(0)
    assert "next start in 240 s" in reason


def test_the_main_fuse_stays_above_it() -> None:
    # 23 A may be imported; L1 imports 33 A, 15.7 A of it for the car
    given, reason = law(a_boost(), charger(15.7), told(16), -33 * 3 * 230.0)
    assert given == Setpoint(0)
    assert "main fuse 25 A: L1 imports 33 A" in reason
    given, reason = law(a_boost(), charger(15.7), told(16), -28 * 3 * 230.0)
    assert given == Setpoint(10)
    assert reason.startswith("boost until unplugged: 10 A x 3: main fuse 25 A")


def test_without_a_car_or_a_meter() -> None:
    assert law(a_boost(), NO_CAR, told(0)) == (
        Setpoint(16),
        "boost until unplugged: 16 A x 3: no car connected; "
        "surplus -0.5 kW = car 0.0 + export -0.5",
    )  # fmt: skip
    blind = told(16, unknown_since=NOW - 2 * MINUTE)
    given, reason = law(a_boost(), charger(15.7), blind, None)
    assert given == Setpoint(11)
    assert "half of the main fuse, 11 A" in reason


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(f"sqlite:///{tmp_path / 'history.db'}")


def test_one_boost_is_under_way_at_a_time(history: History) -> None:
    boosts = history.boosts
    boosts.begin("home", "one", a_boost())
    boosts.begin("cottage", "three", a_boost())
    boosts.begin("home", "two", a_boost(started_at=NOW + MINUTE, current_a=10))
    under_way, first = boosts.under_way("home"), boosts.of_run("one")
    assert under_way is not None
    assert (under_way.run_id, under_way.request.current_a) == ("two", 10)
    assert first is not None
    assert (first.ended_by, first.ended_at) == (BoostRow.superseded, NOW + MINUTE)
    assert boosts.under_way("house") is None


def test_what_has_ended_stays_ended(history: History) -> None:
    boosts, came = history.boosts, a_boost(car="here", counted_kwh=1.5)
    boosts.begin("home", "one", a_boost())
    boosts.record("one", came)
    boosts.end("one", came, NOW + HOUR, "its time is up")
    boosts.end("one", a_boost(), NOW + 2 * HOUR, "cancelled")
    boosts.record("one", a_boost())
    row = boosts.of_run("one")
    assert row is not None
    assert (row.ended_by, row.ended_at) == ("its time is up", NOW + HOUR)
    assert row.request == came
    assert boosts.under_way("home") is None
