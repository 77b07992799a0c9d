"""Bounds on how often the setpoint changes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from easee_load_balancer.control.changes import Change, find_hunt, in_last_hour, scarcity
from tests.support.control_readings import NOW


def changes(
    *currents_a: int, every_s: int = 60, available_a: tuple[float, ...] = (8.7,)
) -> list[Change]:
    return [
        Change(
            at=NOW - timedelta(seconds=every_s * (len(currents_a) - index)),
            current_a=current_a,
            phases=3,
            available_a=available_a[index % len(available_a)],
        )
        for index, current_a in enumerate(currents_a)
    ]


HUNTS = [
    ("back and forth by itself", changes(10, 11, 10, 11, 10), True, (10, 11)),
    ("three currents", changes(10, 11, 12, 11, 10), True, None),
    ("too few", changes(10, 11, 10, 11), True, None),
    ("slowly", changes(10, 11, 10, 11, 10, every_s=300), True, None),
    ("clouds", changes(6, 13, 6, 13, 6, available_a=(2.0, 13.0)), True, None),
    ("it followed the surplus", changes(10, 11, 10, 11, 10, available_a=(10.2, 11.1)), True, None),
    ("fast: near the fuse", changes(10, 11, 10, 11, 10, available_a=(10, 11)), False, (10, 11)),
]


@pytest.mark.parametrize(
    ("history", "follows", "hunt"), [case[1:] for case in HUNTS], ids=[case[0] for case in HUNTS]
)
def test_hunting_is_noticed(
    history: list[Change], follows: bool, hunt: tuple[int, int] | None
) -> None:
    assert find_hunt(history, follows=follows) == hunt


def test_changes_get_scarce_within_an_hour() -> None:
    assert scarcity(changes(*range(6, 16), every_s=30), NOW) < 0.1
    assert scarcity(changes(*([8, 9] * 20), every_s=60), NOW) == pytest.approx(16)
    assert in_last_hour(changes(*([8, 9] * 20), every_s=180), NOW) == 19
