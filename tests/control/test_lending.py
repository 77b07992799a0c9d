"""What the battery lends the car: never more than the owner allows, and what that changes."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.lending import Lent, lend, lent_weight, used_share
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.measurements import ChargerState, InverterReading, Setpoint
from tests.control.test_invariants import chargers, memories, policies, readings
from tests.support.control_readings import NOW, VOLTS, charger, told, with_battery
from tests.support.small_house import car, drawn_a, play

NEVER, HALF = Policy(battery_lends_kwh=0), Policy()
TEN_SECONDS = timedelta(seconds=10)


@pytest.mark.parametrize(
    ("battery_w", "export_w", "car_w", "assist_w", "lent_wh"),
    [
        (-3600.0, 0.0, 5000.0, 0.0, 10.0),
        (-3600.0, 0.0, 1800.0, 0.0, 5.0),
        (-1800.0, -1800.0, 5000.0, 0.0, 10.0),
        (0.0, -3600.0, 1800.0, 0.0, 5.0),
        (-3600.0, 0.0, 5000.0, 1800.0, 5.0),
        (2000.0, 0.0, 5000.0, 0.0, 0.0),
    ],
    ids=[
        "lends",
        "the house takes the rest",
        "imports too",
        "is empty",
        "assists",
        "charges",
    ],
)
def test_ten_seconds_of_the_account(
    battery_w: float, export_w: float, car_w: float, assist_w: float, lent_wh: float
) -> None:
    reading = with_battery(export_w, battery_w, 50)
    lent = lend(Lent(), NOW, TEN_SECONDS, reading, car_w, assist_w)
    assert lent.energy_wh == pytest.approx(lent_wh)


def test_each_day_has_an_account_of_its_own() -> None:
    full = Lent(day=NOW.date(), energy_wh=500.0)
    assert used_share(full, NOW, HALF) == 1
    assert used_share(full, NOW + timedelta(days=1), HALF) == 0
    tomorrow = lend(full, NOW + timedelta(days=1), TEN_SECONDS, with_battery(0, -3600, 50), 4e3, 0)
    assert tomorrow.energy_wh == pytest.approx(10)


@pytest.mark.parametrize(
    ("price_weight", "used", "weight"), [(0.8, 0.0, 0.8), (0.8, 0.5, 5.4), (0.8, 1.0, 10.0)]
)
def test_a_lent_wh_has_to_bring_more_the_less_is_left(
    price_weight: float, used: float, weight: float
) -> None:
    assert lent_weight(price_weight, used) == pytest.approx(weight)


# 7 A on three phases draw 4.6 kW, 8 A 5.3 kW: at 5.0 kW of surplus 57 % of the step are solar.
@pytest.mark.parametrize(
    ("policy", "lent_wh", "current_a"),
    [(HALF, 0.0, 8), (HALF, 250.0, 7), (HALF, 500.0, 7), (NEVER, 0.0, 7)],
    ids=["nothing lent yet", "half of it lent", "all of it lent", "never"],
)
def test_a_step_is_filled_from_the_battery_while_that_pays(
    policy: Policy, lent_wh: float, current_a: int
) -> None:
    lent = Lent(day=NOW.date(), energy_wh=lent_wh)
    state = told(7, accumulated_step_benefit_wh=50.0, lent=lent)
    surplus = with_battery(0, 5000 - 6.7 * 3 * VOLTS, 50)
    decision = decide(CycleInputs(NOW, surplus, charger(6.7), policy), state)
    assert decision.setpoint == Setpoint(current_a)


@settings(max_examples=150, deadline=None)
@given(
    reading=readings,
    shown=chargers,
    policy=policies(),
    state=memories,
    allowed_kwh=st.floats(0.01, 20),
    more_wh=st.floats(0, 5000),
)
def test_with_the_allowance_used_up_nothing_is_taken_as_if_there_were_none(
    reading: InverterReading,
    shown: ChargerState,
    policy: Policy,
    state: ControllerState,
    allowed_kwh: float,
    more_wh: float,
) -> None:
    lent = Lent(day=NOW.date(), energy_wh=1000 * allowed_kwh + more_wh)
    state = state.model_copy(update={"lent": lent})
    lends = policy.model_copy(update={"battery_lends_kwh": allowed_kwh})
    never = policy.model_copy(update={"battery_lends_kwh": 0.0})
    used_up = decide(CycleInputs(NOW, reading, shown, lends), state)
    none = decide(CycleInputs(NOW, reading, shown, never), state)
    assert (used_up.setpoint, used_up.push) == (none.setpoint, none.push)


def _lent_in_broken_clouds(policy: Policy) -> tuple[float, int]:
    """kWh that the battery lends in three hours of 2 minutes of sun, 2 of clouds; the pauses
    and phase changes.
    """
    lent_wh = 0.0

    def house(at: datetime, setpoint: Setpoint) -> tuple[InverterReading, ChargerState]:
        nonlocal lent_wh
        amps = drawn_a(setpoint)
        lines = setpoint.phases if setpoint.current_a else 1
        sun_w = 6500.0 if (at - NOW).total_seconds() % 240 < 120 else 2500.0
        charge_w = sun_w - amps * lines * VOLTS
        lent_wh += max(0.0, -charge_w) * 10 / 3600
        return with_battery(0, charge_w, 50), car(at, setpoint, amps, lines)

    cycles = play(house, 180, told(0), policy, step_s=10)
    choices = [
        (one.decision.setpoint.phases, one.current_a > 0) for one in cycles if one.decision.setpoint
    ]
    changes = sum(one != two for one, two in pairwise(choices))
    return lent_wh / 1000, changes


def test_three_hours_of_clouds_take_no_more_than_the_allowance() -> None:
    """What is taken before a cycle notices comes on top, with any allowance."""
    unwanted_kwh, restless = _lent_in_broken_clouds(NEVER)
    for allowed_kwh in (0.2, 0.5, 2.0):
        policy = Policy(battery_lends_kwh=allowed_kwh)
        lent_kwh, changes = _lent_in_broken_clouds(policy)
        assert lent_kwh <= allowed_kwh + unwanted_kwh
        assert changes <= restless
