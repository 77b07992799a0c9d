"""What owners of this hardware reported in public, each in a small house of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.measurements import (
    ChargerMode,
    ChargerState,
    GridType,
    InverterReading,
    Setpoint,
)
from tests.support.control_readings import NOW, VOLTS, charger, inverter, told
from tests.support.small_house import Cycle, car, changes, drawn_a, meter, play

FAST = Policy(mode="fast")
Answer = tuple[InverterReading, ChargerState]


def sentences(cycles: list[Cycle]) -> str:
    return "\n".join(cycle.decision.reason for cycle in cycles)


def test_pauses_once_to_free_a_charger_that_stays_on_one_phase() -> None:
    """evcc #9048, #29132: three phases commanded, OUTPUT_PHASE stays on one until a pause."""
    freed = False

    def house(at: datetime, setpoint: Setpoint) -> Answer:
        nonlocal freed
        freed = freed or not setpoint.current_a
        lines = 3 if freed and setpoint.phases == 3 else 1
        amps = drawn_a(setpoint)
        export_w = 8500 - amps * lines * VOLTS
        shown = car(at, setpoint, amps, lines, output_phases=lines if amps else 0)
        return inverter(export_w, taken_at=at), shown

    cycles = play(house, 30, told(16, 1, accumulated_benefit_wh={3: 500.0}))
    assert "charging on one phase although three are commanded" in sentences(cycles)
    assert any(cycle.decision.attention for cycle in cycles)
    assert sum(cycle.current_a == 0 for cycle in cycles) <= 3
    assert cycles[-1].charger.car_w == pytest.approx(8500, abs=700)


def test_lives_with_a_charger_that_stays_on_one_phase_for_good() -> None:
    def house(at: datetime, setpoint: Setpoint) -> Answer:
        amps = drawn_a(setpoint)
        shown = car(at, setpoint, amps, 1, output_phases=1 if amps else 0)
        return inverter(8500 - amps * VOLTS, taken_at=at), shown

    cycles = play(house, 60, told(16, 1, accumulated_benefit_wh={3: 500.0}))
    assert cycles[-1].current_a == 16
    assert "one phase although three" in cycles[-1].decision.reason
    assert changes(cycles) <= 8


@pytest.mark.parametrize("grid_type", [GridType.IT_THREE_PHASES, GridType.IT_ONE_PHASE])
def test_never_sets_a_conductor_of_an_it_grid_to_0_a(grid_type: GridType) -> None:
    """evcc #28411: without a neutral, current returns on another line."""

    def house(at: datetime, setpoint: Setpoint) -> Answer:
        amps = drawn_a(setpoint)
        lines = replace(
            car(at, setpoint, amps, 1),
            grid_type=grid_type,
            car_current_a=(amps, 0.01, amps),
        )
        return inverter(2500 - amps * VOLTS, taken_at=at), lines

    cycles = play(house, 20, told(0))
    assert cycles[-1].current_a >= 9  # 2.5 kW at 230 W per ampere
    for cycle in cycles:
        setpoint = cycle.decision.setpoint
        assert setpoint is None or len(set(setpoint.circuit_current_a)) == 1


def test_keeps_16_a_on_an_it_grid_far_from_the_fuse() -> None:
    def house(at: datetime, setpoint: Setpoint) -> Answer:
        amps = drawn_a(setpoint)
        reading = meter(at, 5 + amps, 5, 5 + amps, grid_export_w=-1500 - amps * VOLTS)
        shown = replace(car(at, setpoint, amps, 1), grid_type=4, car_current_a=(amps, 0.01, amps))
        return reading, shown

    cycles = play(house, 10, told(16), FAST)
    assert {cycle.current_a for cycle in cycles} == {16}


@pytest.mark.parametrize("lines", [1, 2, 3])
def test_fast_mode_is_steady_far_from_the_fuse(lines: int) -> None:
    def house(at: datetime, setpoint: Setpoint) -> Answer:
        amps = drawn_a(setpoint)
        imports = [1 + (amps if line < lines else 0.0) for line in range(3)]
        return meter(at, *imports), car(at, setpoint, amps, lines)

    assert changes(play(house, 60, told(16), FAST)) == 0


