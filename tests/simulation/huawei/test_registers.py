"""The register encoding, compared with recorded dumps by independently written positions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from easee_load_balancer.simulation.huawei import registers
from easee_load_balancer.simulation.huawei.encoding import Words
from easee_load_balancer.simulation.huawei.registers import (
    EXPORTED_BEFORE_KWH,
    IMPORTED_BEFORE_KWH,
    Today,
)
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.simulation.plant.meter import MeterSample
from easee_load_balancer.simulation.plant.plant import BatterySpec, HouseSpec, Plant


def flat_day(pv_w: float, load_w: float = 400.0) -> Day:
    return Day("flat", (pv_w,) * 1440, (load_w,) * 1440)


def house(pv_w: float = 6000.0, *, start_s: int = 43_200, **spec: Any) -> Plant:
    plant = Plant(flat_day(pv_w), HouseSpec(**spec), start_s)
    plant.car.unplug()
    return plant


def encoded(plant: Plant, *, meter_offline: bool = False) -> Words:
    today = Today.begin(plant, 0)
    sample = None if meter_offline else plant.meter
    words = registers.fixed(plant.spec) | registers.inverter(plant, today)
    return words | registers.battery(plant, today) | registers.meter(sample, plant.spec.phases)


def i32(words: Words, address: int) -> int:
    raw = words[address] << 16 | words[address + 1]
    return raw - (1 << 32) if raw >= 1 << 31 else raw


def text(words: Words, address: int, length: int) -> str:
    raw = b"".join(words[address + at].to_bytes(2, "big") for at in range(length))
    return raw.rstrip(b"\0").decode()


def capture(shared_data: Path, name: str) -> tuple[Words, dict[str, Any]]:
    """The registers of a recorded dump by address, and the values they stand for."""
    dumps = json.loads((shared_data / "huawei" / "captures.json").read_text())
    (dump,) = (dump for dump in dumps if dump["name"] == name)
    return dict(enumerate(dump["registers"], dump["address"])), dump["expected"]


def test_meter_block_matches_the_recorded_dump(shared_data: Path) -> None:
    dump, expected = capture(shared_data, "M1")
    power_w, voltage_v = expected["phase_power_w"], expected["phase_voltage_v"]
    l1_a, l2_a, l3_a = (watts / volts for watts, volts in zip(power_w, voltage_v, strict=True))
    sample = MeterSample(
        grid_export_w=tuple(power_w),
        voltage_v=tuple(voltage_v),
        current_a=(l1_a, l2_a, l3_a),
        exported_kwh=expected["exported_kwh"] - EXPORTED_BEFORE_KWH,
        imported_kwh=expected["imported_kwh"] - IMPORTED_BEFORE_KWH,
    )
    ours = registers.meter(sample, phases=3)

    assert set(dump) <= set(ours)
    for address in (37100, 37118, 37125):
        assert ours[address] == dump[address]
    for address in (37101, 37103, 37105, 37119, 37121, 37123, 37132, 37134, 37136):
        assert i32(ours, address) == i32(dump, address), address
    for address in (37113, 37126, 37128, 37130):
        assert i32(ours, address) == pytest.approx(i32(dump, address), abs=1), address
    for address in (37107, 37109, 37111):
        assert i32(ours, address) == pytest.approx(i32(dump, address), rel=0.02), address
    assert 0 < ours[37117] <= 1000


def test_inverter_block_matches_the_recorded_dump(shared_data: Path) -> None:
    dump, expected = capture(shared_data, "I1")
    plant = house(pv_w=4804.0, phases=1)
    plant.inverter_ac_w, plant.battery_charge_w = 277.0, 4804.0 - 277.0
    plant.voltage_v = (242.7, 0.1, 0.1)
    ours = encoded(plant)

    assert i32(ours, 32064) == expected["pv_input_w"]
    assert i32(ours, 32080) == expected["active_power_w"]
    for address in (32066, 32084, 32085, 32088, 32089, 32090, 32093, 32094):
        assert ours[address] == dump[address], address
    assert ours[32069] == pytest.approx(dump[32069], rel=0.01)
    assert i32(ours, 32072) == pytest.approx(i32(dump, 32072), rel=0.1)


def test_battery_block_matches_the_recorded_dump(shared_data: Path) -> None:
    dump, expected = capture(shared_data, "B1")
    plant = house(battery=BatterySpec(start_soc_pct=98.0, max_power_w=10_000.0))
    assert plant.battery is not None
    plant.battery.stored_wh = 9_800.0
    plant.battery_charge_w = expected["battery_power_w"]
    ours = encoded(plant)

    for address in (37760, 37762):
        assert ours[address] == dump[address]
    for address in (37765, 37767, 37769, 37771, 37773):
        assert i32(ours, address) == i32(dump, address), address
    assert ours[37763] / 10 * ours[37764] / 10 == pytest.approx(
        expected["battery_power_w"], rel=0.01
    )
    assert (i32(ours, 37001), ours[37004], ours[37000]) == (4983, 980, 2)


def test_identity_and_ratings_are_encoded() -> None:
    words = encoded(house())
    assert text(words, 30000, 15) == "SUN2000-10KTL-M1"
    assert text(words, 30015, 10).startswith("HV")
    assert words[30071] == 2
    assert i32(words, 30073) == 10_000
    assert i32(words, 37758) == 10_000
    assert words[47000] == 2


def test_import_is_negative_and_export_positive() -> None:
    importing = house(pv_w=0.0, battery=None)
    words = encoded(importing)
    assert i32(words, 37113) == round(importing.meter.grid_export_w[0] * 1 / 0.45) < 0
    assert all(i32(words, address) < 0 for address in (37107, 37109, 37111, 37132, 37134, 37136))
    exporting = encoded(house(pv_w=6000.0, battery=None))
    assert i32(exporting, 37113) == 6000 - 400
    assert all(i32(exporting, address) > 0 for address in (37107, 37132))


def test_offline_meter_has_no_values() -> None:
    words = encoded(house(), meter_offline=True)
    assert words[37100] == 0
    for address in (37101, 37107, 37113, 37119, 37121, 37126, 37132, 37136):
        assert (words[address], words[address + 1]) == (0x7FFF, 0xFFFF), address
    assert words[37117] == words[37118] == 0x7FFF


def test_one_phase_house_has_values_on_l1_only() -> None:
    words = encoded(house(phases=1, battery=None))
    assert words[37125] == 0
    for address in (37103, 37105, 37109, 37111, 37126, 37134, 37136, 32074, 32076):
        assert (words[address], words[address + 1]) == (0x7FFF, 0xFFFF), address
    assert words[32070] == words[32071] == 0xFFFF
    assert i32(words, 37132) == i32(words, 37113) == 6000 - 400


def test_battery_discharges_at_night() -> None:
    plant = house(pv_w=3.0)
    for _ in range(30):
        plant.step()
    words = encoded(plant)
    assert words[32089] == 0xA000
    assert i32(words, 32064) == 0
    assert i32(words, 37765) == -397
    assert i32(words, 32080) == 400


def test_day_counters_restart_at_midnight() -> None:
    plant = house(pv_w=3600.0, battery=None, start_s=86_400 - 62)
    today = Today.begin(plant, 0)
    words = registers.inverter(plant, today)
    assert i32(words, 32114) == pytest.approx(3.6 * 24 * 100, rel=0.01)
    for _ in range(60 + 100):
        plant.step()
        today = today.at(plant)
    words = registers.inverter(plant, today)
    assert i32(words, 32114) == 10


@pytest.mark.parametrize(
    ("address", "count", "readable"),
    [
        (37100, 38, True),
        (37760, 6, True),
        (32064, 52, True),
        (30099, 2, True),
        (37138, 2, False),
        (37090, 20, False),
        (1, 1, False),
        (65535, 2, False),
    ],
)
def test_only_documented_blocks_can_be_read(address: int, count: int, readable: bool) -> None:
    selected = registers.select(encoded(house()), address, count, has_battery=True)
    assert (selected is not None) is readable
    assert selected is None or len(selected) == count


def test_without_battery_unit_1_is_zero_and_the_sum_is_refused() -> None:
    words = encoded(house(battery=None))
    assert registers.select(words, 37000, 5, has_battery=False) == [0] * 5
    assert registers.select(words, 37760, 6, has_battery=False) is None


def test_values_out_of_range_saturate() -> None:
    plant = house()
    plant.inverter_ac_w = 1e12
    assert i32(encoded(plant), 32080) == 0x7FFF_FFFE


@pytest.mark.parametrize("speed", [1, 4])
def test_energy_is_counted_in_real_time_at_any_speed(speed: int) -> None:
    plant = Plant(flat_day(6000.0), HouseSpec(battery=None), 43_200, speed)
    before_kwh = plant.counters.pv_kwh
    for _ in range(600 * speed):
        plant.step()
    assert plant.counters.pv_kwh - before_kwh == pytest.approx(1.0)
