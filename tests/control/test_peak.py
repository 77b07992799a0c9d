"""Capacity tariffs: what a month has cost so far, and what a running interval leaves to the car."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from easee_load_balancer.control.boost import Boost
from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.peak import PeakLimit, PeakTariff, highest_intervals
from easee_load_balancer.control.plan import GridAllowance
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.power_limits import count_interval
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.measurements import InverterReading, Setpoint
from tests.support.control_readings import NOW, charger, inverter, told

FAST = Policy(mode="fast")
HOUR = PeakLimit(limit_w=8000.0, minutes=60)
TIGHT = PeakLimit(limit_w=2000.0, minutes=60)


@pytest.mark.parametrize(
    ("minute", "wh", "export_w", "expected"),
    [
        # the car draws 10 A x 3 = 6.9 kW, the house 0.9 kW; 7.92 kWh may be used
        pytest.param(30, 3800.0, -7800.0, Setpoint(10), id="half an hour, half of the energy"),
        pytest.param(30, 2000.0, -7800.0, Setpoint(15), id="energy was left over"),
        pytest.param(30, 4900.0, -7800.0, Setpoint(7), id="too much was used so far"),
        pytest.param(30, 6300.0, -7800.0, Setpoint(9, 1), id="little is left: one phase"),
        pytest.param(30, 7900.0, -7800.0, Setpoint(0), id="nothing is left"),
        pytest.param(30, 3960.0, -8400.0, Setpoint(9), id="the house takes more: less at once"),
        pytest.param(0, 0.0, -3900.0, Setpoint(15), id="3 kW of sun come on top"),
    ],
)
def test_energy_left_in_the_hour_decides_the_current(
    minute: int, wh: float, export_w: float, expected: Setpoint
) -> None:
    now = NOW.replace(minute=minute)
    long_ago = now - timedelta(hours=1)
    state = told(10, changed_at=long_ago, interval_counted_at=now, interval_wh=wh)
    reading = replace(inverter(export_w), taken_at=now)
    shown = charger(10)
    decision = decide(CycleInputs(now, reading, shown, FAST, peak=HOUR), state)
    assert decision.setpoint == expected


def test_the_meter_asleep_leaves_what_was_planned() -> None:
    reading, planned = InverterReading.sleeping(NOW), GridAllowance(8 * 690.0, "planned")
    state = told(8, planned=True)
    inputs = CycleInputs(NOW, reading, charger(8), Policy(), grid=planned, peak=HOUR)
    assert decide(inputs, state).setpoint == Setpoint(8)


def test_the_meter_unknown_leaves_half_of_the_peak() -> None:
    state = told(16, unknown_since=NOW - timedelta(minutes=2))
    decision = decide(CycleInputs(NOW, inverter(None), charger(16), FAST, peak=HOUR), state)
    assert decision.setpoint == Setpoint(11, 1)
    assert decision.reason.startswith("11 A x 1: meter unknown: half of the main fuse")


def test_a_boost_is_worth_a_peak_and_planned_energy_is_not() -> None:
    used_up = told(6, interval_counted_at=NOW, interval_wh=8000.0)
    planned = GridAllowance(11_040.0, "planned")
    inputs = CycleInputs(NOW, inverter(-5000.0), charger(6), Policy(), grid=planned, peak=TIGHT)
    assert decide(inputs, used_up).setpoint == Setpoint(0)
    boost = Boost(current_a=10, started_at=NOW)
    assert decide(replace(inputs, boost=boost), used_up).setpoint == Setpoint(10)


@pytest.mark.parametrize(
    ("state", "at", "expected_wh"),
    [
        pytest.param(ControllerState(), NOW.replace(minute=30), 4000.0, id="begun unseen"),
        pytest.param(
            ControllerState(interval_counted_at=NOW.replace(minute=29), interval_wh=500.0),
            NOW.replace(minute=30),
            550.0,
            id="3 kW for a minute",
        ),
        pytest.param(
            ControllerState(interval_counted_at=NOW - timedelta(minutes=1), interval_wh=7000.0),
            NOW.replace(minute=1),
            50.0,
            id="a new hour",
        ),
        pytest.param(
            ControllerState(interval_counted_at=NOW, interval_wh=100.0),
            NOW.replace(minute=30),
            4000.0,
            id="a long gap counts as used up",
        ),
    ],
)
def test_import_is_counted_from_the_full_hour(
    state: ControllerState, at: datetime, expected_wh: float
) -> None:
    inputs = CycleInputs(at, inverter(-3000.0), charger(), Policy(), peak=HOUR)
    assert count_interval(state, inputs).interval_wh == pytest.approx(expected_wh)


def test_nothing_is_counted_without_such_a_tariff() -> None:
    state = ControllerState()
    assert count_interval(state, CycleInputs(NOW, inverter(), charger(), Policy())) is state


def test_the_highest_of_the_month() -> None:
    day = datetime(2026, 1, 5, 17, tzinfo=UTC)
    hours = [(day, 9000.0), (day + timedelta(hours=1), 8000.0), (day + timedelta(days=1), 5000.0)]
    assert highest_intervals(hours, PeakTariff(5.0, highest=2)) == (9000.0, 8000.0)
    by_day = PeakTariff(5.0, highest=2, different_days=True)
    assert highest_intervals(hours, by_day) == (9000.0, 5000.0)
    assert replace(by_day, so_far_w=(9000.0, 5000.0)).paid_w == 5000.0
    assert replace(by_day, so_far_w=(9000.0,)).paid_w == 0.0
    assert PeakTariff(5.0, highest=1, minutes=15, free_w=2500.0).paid_w == 2500.0
