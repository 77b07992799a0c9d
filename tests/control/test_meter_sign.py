"""A meter that counts export as import: noticed by what the car's own changes do to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal

import pytest

from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.meter_sign import CHECKING, PAUSE, WRONG_SIGN
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.measurements import ChargerState, InverterReading, Setpoint
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.closed_loop import QUICK, SLOW, Link, run_day
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.simulation.plant.meter import MeterFault
from easee_load_balancer.simulation.plant.plant import HouseSpec
from tests.benchmarks.laws import Ours
from tests.support.control_readings import NOW, VOLTS, inverter, told
from tests.support.small_house import Cycle, House, car, drawn_a, meter, play

LOAD_W = 600.0


def house(
    pv_w: Callable[[float], float],
    wrong: Callable[[float], bool] = lambda _: True,
    load_w: Callable[[float], float] = lambda _: LOAD_W,
) -> House:
    """A house without battery whose meter is the wrong way round in those minutes."""

    def shown(at: datetime, setpoint: Setpoint) -> tuple[InverterReading, ChargerState]:
        minute = (at - NOW).total_seconds() / 60
        amps = drawn_a(setpoint)
        lines = setpoint.phases if setpoint.current_a else 1
        made_w = pv_w(minute)
        export_w = made_w - load_w(minute) - amps * lines * VOLTS
        export_w *= -1 if wrong(minute) else 1
        reading = inverter(export_w, taken_at=at, pv_w=made_w, inverter_ac_w=made_w)
        return reading, car(at, setpoint, amps, lines)

    return shown


def first_alarm(cycles: list[Cycle]) -> Cycle | None:
    return next((one for one in cycles if one.decision.attention == WRONG_SIGN), None)


def rises(cycles: list[Cycle]) -> list[datetime]:
    """When the car was seen to draw more than in the cycle before."""
    return [
        after.at
        for before, after in pairwise(cycles)
        if (after.charger.car_w or 0) > (before.charger.car_w or 0)
    ]


@pytest.mark.parametrize("step_s", [10, 30])
def test_a_wrong_sign_is_noticed_within_three_cycles_of_the_cars_first_rise(step_s: int) -> None:
    """In the evening 2.5 kW of import look like export, and the car starts."""
    cycles = play(house(lambda _: 100.0, load_w=lambda _: 2600.0), 15, told(0), step_s=step_s)
    alarm = first_alarm(cycles)
    assert alarm is not None
    assert alarm.at - rises(cycles)[0] <= timedelta(seconds=3 * step_s)
    assert alarm.current_a == 0
    assert WRONG_SIGN in alarm.decision.reason
    assert {one.current_a for one in cycles if one.at >= alarm.at} == {0}


@pytest.mark.parametrize("step_s", [10, 30])
def test_a_small_first_rise_stops_the_car_within_three_cycles_and_the_stop_proves_it(
    step_s: int,
) -> None:
    """1.4 kW on one phase, while 1.6 kW of import look like export."""
    policy = Policy(phases="1")
    cycles = play(
        house(lambda _: 100.0, load_w=lambda _: 1700.0), 15, told(0, 1), policy, step_s=step_s
    )
    rise = rises(cycles)[0]
    stop = next(one for one in cycles if one.at > rise and not one.current_a)
    assert stop.at - rise <= timedelta(seconds=3 * step_s)
    assert CHECKING in stop.decision.reason
    alarm = first_alarm(cycles)
    assert alarm is not None
    assert alarm.at - stop.at <= timedelta(seconds=3 * step_s)
    assert {one.current_a for one in cycles if one.at >= stop.at} == {0}


def test_a_load_that_falls_with_a_small_first_rise_is_a_short_stop_and_no_alarm() -> None:
    """2.6 kW of load end as the car takes 1.3 kW: the export rises; the stop clears the meter."""
    started: list[datetime] = []

    def shown(at: datetime, setpoint: Setpoint) -> tuple[InverterReading, ChargerState]:
        if setpoint.current_a and not started:
            started.append(at)
        amps = drawn_a(setpoint)
        export_w = 5000.0 - (800.0 if started else 3400.0) - amps * VOLTS
        reading = inverter(export_w, taken_at=at, pv_w=5000.0, inverter_ac_w=5000.0)
        return reading, car(at, setpoint, amps, 1)

    cycles = play(shown, 20, told(0, 1), Policy(phases="1"), step_s=10)
    assert any(CHECKING in one.decision.reason for one in cycles)
    assert first_alarm(cycles) is None
    assert cycles[-1].current_a == 16


def test_a_wrong_sign_that_begins_while_charging_is_noticed() -> None:
    """8 kW of PV; the meter turns at minute 30 while 1.5 kW come and go: down to a pause."""
    cycles = play(
        house(lambda _: 8000.0, lambda minute: minute >= 30, lambda m: 600 + 1500 * (m % 10 > 7)),
        45, told(0), step_s=10,
    )  # fmt: skip
    alarm = first_alarm(cycles)
    assert alarm is not None
    assert timedelta() < alarm.at - (NOW + timedelta(minutes=30)) < timedelta(minutes=6)
    assert {one.current_a for one in cycles if one.at >= alarm.at} == {0}


def test_it_is_tried_again_every_hour_and_all_is_well_once_the_sign_is_right() -> None:
    """The owner turns the meter's clamps after 90 minutes."""
    cycles = play(
        house(lambda _: 100.0, lambda minute: minute < 90, lambda m: 2600.0 if m < 90 else -4000.0),
        200, told(0), step_s=10,
    )  # fmt: skip
    alarm = first_alarm(cycles)
    assert alarm is not None
    attentive = [one for one in cycles if one.decision.attention == WRONG_SIGN]
    charging = [one.at for one in cycles if one.at > alarm.at and one.current_a]
    assert charging[0] - alarm.at >= PAUSE
    assert attentive[-1].at < cycles[-1].at - timedelta(minutes=10)
    assert cycles[-1].charger.car_w


