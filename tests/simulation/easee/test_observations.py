"""What the charger reports to its cloud."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from easee_load_balancer.simulation.easee.observations import (
    KNOWN_IDS,
    Value,
    as_json,
    cloud_copy,
    observe,
)
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.charger import ChargerSpec
from easee_load_balancer.simulation.plant.cloud_lag import Reported
from easee_load_balancer.simulation.plant.day import generate_day
from easee_load_balancer.simulation.plant.plant import HouseSpec, Plant

NOW = datetime(2026, 6, 21, 10, 0, 0, tzinfo=UTC)
NOON_S = 12 * 3600
POWER, MODE = 120, 109


def plant_at_noon(**spec: object) -> Plant:
    house = HouseSpec(**{"battery": None, **spec})  # type: ignore[arg-type]
    return Plant(generate_day("clear"), house, NOON_S)


def run(plant: Plant, seconds: int) -> None:
    for _ in range(seconds):
        plant.step()


def charging(**spec: object) -> Plant:
    plant = plant_at_noon(**spec)
    run(plant, 120)
    assert plant.car_w > 0
    return plant


def test_all_reported_ids_are_known_and_an_unpaired_equalizer_is_not_reported() -> None:
    assert set(observe(plant_at_noon())) <= KNOWN_IDS - {65}


def test_three_phase_charging_shows_all_currents_and_voltages() -> None:
    plant = charging()
    seen = observe(plant)
    assert seen[MODE] == 3
    assert seen[110] == 30
    assert seen[POWER] == pytest.approx(plant.car_w / 1000, abs=0.001)
    assert seen[183] == seen[184] == seen[185] == pytest.approx(15.7)
    assert seen[182] == pytest.approx(0, abs=0.001)
    assert (seen[194], seen[195], seen[196]) == pytest.approx(plant.voltage_v, abs=0.01)
    assert seen[197] == pytest.approx(398, abs=4)
    assert (seen[76], seen[77], seen[103]) == (1, 1, True)


def test_one_phase_charging_shows_the_current_on_neutral_too() -> None:
    plant = plant_at_noon()
    plant.charger.command_circuit(plant.clock_s, (10, 0, 0), None)
    run(plant, 200)
    seen = observe(plant)
    assert seen[110] == 10
    assert (seen[111], seen[112], seen[113]) == (10.0, 0.0, 0.0)
    assert seen[183] == pytest.approx(9.7)
    assert (seen[184], seen[185]) == (0.0, 0.0)
    assert seen[182] == pytest.approx(9.7)


def test_a_one_phase_grid_has_no_other_voltages() -> None:
    seen = observe(charging(phases=1, charger=ChargerSpec(grid_type=3)))
    assert seen[21] == 3
    assert seen[194] == pytest.approx(230, abs=10)
    assert (seen[195], seen[196]) == (0.0, 0.0)


def test_charger_without_a_car_reports_none() -> None:
    plant = plant_at_noon()
    plant.car.unplug()
    run(plant, 2)
    seen = observe(plant)
    assert (seen[MODE], seen[110], seen[POWER]) == (1, 0, 0.0)
    assert (seen[76], seen[77], seen[103]) == (0, 0, False)
    assert seen[96] == 50


@pytest.mark.parametrize(
    ("value", "data_type", "shown"),
    [(True, 2, "true"), (6.9, 3, "6.9"), (16.0, 3, "16"), (3, 4, "3"), ("", 6, '""')],
)
def test_values_are_typed_as_in_the_api(value: Value, data_type: int, shown: str) -> None:
    answer = as_json(1, Reported(value, NOW))
    assert (answer["id"], answer["dataType"]) == (1, data_type)
    assert json.dumps(answer["value"]) == shown
    assert answer["timestamp"] == "2026-06-21T10:00:00Z"


def test_type_of_a_value_never_changes() -> None:
    plant = plant_at_noon(car=CarSpec(energy_needed_kwh=1.0))
    types = {id_: type(value) for id_, value in observe(plant).items()}
    for _ in range(20):
        run(plant, 60)
        assert {id_: type(value) for id_, value in observe(plant).items()} == types


@pytest.mark.parametrize("plugged_in", [True, False])
def test_steady_power_rests_while_the_charger_is_never_silent(plugged_in: bool) -> None:
    plant = charging()
    if not plugged_in:
        plant.car.unplug()
    copy = cloud_copy(plant, 0, NOW)
    power_at, newest_at = [], []
    for second in range(0, 3600, 10):
        now = NOW + timedelta(seconds=second)
        copy.update(observe(plant), plant.clock_s, now)
        shown = copy.shown(now)
        power_at.append(shown[POWER].observed_at)
        newest_at.append(max(reported.observed_at for reported in shown.values()))
        run(plant, 10)
    rests = [after - before for before, after in pairwise(sorted({*power_at, now}))]
    assert max(rests) > timedelta(minutes=10)
    silences = [after - before for before, after in pairwise(newest_at)]
    assert max(silences) <= timedelta(minutes=10)
