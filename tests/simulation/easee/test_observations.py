"""What the charger tells its cloud, and when."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from easee_load_balancer.simulation.easee.observations import (
    KNOWN_IDS,
    Observation,
    ObservationStore,
    Value,
    observe,
)
from easee_load_balancer.simulation.plant.charger import CarSpec, ChargerSpec
from easee_load_balancer.simulation.plant.day import generate_day
from easee_load_balancer.simulation.plant.plant import HouseSpec, Plant

NOW = datetime(2026, 6, 21, 10, 0, 0, tzinfo=UTC)
NOON_S = 12 * 3600
POWER, SESSION, LIFETIME, MODE = 120, 121, 124, 109


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


def test_all_ids_are_known_to_the_api() -> None:
    assert set(observe(plant_at_noon())) <= KNOWN_IDS


def test_unpaired_equalizer_is_known_but_never_reported() -> None:
    assert 65 in KNOWN_IDS
    assert 65 not in observe(plant_at_noon())


def test_three_phase_charging() -> None:
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


def test_no_car() -> None:
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
def test_values_are_typed_as_the_api_types_them(value: Value, data_type: int, shown: str) -> None:
    answer = Observation(1, value, NOW).as_json()
    assert answer["dataType"] == data_type
    assert json.dumps(answer["value"]) == shown
    assert answer["timestamp"] == "2026-06-21T10:00:00Z"


def test_the_type_of_a_value_never_changes() -> None:
    plant = plant_at_noon(car=CarSpec(energy_needed_kwh=1.0))
    types = {id_: type(value) for id_, value in observe(plant).items()}
    for _ in range(20):
        run(plant, 60)
        assert {id_: type(value) for id_, value in observe(plant).items()} == types


def test_settings_were_reported_long_before_the_house_was_started() -> None:
    store = ObservationStore(delay_s=2)
    store.update(observe(plant_at_noon()), NOON_S, NOW)
    seen = store.visible(NOW)
    assert seen[MODE].observed_at == NOW
    assert NOW - seen[38].observed_at > timedelta(days=1)


def test_a_change_is_visible_after_the_delay_with_its_own_time() -> None:
    store = ObservationStore(delay_s=2)
    store.update({MODE: 6, POWER: 0.0}, 0, NOW)
    later = NOW + timedelta(seconds=10)
    store.update({MODE: 3, POWER: 0.0}, 10, later)

    before = store.visible(later + timedelta(seconds=1.9))
    assert (before[MODE].value, before[MODE].observed_at) == (6, NOW)

    after = store.visible(later + timedelta(seconds=2))
    assert (after[MODE].value, after[MODE].observed_at) == (3, later)
    assert after[POWER].observed_at == NOW


@pytest.mark.parametrize(
    ("id_", "before", "now", "sent"),
    [
        (POWER, 6.9, 6.95, False),
        (POWER, 6.9, 7.01, True),
        (POWER, 1.4, 1.48, True),
        (POWER, 0.05, 0.0, True),
        (POWER, 0.0, 0.02, True),
        (183, 10.0, 10.4, False),
        (183, 10.0, 10.5, True),
        (194, 230.0, 231.9, False),
        (194, 230.0, 228.0, True),
        (111, 16.0, 15.0, True),
        (111, 16.0, 16.0, False),
        (31, True, False, True),
        (31, True, True, False),
        (62, "", "{}", True),
        (62, "", "", False),
    ],
)
def test_only_a_noticeable_change_is_sent(id_: int, before: Value, now: Value, sent: bool) -> None:
    store = ObservationStore(delay_s=0)
    store.update({id_: before}, 0, NOW)
    store.update({id_: now}, 1, NOW + timedelta(seconds=1))
    seen = store.visible(NOW + timedelta(seconds=1))[id_]
    assert seen.value == (now if sent else before)


def test_small_steps_add_up() -> None:
    store = ObservationStore(delay_s=0)
    for step in range(4):
        store.update({POWER: 7.0 + 0.04 * step}, step, NOW + timedelta(seconds=step))
    assert store.visible(NOW + timedelta(minutes=1))[POWER].value == pytest.approx(7.12)


def test_energies_are_sent_rarely_but_a_new_session_at_once() -> None:
    store = ObservationStore(delay_s=0)
    store.update({SESSION: 5.0, LIFETIME: 100.0}, 0, NOW)
    store.update({SESSION: 5.4, LIFETIME: 100.4}, 299, NOW)
    assert store.visible(NOW)[SESSION].value == 5.0
    store.update({SESSION: 5.5, LIFETIME: 100.5}, 300, NOW)
    assert store.visible(NOW)[SESSION].value == 5.5
    assert store.visible(NOW)[LIFETIME].value == 100.0
    store.update({SESSION: 0.0, LIFETIME: 100.5}, 310, NOW)
    assert store.visible(NOW)[SESSION].value == 0.0


def test_power_rests_while_charging_steadily_but_the_charger_is_never_silent() -> None:
    plant = charging()
    store = ObservationStore(delay_s=0)
    power_at, newest_at = [], []
    for second in range(0, 3600, 10):
        now = NOW + timedelta(seconds=second)
        store.update(observe(plant), plant.clock_s, now)
        seen = store.visible(now)
        power_at.append(seen[POWER].observed_at)
        newest_at.append(max(observation.observed_at for observation in seen.values()))
        run(plant, 10)
    power_rests = [after - before for before, after in pairwise(sorted(set(power_at)))]
    assert not power_rests or max(power_rests) > timedelta(minutes=10)
    silences = [after - before for before, after in pairwise(newest_at)]
    assert max(silences) <= timedelta(minutes=10)


def test_a_charger_without_car_still_shows_that_it_is_there() -> None:
    plant = plant_at_noon()
    plant.car.unplug()
    store = ObservationStore(delay_s=0)
    for second in range(0, 1800, 10):
        store.update(observe(plant), plant.clock_s, NOW + timedelta(seconds=second))
        run(plant, 10)
    end = NOW + timedelta(seconds=1800)
    newest = max(seen.observed_at for seen in store.visible(end).values())
    assert end - newest <= timedelta(minutes=10)
