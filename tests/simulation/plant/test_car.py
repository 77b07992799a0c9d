"""What cars do with an offer, also awkward ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from easee_load_balancer.simulation.plant.car import Car, CarSpec

Offer = tuple[int, float, int]
"""Seconds, A and phases."""


def drawn(spec: dict[str, Any], offers: Sequence[Offer], energy_kwh: float = 0.0) -> list[float]:
    """The current in A at the end of each offer."""
    car = Car(CarSpec(**{"start_delay_s": (5, 5)} | spec), random.Random(1))
    car.energy_kwh = energy_kwh
    clock_s, currents = 0, []
    for seconds, offered_a, phases in offers:
        for _ in range(seconds):
            clock_s += 1
            car.step(clock_s, offered_a, phases)
        currents.append(round(car.current_a, 1))
    return currents


@pytest.mark.parametrize(
    ("spec", "offers", "expected"),
    [
        ({}, [(60, 10.0, 3)], [9.7]),
        ({"step_a": 2.0}, [(60, 10.0, 3), (60, 11.0, 3)], [8.0, 10.0]),
        ({"max_current_a": 8.0}, [(60, 16.0, 3)], [8.0]),
        ({"start_delay_s": (150, 150)}, [(150, 16.0, 3), (30, 16.0, 3)], [0.0, 15.7]),
        ({"fewest_phases": 3}, [(600, 16.0, 1), (60, 16.0, 3)], [0.0, 15.7]),
        ({"refused_offers": 1}, [(600, 16.0, 3), (5, 0.0, 0), (60, 16.0, 3)], [0.0, 0.0, 15.7]),
        ({"ignores_pause_s": 240}, [(60, 10.0, 3), (230, 0.0, 0), (20, 0.0, 0)], [9.7, 9.7, 0.0]),
    ],
    ids=[
        "0.3 A less than offered",
        "whole steps of 2 A",
        "own limit",
        "slow start",
        "needs three phases",
        "wakes up with the second offer",
        "ignores a pause for a while",
    ],
)
def test_car_follows_its_habits(
    spec: dict[str, Any], offers: Sequence[Offer], expected: list[float]
) -> None:
    assert drawn(spec, offers) == expected


@pytest.mark.parametrize(
    ("energy_kwh", "expected_a"), [(0.0, 15.7), (10.0, 15.7), (15.0, 9.0), (19.9, 2.1)]
)
def test_tapering_car_draws_less_and_less(energy_kwh: float, expected_a: float) -> None:
    spec = {"energy_needed_kwh": 20.0, "taper_kwh": 10.0}
    assert drawn(spec, [(60, 16.0, 3)], energy_kwh) == [expected_a]


def test_wobbling_car_moves_every_20_to_45_s() -> None:
    currents = drawn({"wobble_a": 0.8}, [(60, 16.0, 3), *[(1, 16.0, 3)] * 600])[1:]
    changes = [at for at, (one, next_) in enumerate(pairwise(currents)) if one != next_]
    assert set(currents) == {14.9, 15.7}
    assert all(20 <= later - at <= 46 for at, later in pairwise(changes))