@pytest.mark.parametrize(
    ("mode", "counts_backwards", "attention"),
    [("solar", False, WRONG_SIGN), ("solar+minimum", False, None), ("solar", True, None)],
    ids=["nothing changed", "another mode", "the meter's setting"],
)
def test_a_change_of_the_settings_starts_the_check_again(
    mode: Literal["solar", "solar+minimum"], counts_backwards: bool, attention: str | None
) -> None:
    cycles = play(house(lambda _: 100.0, load_w=lambda _: 2600.0), 5, told(0), step_s=10)
    state = cycles[-1].decision.state
    assert state.sign.wrong_since is not None
    at = cycles[-1].at + timedelta(seconds=10)
    reading = meter(at, 5, 5, 5, meter_counts_backwards=counts_backwards)
    inputs = CycleInputs(at, reading, car(at, Setpoint(0), 0.0), Policy(mode=mode))
    assert decide(inputs, state).attention == attention


def test_with_a_wrong_sign_half_of_the_fuse_is_left_to_the_house() -> None:
    """What looks like room below the fuse is import."""
    state = told(16, drew=True)
    state = state.model_copy(
        update={"sign": state.sign.model_copy(update={"wrong_since": NOW, "mode": "fast"})}
    )
    policy = Policy(mode="fast", main_fuse_a=25)
    shown = car(NOW, Setpoint(16), 15.7)
    decision = decide(CycleInputs(NOW, meter(NOW, -20, -20, -20), shown, policy), state)
    assert decision.setpoint == Setpoint(11)


@pytest.mark.parametrize(
    ("load_w", "pv_w"),
    [
        (lambda m: 600 + 2000 * (m % 7 < 3), lambda m: 8000.0),
        (lambda m: 600.0, lambda m: 8000.0 if m % 9 < 5 else 3000.0),
        (lambda m: 600 + 2500 * (m % 5 < 2), lambda m: 9000.0 if m % 11 < 5 else 2000.0),
    ],
    ids=["an oven", "clouds", "both"],
)
def test_loads_and_clouds_are_no_wrong_sign(
    load_w: Callable[[float], float], pv_w: Callable[[float], float]
) -> None:
    cycles = play(house(pv_w, lambda _: False, load_w), 300, told(0), step_s=10)
    assert first_alarm(cycles) is None


@pytest.mark.parametrize("link", [QUICK, SLOW], ids=lambda link: link.name)
def test_in_the_simulated_house_a_turned_meter_stops_the_car(link: Link) -> None:
    """After half an hour of charging; loads come and go."""
    load_w = tuple(600.0 + (1500 if minute % 20 >= 15 else 0) for minute in range(1440))
    spec = HouseSpec(
        car=CarSpec(energy_needed_kwh=1000.0),
        meter_faults=(MeterFault("reversed", 1800, 86_400),),
    )
    law = Ours()
    run_day(law, Day("loads", (6000.0,) * 1440, load_w), link, spec=spec, hours=0.7)
    assert law.state.sign.wrong_since is not None
    assert law.state.setpoint_a == 0


def test_what_is_at_rest_takes_no_room_in_the_history() -> None:
    """Each cycle's row holds the controller state."""
    stored = ControllerState().model_dump(mode="json")
    assert (stored["hidden"], stored["sign"]) == ({}, {})
    used = play(house(lambda _: 8000.0, lambda _: False), 3, told(0), step_s=10)[-1].decision.state
    assert ControllerState.model_validate(used.model_dump(mode="json")) == used
    assert len(used.sign.model_dump_json()) < 200