def test_an_unseen_three_phase_car_counts_at_once() -> None:
    """A one-phase car left unseen; the new one's current moves more often than every minute."""

    def house(at: datetime, setpoint: Setpoint) -> Answer:
        wobble_a = 0.8 * (at.timestamp() // 30 % 2)
        amps = max(0.0, drawn_a(setpoint) - wobble_a)
        return meter(at, 20 + amps, 1 + amps, 1 + amps), car(at, setpoint, amps)

    one_phase = told(16).car.model_copy(update={"lines": {3: 1}, "factors": {3: 1.0}})
    cycles = play(house, 40, told(16, car=one_phase), FAST)
    over_s = sum(30 for cycle in cycles if (cycle.inverter.grid_current_phase_a[0] or 0) < -25)
    assert over_s <= 30


def test_meter_currents_without_a_sign_do_not_hide_an_import() -> None:
    """evcc #29845: currents always positive, powers signed."""
    watts = (-28 * VOLTS, -22 * VOLTS, -21 * VOLTS)

    def house(at: datetime, setpoint: Setpoint) -> Answer:
        reading = meter(at, -28, -22, -21, grid_export_phase_w=watts)
        return replace(reading, grid_export_w=sum(watts)), car(at, setpoint, 15.7)

    assert play(house, 0, told(16), FAST)[0].current_a == 10


def test_a_one_phase_car_is_not_paused_for_another_phase_once_its_own_is_known() -> None:
    """evcc #29532: L3 is overloaded by the house alone, the car is on L1."""

    def house(at: datetime, setpoint: Setpoint) -> Answer:
        amps = drawn_a(setpoint)
        return meter(at, 2 + amps, 3, 27), car(at, setpoint, amps, 1)

    cycles = play(house, 20, told(12, 1), FAST)
    assert cycles[-1].decision.state.wiring == {0: 0}
    assert cycles[-1].current_a == 16


@pytest.mark.parametrize("mode", [ChargerMode.AWAITING_START, ChargerMode.READY_TO_CHARGE])
def test_a_car_that_never_starts_is_tried_and_left_in_peace(mode: ChargerMode) -> None:
    def house(at: datetime, setpoint: Setpoint) -> Answer:
        return inverter(2500, taken_at=at), car(at, setpoint, 0.0, waiting=mode)

    cycles = play(house, 180, told(0))
    offers = {cycle.decision.setpoint for cycle in cycles}
    assert {(offer.phases, offer.current_a) for offer in offers if offer} >= {(1, 11), (3, 7)}
    assert "the car takes nothing" in cycles[-1].decision.reason
    assert changes(cycles) <= 10


def test_a_car_that_needs_three_phases_gets_them_when_the_sun_is_strong() -> None:
    """easee_hass #667: it never starts at (6, 0, 0)."""

    def house(at: datetime, setpoint: Setpoint) -> Answer:
        solar_w = 2500 if at < NOW + timedelta(minutes=30) else 9000
        amps = drawn_a(setpoint) if setpoint.phases == 3 else 0.0
        shown = car(at, setpoint, amps, waiting=ChargerMode.READY_TO_CHARGE)
        return inverter(solar_w - amps * 3 * VOLTS, taken_at=at), shown

    cycles = play(house, 60, told(0))
    assert cycles[-1].charger.car_w == pytest.approx(9000, abs=500)
    assert cycles[-1].decision.state.car.refused == 1


def test_keeps_the_start_current_until_the_car_draws() -> None:
    def house(at: datetime, setpoint: Setpoint) -> Answer:
        amps = drawn_a(setpoint) if at >= NOW + timedelta(seconds=120) else 0.0
        shown = car(at, setpoint, amps, 1, waiting=ChargerMode.READY_TO_CHARGE)
        return inverter(1400 - amps * VOLTS, taken_at=at), shown

    cycles = play(house, 4, told(0, 1), step_s=10)
    starting = [cycle for cycle in cycles if cycle.current_a and not cycle.charger.car_w]
    assert {cycle.current_a for cycle in starting} == {7}
    assert cycles[-1].current_a == 6


def test_current_that_flows_against_a_pause_is_answered_with_growing_intervals() -> None:
    def house(at: datetime, setpoint: Setpoint) -> Answer:
        return inverter(-11_000, taken_at=at), car(at, setpoint, 15.7, output_current_a=16.0)

    cycles = play(house, 60, told(0), step_s=10)
    pushes = [cycle.at for cycle in cycles if cycle.decision.push]
    gaps = [two - one for one, two in pairwise(pushes[1:])]
    assert 4 <= len(pushes) <= 10
    assert gaps == sorted(gaps)
    assert cycles[-1].decision.attention == "charging although a pause is commanded"


def test_a_stepping_car_settles_on_what_suits_it() -> None:
    """The car draws multiples of 2 A: 11 A would be 10, 10 A are 8."""

    def house(at: datetime, setpoint: Setpoint) -> Answer:
        amps = drawn_a(setpoint) // 2 * 2
        return inverter(6000 - amps * 3 * VOLTS, taken_at=at), car(at, setpoint, amps)

    assert changes(play(house, 60, told(8))) <= 12


@pytest.mark.parametrize(
    ("policy", "off_grid", "current_a"),
    [
        (FAST, True, 0),
        (Policy(), True, 0),
        (Policy(mode="fast", charge_off_grid=True), True, 11),
        (FAST, False, 0),
    ],
)
def test_island_pauses_the_car(policy: Policy, off_grid: bool, current_a: int) -> None:
    """huawei_solar #151: the meter is silent and the battery carries the house."""

    def house(at: datetime, setpoint: Setpoint) -> Answer:
        reading = replace(
            InverterReading.unknown(at), battery_charge_w=-5000.0, off_grid=off_grid, pv_w=0.0
        )
        return reading, car(at, setpoint, drawn_a(setpoint))

    assert play(house, 3, told(16), policy)[-1].current_a == current_a


def test_a_charge_that_began_by_itself_is_weighed_as_a_start() -> None:
    """Plugged in at 16 A x 3 on 1.5 kW of surplus: one phase at once, no debt, no delay."""
    new = told(16).model_copy(update={"setpoint_a": None, "weighed": False, "session_at": None})
    shown = charger(15.7, car_current_a=(15.7,) * 3, output_current_a=16.0, output_phases=3)
    reading = inverter(1500 - 15.7 * 3 * VOLTS)
    first = play(lambda at, setpoint: (reading, shown), 0, new)[0]
    assert first.decision.setpoint == Setpoint(7, 1)


@pytest.mark.parametrize(("phases", "battery"), [(1, False), (3, False), (1, True), (3, True)])
def test_without_surplus_no_pause_comes_sooner_than_the_owner_has_set(
    phases: int, battery: bool
) -> None:
    def house(at: datetime, setpoint: Setpoint) -> Answer:
        amps = drawn_a(setpoint)
        lines = setpoint.phases if setpoint.current_a else 1
        power_w = amps * lines * VOLTS
        reading = inverter(0.0, taken_at=at, has_battery=battery, battery_soc_pct=50.0)
        if battery:
            return replace(reading, battery_charge_w=-power_w), car(at, setpoint, amps, lines)
        return replace(reading, grid_export_w=-power_w), car(at, setpoint, amps, lines)

    state = told(6, phases, assessed_at=NOW)
    cycles = play(house, 6, state, Policy(phases=str(phases), stop_threshold_s=120), step_s=10)
    paused = next(cycle.at for cycle in cycles if not cycle.current_a)
    assert timedelta(seconds=120) <= paused - NOW <= timedelta(seconds=140)


def test_a_meter_that_repeats_itself_while_the_car_starts_is_silent() -> None:
    """wlcrs/huawei_solar #701: the same registers for hours, whatever the car takes."""
    started: list[datetime] = []

    def house(at: datetime, setpoint: Setpoint) -> Answer:
        amps = drawn_a(setpoint)
        if amps and not started:
            started.append(at)
        seen = started[0] if started else NOW - timedelta(hours=1)
        shown = car(at, setpoint, amps, observed_at={"car_w": seen})
        frozen = inverter(6400, taken_at=at, unchanged_since=NOW - timedelta(minutes=10))
        return frozen, shown

    cycles = play(house, 20, told(0))
    assert started
    assert cycles[-1].current_a == 0
    assert "the same values although the car's power changed" in cycles[-1].decision.reason


def test_a_meter_in_a_still_house_is_not_taken_for_frozen() -> None:
    def house(at: datetime, setpoint: Setpoint) -> Answer:
        amps = drawn_a(setpoint)
        steady = inverter(
            6400 - amps * 3 * VOLTS, taken_at=at, unchanged_since=NOW + timedelta(seconds=30)
        )
        seen = {"car_w": min(at, NOW + timedelta(seconds=40))}
        return steady, car(at, setpoint, amps, observed_at=seen)

    assert "same values" not in sentences(play(house, 20, told(0)))


def test_the_meters_problem_is_said() -> None:
    reading = replace(inverter(None), problem="meter: 0 V on L2")
    cycles = play(lambda at, setpoint: (reading, charger(9.7)), 0, told(10))
    assert "meter: 0 V on L2" in cycles[0].decision.reason
