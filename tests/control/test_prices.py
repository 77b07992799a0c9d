"""What the prices change in the control law."""

from __future__ import annotations

import pytest

from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.measurements import Setpoint
from tests.support.control_readings import NOW, charger, inverter, told


# A step of three phases is 690 W. At 0.08 for export 45 % of it has to be solar; where export
# costs 0.10, a step pays from 0.10 / (0.10 + 0.30) = 25 %.
@pytest.mark.parametrize(
    ("export_price", "margin_w", "export_w", "current_a"),
    [
        (0.08, None, 200.0, 10),
        (0.0, None, 200.0, 10),
        (-0.10, None, 200.0, 11),
        (0.08, 1000, 600.0, 9),
        (0.0, 1000, 600.0, 11),
        (-0.10, 1000, 600.0, 11),
        (-0.10, 0, 200.0, 10),
        (-0.10, -500, 200.0, 11),
    ],
    ids=[
        "a fifth of a kW pays as export",
        "export earns nothing: a third of a step is needed",
        "export costs: the car takes it",
        "the margin is kept while export pays",
        "no margin while export earns nothing",
        "no margin while export costs",
        "never import for the car is still obeyed",
        "import that is tolerated stays tolerated",
    ],
)
def test_charging_comes_before_export_that_pays_nothing(
    export_price: float, margin_w: int | None, export_w: float, current_a: int
) -> None:
    state = told(10, accumulated_step_benefit_wh=50.0, drew=True)
    inputs = CycleInputs(
        NOW,
        inverter(export_w),
        charger(9.7),
        Policy(export_margin_w=margin_w),
        Prices(export_price=export_price, import_price=0.30, night_price=0.20),
    )
    assert decide(inputs, state).setpoint == Setpoint(current_a)
