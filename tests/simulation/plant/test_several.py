"""Several chargers in the simulated house: shared circuits, plug-ins, and what the house sees."""

from __future__ import annotations

import pytest

from easee_load_balancer.measurements import ReasonForNoCurrent
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.charger import ChargerSpec
from easee_load_balancer.simulation.plant.day import load_day
from easee_load_balancer.simulation.plant.other_chargers import OtherSpec
from easee_load_balancer.simulation.plant.plant import HouseSpec, Plant

NOON = 12 * 3600


def house(circuit_a: float, circuit: int = 0) -> Plant:
    charger = ChargerSpec(circuit_max_current_a=(circuit_a,) * 3)
    other = OtherSpec(CarSpec(), charger, circuit)
    spec = HouseSpec(battery=None, charger=charger, others=(other,), main_fuse_a=63)
    return Plant(load_day("clear"), spec, NOON)


def run(plant: Plant, seconds: int = 180) -> list[float]:
    """What the cars draw on L1 after some time, in whole amperes."""
    for _ in range(seconds):
        plant.step()
    return [round(plant.car.current_a + 0.3), round(plant.others[0].car.current_a + 0.3)]


@pytest.mark.parametrize(
    ("circuit_a", "circuit", "drawn_a"),
    [
        pytest.param(16.0, 1, [16, 16], id="circuits of their own"),
        pytest.param(32.0, 0, [16, 16], id="enough for both"),
        pytest.param(20.0, 0, [10, 10], id="shared alike"),
        pytest.param(11.0, 0, [11, 0], id="below 12 A the second waits"),
    ],
)
def test_a_circuit_is_shared_by_its_chargers(
    circuit_a: float, circuit: int, drawn_a: list[float]
) -> None:
    assert run(house(circuit_a, circuit)) == drawn_a


def test_the_waiting_charger_says_load_balancing() -> None:
    plant = house(11.0)
    run(plant)
    waiting = plant.others[0].charger
    assert waiting.reason_for_no_current is ReasonForNoCurrent.LIMITED_BY_LOAD_BALANCING


def test_one_charger_paused_leaves_the_circuit_to_the_other() -> None:
    plant = house(16.0)
    plant.charger.command_charger(plant.clock_s, 0.0, None)
    assert run(plant) == [0, 16]


def test_a_plug_in_resets_the_chargers_own_current_and_not_the_circuits() -> None:
    plant = house(16.0)
    other = plant.others[0]
    other.charger.command_charger(plant.clock_s, 8.0, None)
    other.charger.command_circuit(plant.clock_s, (12.0,) * 3, None)
    run(plant, 10)
    other.car.unplug()
    other.charger.plug_in()
    assert other.charger.dynamic_charger_current_a == 32.0
    assert other.charger.dynamic_circuit_current_a == (12.0, 12.0, 12.0)


def test_one_phase_of_a_circuit_makes_all_of_its_chargers_one_phase() -> None:
    plant = house(32.0)
    for charger in (plant.charger, plant.others[0].charger):
        charger.command_circuit(plant.clock_s, (32.0, 0.0, 0.0), None)
    run(plant)
    assert (plant.charger.output_phases, plant.others[0].charger.output_phases) == (1, 1)


def test_the_meter_and_the_counters_know_all_cars() -> None:
    plant = house(16.0, circuit=1)
    run(plant)
    cars_w = plant.car_w + plant.others[0].car_w
    assert plant.cars_w == pytest.approx(cars_w)
    assert plant.grid_export_w == pytest.approx(plant.pv_w - plant.load_w - cars_w, abs=1)
    delivered_kwh = plant.lifetime_kwh + plant.others[0].lifetime_kwh
    assert plant.counters.car_kwh == pytest.approx(delivered_kwh)
