"""What is sent to several chargers first, what waits, and what is recorded before."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.several.as_one import decision_as_one
from easee_load_balancer.control.several.controller import SharedState, Together
from easee_load_balancer.control.several.sending import SendingOrder, pending_by_id
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.measurements import Setpoint

NOW = datetime(2026, 6, 21, 12, tzinfo=UTC)
CIRCUITS = [1, 1, 2]
"""The first two chargers share a circuit."""


def change(before_a: int, after_a: int) -> Decision:
    """A current per phase before and after; the same: nothing is to be sent."""
    state = ControllerState(setpoint_a=before_a)
    return Decision(Setpoint(after_a), before_a != after_a, f"{after_a} A", state)


@pytest.mark.parametrize(
    ("changes", "ceiling", "sent"),
    [
        pytest.param([(6, 16), (16, 6), (6, 10)], False, ([], [1], [0, 2]), id="lowers come first"),
        pytest.param([(6, 6), (6, 6), (6, 6)], False, ([], [], []), id="nothing is due"),
        pytest.param([(6, 16), (16, 6), (6, 10)], True, ([1], [1], [2]), id="the raise waits"),
        pytest.param([(16, 6), (16, 6), (6, 6)], True, ([], [0, 1], []), id="the ceiling waits"),
        pytest.param([(6, 6), (6, 6), (6, 6)], True, ([1], [], []), id="the ceiling alone"),
    ],
)
def test_a_circuit_gets_no_more_commands_than_it_has_chargers(
    changes: list[tuple[int, int]], ceiling: bool, sent: tuple[list[int], list[int], list[int]]
) -> None:
    decisions = tuple(change(*each) for each in changes)
    together = Together(decisions, SharedState(), {1: 16} if ceiling else {})
    order = SendingOrder.of(together, CIRCUITS)
    assert (list(order.ceilings), list(order.lowers), list(order.raises)) == sent


def test_what_a_killed_cycle_was_sending_is_found_by_the_chargers_id() -> None:
    decisions = (change(6, 16), change(6, 6), change(16, 8))
    order = SendingOrder.of(Together(decisions, SharedState()), [1, 2, 3])
    pending = pending_by_id(order.record(["A", "B", "C"], decisions, NOW))
    assert pending.keys() == {"A", "C"}
    assert ControllerState().after_crash(pending["C"]).pending == Setpoint(8)
    for record in ("", "{", "[1]", json.dumps({"A": 1})):
        assert pending_by_id(record) == {}
    nothing = SendingOrder.of(Together(decisions[1:2], SharedState()), [1])
    assert nothing.record(["B"], decisions[1:2], NOW) == ""


def test_the_homes_own_row_names_each_charger() -> None:
    whole = decision_as_one(["Carport", "Garage"], [change(6, 6), change(6, 16)], 9000.0)
    assert (whole.reason, whole.push) == ("Carport 6 A | Garage 16 A", True)
    assert (whole.surplus_w, whole.attention) == (9000.0, None)
