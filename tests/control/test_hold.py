"""When the battery is held, and how: cases with numbers, and nights in the closed loop."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.meter_sign import MeterSign
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.measurements import (
    BatteryHold,
    ChargerMode,
    ChargerState,
    InverterReading,
    Setpoint,
)
from tests.support.control_readings import NOW, charger, inverter, told, with_battery

FREE, COMMAND, LIMIT = BatteryHold.FREE, BatteryHold.COMMAND, BatteryHold.LIMIT
FAST = Policy(mode="fast", hold_battery=True)
SLOWLY = Policy(mode="solar+minimum", hold_battery=True)
WRONG = MeterSign(wrong_since=NOW, mode="fast")
CHARGING = charger(10)
"""6.9 kW."""
MINUTES_AGO = NOW - timedelta(minutes=6)


def at_night(export_w: float, charge_w: float, **other: Any) -> InverterReading:
    dark = replace(with_battery(export_w, charge_w, 80), pv_w=0.0, rated_w=10_000.0)
    return replace(dark, **other)


def by_day(export_w: float, charge_w: float, **other: Any) -> InverterReading:
    return at_night(export_w, charge_w, **({"pv_w": 2000.0} | other))


@pytest.mark.parametrize(
    ("reading", "state_of_charger", "policy", "state", "hold"),
    [
        pytest.param(
            at_night(-2400, -5000), CHARGING, Policy(mode="fast"), told(10), FREE, id="not asked"
        ),
        pytest.param(at_night(-2400, -5000), CHARGING, FAST, told(10), COMMAND, id="at night"),
        pytest.param(by_day(-400, -5000), CHARGING, FAST, told(10), LIMIT, id="by day"),
        pytest.param(
            at_night(-2400, -5000), CHARGING, FAST, told(10, sign=WRONG), FREE,
            id="room below the fuse unknown",
        ),
        pytest.param(by_day(100, 200), CHARGING, FAST, told(10), FREE, id="surplus covers the car"),
        pytest.param(
            at_night(-7400, 0), CHARGING, FAST, told(10, hold=COMMAND), COMMAND, id="goes on"
        ),
        pytest.param(
            by_day(-7400, 0, pv_w=300.0), CHARGING, FAST, told(10, hold=LIMIT), LIMIT, id="evening"
        ),
        pytest.param(
            at_night(-7400, 0), CHARGING, FAST, told(10, hold=LIMIT), COMMAND, id="night falls"
        ),
        pytest.param(
            at_night(-500, 0), charger(), FAST, told(10, hold=COMMAND), FREE, id="car stopped"
        ),
        pytest.param(
            at_night(0, -500), charger(), FAST, told(0), COMMAND, id="before the car starts"
        ),
        pytest.param(
            at_night(0, -500), charger(mode=ChargerMode.DISCONNECTED), FAST, told(0), FREE,
            id="no car",
        ),
        pytest.param(
            at_night(0, -7000), CHARGING, Policy(hold_battery=True), told(10), FREE,
            id="mode solar",
        ),
        pytest.param(
            at_night(0, -7000), CHARGING, SLOWLY, told(10), FREE, id="a cloud in solar+minimum"
        ),
        pytest.param(
            at_night(0, -7000), CHARGING, SLOWLY, told(10, lack_since=MINUTES_AGO), COMMAND,
            id="no cloud any more",
        ),
        pytest.param(
            at_night(0, -7000), CHARGING, SLOWLY, told(10, lack_since=NOW + timedelta(hours=1)),
            COMMAND, id="the clock was set back since",
        ),
        pytest.param(
            by_day(2000, 0), CHARGING, SLOWLY, told(10, hold=LIMIT), LIMIT, id="a gap in the clouds"
        ),
        pytest.param(
            by_day(2000, 0), CHARGING, SLOWLY, told(10, hold=LIMIT, covered_since=MINUTES_AGO),
            FREE, id="the sun is back",
        ),
        pytest.param(
            at_night(-400, -7000, off_grid=True), CHARGING,
            FAST.model_copy(update={"charge_off_grid": True}), told(10, hold=COMMAND), FREE,
            id="grid gone",
        ),
        pytest.param(
            at_night(0, -7000), CHARGING,
            FAST.model_copy(update={"battery_support_w": 3000, "battery_support_from_pct": 60}),
            told(10), FREE, id="the owner lets the battery assist",
        ),
        pytest.param(
            inverter(-7400, pv_w=0.0), CHARGING, FAST, told(10), FREE, id="house without battery"
        ),
        pytest.param(
            InverterReading.unknown(NOW), CHARGING, FAST,
            told(10, hold=COMMAND, hold_known_at=NOW - timedelta(minutes=1)), COMMAND,
            id="not read this time",
        ),
        pytest.param(
            InverterReading.unknown(NOW), CHARGING, FAST,
            told(10, hold=COMMAND, hold_known_at=MINUTES_AGO), FREE, id="not read for minutes",
        ),
        pytest.param(
            at_night(0, -500), charger(), FAST, told(0, lack_since=MINUTES_AGO, hold=COMMAND), FREE,
            id="the car's start is refused by the cloud",
        ),
        pytest.param(
            at_night(0, -500), charger(mode=ChargerMode.COMPLETED), FAST,
            told(16, lack_since=MINUTES_AGO), FREE, id="the car is full",
        ),
        pytest.param(
            at_night(-11_000, -6000), CHARGING, FAST, told(10), FREE,
            id="the main fuse cannot give what the battery gives: the car is lowered first",
        ),
    ],
)  # fmt: skip
def test_hold(
    reading: InverterReading,
    state_of_charger: ChargerState,
    policy: Policy,
    state: Any,
    hold: BatteryHold,
) -> None:
    decision = decide(CycleInputs(NOW, reading, state_of_charger, policy), state)
    assert decision.state.hold is hold
    assert ("battery held" in decision.reason) == (hold is not FREE)


@pytest.mark.parametrize(
    ("charge_w", "held_for_min", "disobeys"),
    [(-3000, 6, True), (-3000, 1, False), (-100, 6, False), (2000, 6, False)],
    ids=["discharges", "has just been told", "supplies itself", "charges"],
)
def test_a_battery_that_does_not_obey_gets_attention(
    charge_w: float, held_for_min: int, disobeys: bool
) -> None:
    since = NOW - timedelta(minutes=held_for_min)
    state = told(10, hold=LIMIT, hold_since=since)
    decision = decide(CycleInputs(NOW, by_day(-4000, charge_w), CHARGING, FAST), state)
    assert decision.state.hold_since == since
    said = "the battery should be held and gives 3.0 kW"
    assert (decision.attention == said) == (said in decision.reason) == disobeys
    assert decision.reason.endswith("; battery held") != disobeys


def test_the_car_leaves_room_at_the_main_fuse_for_what_the_battery_gives() -> None:
    """25 A - 2 A - 16 A imported - 8.7 A from the battery: the car gives 1.7 of its 10 A back."""
    reading = at_night(-16 * 3 * 230.0, -6000)
    busy = replace(reading, grid_current_phase_a=(-16.0, -16.0, -16.0))
    held = decide(CycleInputs(NOW, busy, CHARGING, FAST), told(10))
    free = decide(CycleInputs(NOW, busy, CHARGING, Policy(mode="fast")), told(10))
    assert (held.setpoint, held.state.hold) == (Setpoint(8), FREE)
    assert free.setpoint is not None
    assert free.setpoint.current_a >= 10
