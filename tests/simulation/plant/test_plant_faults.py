"""Wiring, grids, stubborn chargers, cars that come and go, meters that show nonsense.

The closed loop shows what the clients read from the simulated cloud and inverter.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from easee_load_balancer.devices.easee.models import Observation
from easee_load_balancer.devices.easee.observations import charger_state
from easee_load_balancer.devices.huawei.registers import METER, decode_meter
from easee_load_balancer.measurements import ChargerMode
from easee_load_balancer.simulation.easee.observations import as_json, cloud_copy, observe
from easee_load_balancer.simulation.huawei.registers import STATUS_OFF_GRID, Today, inverter, meter
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.charger import ChargerSpec
from easee_load_balancer.simulation.plant.closed_loop import ReportedCharger, read_inverter
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.simulation.plant.grid import PerPhase
from easee_load_balancer.simulation.plant.meter import MeterFault
from easee_load_balancer.simulation.plant.plant import BatterySpec, HouseSpec, Plant, Visit

START = datetime(2026, 6, 21, tzinfo=UTC)
DULL = Day("dull", (200.0,) * 1440, (300.0,) * 1440)
THREE, TWO, ONE = (10.0, 10.0, 10.0), (10.0, 10.0, 0.0), (10.0, 0.0, 0.0)
ENDS, ZERO = (10.0, 0.0, 10.0), (0.0, 0.0, 0.0)
ALL, L1, L1_L2, L1_L3 = (9.7, 9.7, 9.7), (9.7, 0, 0), (9.7, 9.7, 0), (9.7, 0, 9.7)
NONE = (0, 0, 0)
UNTIL_PAUSED, FOR_GOOD = {"stuck_phases": "until_paused"}, {"stuck_phases": "until_unplugged"}
IGNORES_ZERO = {"ignores_zero_s": 120}
Command = tuple[int, PerPhase]
"""Seconds, and the circuit current meanwhile."""


def played(
    commands: Sequence[Command], *, car: dict[str, Any], charger: dict[str, Any], **house: Any
) -> Plant:
    """A house after (seconds, circuit current) one after the other."""
    spec = HouseSpec(
        battery=house.pop("battery", None),
        car=CarSpec(**{"start_delay_s": (5, 5)} | car),
        charger=ChargerSpec(**charger),
        **house,
    )
    plant = Plant(DULL, spec)
    plant.charger.dynamic_circuit_current_a = (0.0, 0.0, 0.0)
    for seconds, current_a in commands:
        plant.charger.command_circuit(plant.clock_s, current_a, None)
        for _ in range(seconds):
            plant.step()
    return plant


@pytest.mark.parametrize(
    ("charger", "car", "commands", "charger_a", "output", "lines_a"),
    [
        ({}, {}, [(90, THREE)], ALL, (30, 3), ALL),
        ({}, {}, [(90, ONE)], L1, (10, 1), L1),
        ({}, {}, [(90, TWO)], L1_L2, (20, 2), L1_L2),
        ({}, {"phases": 2}, [(90, THREE)], L1_L2, (30, 3), L1_L2),
        ({"wiring": (1, 2, 0)}, {"phases": 2}, [(90, THREE)], L1_L2, (30, 3), (0, 9.7, 9.7)),
        ({"grid_type": 3, "wiring": (2, 0, 1)}, {}, [(90, THREE)], L1, (10, 1), (0, 0, 9.7)),
        ({"grid_type": 4}, {}, [(90, THREE)], ALL, (30, 3), ALL),
        ({"grid_type": 4}, {}, [(90, ONE)], NONE, (0, 0), NONE),
        ({"grid_type": 4}, {"phases": 1}, [(90, THREE)], L1_L3, (11, 1), L1_L3),
        ({"grid_type": 4}, {"phases": 1}, [(90, ENDS)], L1_L3, (11, 1), L1_L3),
        ({"grid_type": 4}, {"phases": 1}, [(90, ONE)], NONE, (0, 0), NONE),
        ({"grid_type": 5}, {}, [(90, THREE)], L1_L3, (11, 1), L1_L3),
        ({"grid_type": 5}, {}, [(90, ENDS)], NONE, (0, 0), NONE),
        (UNTIL_PAUSED, {}, [(90, ONE), (90, THREE)], L1, (10, 1), L1),
        (UNTIL_PAUSED, {}, [(90, ONE), (30, ZERO), (90, THREE)], ALL, (30, 3), ALL),
        (FOR_GOOD, {}, [(90, THREE), (30, ZERO), (90, ONE)], ALL, (30, 3), ALL),
        (IGNORES_ZERO, {}, [(90, THREE), (60, ZERO)], ALL, (30, 3), ALL),
        (IGNORES_ZERO, {}, [(90, THREE), (130, ZERO), (9, ZERO)], NONE, (0, 0), NONE),
    ],
    ids=[
        "TN, three phases", "TN, one phase", "TN, two phases", "TN, two-phase car",
        "TN rotated", "TN one phase on L3", "IT3", "IT3, 0 A on two conductors",
        "IT3, one-phase car", "IT3, one-phase car, 0 A on the unused", "IT3, 0 A on the return",
        "IT1", "IT1, 0 A on the third", "stuck on one", "a pause frees it", "stuck for good",
        "zero ignored", "zero taken at last",
    ],
)  # fmt: skip
def test_charger_and_lines_carry_the_current(
    charger: dict[str, Any],
    car: dict[str, Any],
    commands: Sequence[Command],
    charger_a: tuple[float, ...],
    output: tuple[int, int],
    lines_a: tuple[float, ...],
) -> None:
    plant = played(commands, charger=charger, car=car)
    without = plant.lines(0.0, ()).current_a
    added_a = [was - amps for was, amps in zip(without, plant.grid_export_phase_a, strict=True)]
    assert plant.charger.car_phase_current_a() == pytest.approx(charger_a)
    assert observe(plant)[110] == output[0]
    assert plant.charger.output_phases == output[1]
    tolerance_a = 1.0 if charger.get("grid_type", 1) in (4, 5) else 0.01
    assert added_a == pytest.approx(lines_a, abs=tolerance_a)


@pytest.mark.parametrize("charger", [{}, {"grid_type": 4}, {"grid_type": 5}, {"stale_power": True}])
@pytest.mark.parametrize("car", [{}, {"phases": 1}, {"phases": 2}])
@pytest.mark.parametrize("last", [THREE, ZERO])
def test_closed_loop_shows_the_charger_as_its_cloud_does(
    charger: dict[str, Any], car: dict[str, Any], last: PerPhase
) -> None:
    plant = played([], charger=charger, car=car)
    loop, cloud = ReportedCharger(plant, 2, START), cloud_copy(plant, 2, START)
    now = START
    for current_a in (THREE, last):
        plant.charger.command_circuit(
            plant.clock_s, (current_a[0], current_a[1], current_a[2]), None
        )
        for _ in range(120):
            plant.step()
            now = START + timedelta(seconds=plant.clock_s)
            loop.step(plant)
            cloud.update(observe(plant), plant.clock_s, now)
    seen = [Observation.model_validate(as_json(*each)) for each in cloud.shown(now).items()]
    read, shown = charger_state(seen, now), loop.state(plant)
    for name in (
        "mode", "output_current_a", "output_phases", "circuit_current_a", "grid_type",
        "reason_for_no_current",
    ):  # fmt: skip
        assert getattr(shown, name) == getattr(read, name), name
    assert shown.car_w == pytest.approx(read.car_w, abs=1)
    assert shown.car_current_a == pytest.approx(read.car_current_a, abs=0.01)
    charging = last is THREE
    assert (read.mode is ChargerMode.CHARGING) == charging
    assert bool(read.car_w) == charging
    assert bool(read.car_current_a[0]) == charging


def _fault(kind: Any) -> dict[str, Any]:
    return {"meter_faults": (MeterFault(kind, 50, 99),)}


@pytest.mark.parametrize(
    ("house", "expected"),
    [
        ({}, {"meter_phases": 3}),
        ({"meter_unsigned": True}, {"meter_phases": 3}),
        (_fault("zeros"), {"grid_export_w": None, "grid_voltage_v": (None,) * 3}),
        (_fault("dead_phase"), {"grid_export_w": None, "meter_phases": 3}),
        (_fault("offline"), {"grid_export_w": None, "meter_phases": None}),
        ({"islands": ((50, 99),), "battery": BatterySpec()}, {"grid_export_w": None}),
    ],
    ids=["sound", "unsigned", "zeros", "dead phase", "offline", "island"],
)
def test_closed_loop_shows_the_meter_as_the_inverter_does(
    house: dict[str, Any], expected: dict[str, Any]
) -> None:
    plant = played([(60, THREE)], car={}, charger={}, **house)
    words = meter(plant.meter if plant.meter_online else None, 3)
    read = decode_meter([words.get(METER.address + at, 0) for at in range(METER.count)])
    shown = read_inverter(plant, START)
    assert shown.grid_export_w == pytest.approx(read.grid_export_w, abs=1)
    assert shown.grid_current_phase_a == pytest.approx(read.current_a, abs=0.01)
    assert shown.grid_voltage_v == pytest.approx(read.voltage_v, abs=0.1)
    assert (shown.meter_phases is None) == (not read.online)
    assert (shown.problem is None) == (read.problem is None)
    for name, value in expected.items():
        assert getattr(shown, name) == value, name
    if "meter_unsigned" in house:
        assert min(amps or 0.0 for amps in shown.grid_current_phase_a) > 9
        assert (shown.grid_export_w or 0.0) < -6000
    assert plant.off_grid == ("islands" in house)
    if plant.off_grid:
        assert inverter(plant, Today.begin(plant, 0))[32089] == STATUS_OFF_GRID


def test_dead_phase_of_the_meter_has_a_current_but_neither_voltage_nor_power() -> None:
    plant = played(
        [(60, THREE)], car={}, charger={}, meter_faults=(MeterFault("dead_phase", 0, 99),)
    )
    sample = plant.meter
    assert sample.grid_export_w[1] == sample.voltage_v[1] == 0.0
    assert sample.current_a[1] < -9


def test_frozen_meter_repeats_itself_until_the_fault_ends() -> None:
    plant = played([(19, THREE)], car={}, charger={}, meter_faults=(MeterFault("frozen", 20, 50),))
    samples = []
    for _ in range(50):
        plant.step()
        samples.append(plant.meter.grid_export_w)
    assert len(set(samples[5:28])) == 1
    assert samples[40] != samples[20]


def test_cars_come_and_go_on_time_and_are_seen_only_while_they_do() -> None:
    one, three = CarSpec(phases=1, start_delay_s=(5, 5)), CarSpec(start_delay_s=(5, 5))
    visits = (Visit(10, 100, one), Visit(106, 300, three))
    plant = played([], car={}, charger={}, visits=visits)
    plant.charger.dynamic_circuit_current_a = THREE
    phases = {}
    while plant.clock_s < 320:
        plant.step()
        drawn_a = plant.charger.car_phase_current_a()
        phases[plant.clock_s] = (plant.charger.op_mode, sum(amps > 0 for amps in drawn_a))
    gone = [second for second, (mode, _) in phases.items() if mode is ChargerMode.DISCONNECTED]
    assert gone == [*range(2, 10), *range(100, 106), *range(300, 321)]
    assert (phases[99][1], phases[200][1]) == (1, 3)
    assert plant.car.spec == three
