"""When pushed values may be used instead of a call, on two clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easee_load_balancer.devices.easee.models import CommandResponse, Observation
from easee_load_balancer.devices.easee.observations import charger_state
from easee_load_balancer.devices.easee.pushed_values import Moment, PushedValues
from easee_load_balancer.measurements import ChargerMode

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)
MODE, POWER, CIRCUIT_L1 = 109, 120, 111


def at(seconds: float, clock_set_by_s: float = 0.0) -> Moment:
    """So many seconds after noon; the time of day may have been set since."""
    return Moment(NOON + timedelta(seconds=seconds + clock_set_by_s), 1000.0 + seconds)


def value(id_: int, value: Any, seen_s: float) -> Observation:
    """A value that the charger observed so many seconds after noon."""
    return Observation(id=id_, timestamp=NOON + timedelta(seconds=seen_s), value=value)


CHARGING = (value(MODE, 3, -60), value(POWER, 6.9, -60), value(CIRCUIT_L1, 10.0, -60))


def connected(checked_s: float = 0.0) -> PushedValues:
    """Values that were replayed and then compared with a call."""
    values = PushedValues()
    for one in CHARGING:
        values.push(one, at(checked_s - 1))
    assert values.compare(CHARGING, at(checked_s)) == []
    return values


def test_nothing_is_usable_before_values_were_replayed_and_compared() -> None:
    values = PushedValues()
    values.compare(CHARGING, at(0))
    assert not values.usable(at(0)), "only polled: a change since would not be known"
    values.push(CHARGING[0], at(1))
    assert not values.usable(at(1)), "only pushed: the replay may lack something"
    values.compare(CHARGING, at(2))
    assert values.usable(at(2))


def test_checks_become_rarer_while_nothing_is_missed() -> None:
    values, checks = connected(), [0.0]
    for second in range(10, 3600, 10):
        if not values.usable(at(second)):
            values.compare(CHARGING, at(second))
            checks.append(second)
    gaps = [after - before for before, after in pairwise(checks)]
    assert gaps[:5] == [30, 60, 120, 240, 300]
    assert set(gaps[5:]) == {300}
    assert len(checks) == 15, "calls in the first hour, instead of 360"


@pytest.mark.parametrize(
    ("name", "polled", "missed"),
    [
        ("nothing new", (), []),
        ("power, a minute ago", (value(POWER, 3.0, 40),), ["car_w"]),
        ("power, just now", (value(POWER, 3.0, 95),), []),
        ("power by less than rounding", (value(POWER, 6.90004, 40),), []),
        ("the same power again", (value(POWER, 6.9, 40),), []),
        ("charging ended", (value(MODE, 4, 40),), ["mode", "car_w"]),
        ("another circuit current", (value(CIRCUIT_L1, 6, 40),), ["circuit_current_a"]),
        ("an older power than pushed", (value(POWER, 3.0, -90),), []),
    ],
)
def test_a_value_that_a_call_finds_and_the_stream_missed_ends_the_trust(
    name: str, polled: tuple[Observation, ...], missed: list[str]
) -> None:
    values = connected()
    new = {one.id: one for one in (*CHARGING, *polled)}
    assert values.compare(new.values(), at(100)) == missed, name
    assert values.usable(at(100)) is not bool(missed)


def test_values_that_came_by_push_are_not_missed() -> None:
    values = connected()
    values.push(value(POWER, "3.0", 40), at(41))
    assert values.compare((*CHARGING[:1], value(POWER, 3, 40)), at(100)) == []
    state = charger_state(values.newest(), NOON + timedelta(seconds=100))
    assert (state.mode, state.car_w) == (ChargerMode.CHARGING, 3000)


@pytest.mark.parametrize(("second", "usable"), [(2.5, True), (5, False), (59, False), (61, True)])
def test_unconfirmed_command_is_looked_for_with_calls_for_a_minute(
    second: float, usable: bool
) -> None:
    values = connected()
    values.compare(CHARGING, at(30))  # good until 90
    values.command_sent(at(28))
    assert values.usable(at(28 + second)) is usable


@pytest.mark.parametrize("how", ["answered", "value pushed", "value polled"])
def test_confirmed_command_needs_no_call(how: str) -> None:
    values = connected()
    values.command_sent(at(5))
    if how == "answered":
        assert values.answer(answer_to(22), at(6)) == "confirmed"
    elif how == "value pushed":
        values.push(value(CIRCUIT_L1, "6", 6), at(6))
    else:
        values.compare((*CHARGING[:2], value(CIRCUIT_L1, 6, 6)), at(9))
    assert values.usable(at(15))


def answer_to(id_: int, **fields: Any) -> CommandResponse:
    """A charger's answer to a command."""
    document = {"serialNumber": "EH123456", "id": id_, "wasAccepted": True} | fields
    return CommandResponse.model_validate(document)


def test_answers_are_ours_once_for_each_command_of_ours() -> None:
    values = connected()
    assert values.answer(answer_to(22), at(1)) == "foreign"
    values.command_sent(at(2))
    assert values.answer(answer_to(48), at(3)) == "foreign"
    assert values.answer(answer_to(22), at(3)) == "confirmed"
    assert values.answer(answer_to(22), at(4)) == "foreign"
    values.command_sent(at(5))
    assert values.answer(answer_to(22, wasAccepted=False), at(6)) == "refused"
    assert not values.usable(at(10)), "calls show what the charger does instead"


def test_answers_that_come_late_and_twice_are_no_other_controller() -> None:
    values = connected()
    values.command_sent(at(2))
    values.command_sent(at(12))
    ours = [answer_to(22, ticks=1), answer_to(22, ticks=2), answer_to(22, ticks=1)]
    assert [values.answer(one, at(15)) for one in ours] == ["confirmed", "confirmed", "repeated"]


def test_time_of_day_that_was_set_makes_all_times_wrong_until_two_calls() -> None:
    values = connected()
    hour_s = 3600.0
    assert not values.usable(at(5, clock_set_by_s=hour_s))
    moved = tuple(
        one.model_copy(update={"timestamp": one.timestamp + timedelta(hours=1)}) for one in CHARGING
    )
    assert values.compare(moved, at(10, hour_s)) == []
    assert not values.usable(at(10, hour_s)), "a value pushed during the call was by the old clock"
    values.compare(moved, at(20, hour_s))
    assert values.usable(at(20, hour_s))
    assert [one.timestamp for one in values.newest()] == [one.timestamp for one in moved]


def test_values_from_the_future_are_left_to_calls() -> None:
    values = connected()
    values.push(value(POWER, "1.0", 86_400), at(5))
    values.push(value(POWER, "2.0", 6), at(7))
    assert charger_state(values.newest(), at(8).at).car_w == 2000
    values.compare((*CHARGING[:1], value(POWER, 9.0, 86_400)), at(40))
    assert not values.usable(at(40))


def test_disconnection_forgets_everything() -> None:
    values = connected()
    values.disconnected()
    assert not values.usable(at(1))
    assert values.newest() == ()


@given(st.permutations([(second, second / 10) for second in range(12)]), st.integers(0, 11))
def test_any_order_and_any_repetition_leave_the_newest_value(
    order: list[tuple[int, float]], repeated: int
) -> None:
    values = PushedValues()
    for second, power_kw in (*order, order[repeated]):
        values.push(value(POWER, str(power_kw), second), at(60))
    assert [one.value for one in values.newest()] == ["1.1"]
