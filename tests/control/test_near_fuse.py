"""When old values of the charger could trip the main fuse, so that pushed ones do not do."""

from __future__ import annotations

import pytest

from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.measurements import ChargerMode
from tests.support.control_readings import NOW, VOLTS, charger, inverter, told

FUSE = Policy(main_fuse_a=25, fuse_margin_a=2, max_current_a=16)
"""23 A usable; a car takes up to 16 A, so the house may take 7 A."""


@pytest.mark.parametrize(
    ("name", "import_a", "car_a", "near"),
    [
        ("no car, house 6 A", 6, 0, False),
        ("no car, house 8 A", 8, 0, True),
        ("car 10 A, house 6 A", 16, 10, False),
        ("car 10 A, house 8 A", 18, 10, True),
        ("car 10 A on the sun, house 2 A, export 8 A", -8, 10, False),
        ("meter unknown", None, 10, False),
    ],
)
def test_near_the_fuse_a_car_may_take_more_than_is_left(
    name: str, import_a: float | None, car_a: float, near: bool
) -> None:
    export_w = None if import_a is None else -3 * VOLTS * import_a
    state = charger(car_a) if car_a else charger(mode=ChargerMode.DISCONNECTED, car_w=0.0)
    inputs = CycleInputs(NOW, inverter(export_w), state, FUSE)
    assert decide(inputs, told(int(car_a))).state.near_fuse is near, name
