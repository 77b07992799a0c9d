"""When old values of the charger could trip the main fuse, so that pushed ones do not do."""

from __future__ import annotations

import pytest

from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.limits import phase_imports_a
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


@pytest.mark.parametrize("phase_v", [1e-300, 40.0, 400.0, None])
def test_a_phase_voltage_that_cannot_be_does_not_count(phase_v: float | None) -> None:
    """L2 imports 2.3 kW: 10 A at the charger's 230 V."""
    reading = inverter(
        grid_current_phase_a=(0.0, None, 0.0),
        grid_export_phase_w=(0.0, -2300.0, 0.0),
        grid_voltage_v=(VOLTS, phase_v, VOLTS),
    )
    assert phase_imports_a(reading, VOLTS, grid_type=1) == [0.0, 10.0, 0.0]
