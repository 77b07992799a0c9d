"""Register decoders, on dumps of real devices and on words that cannot be right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from easee_load_balancer.devices.huawei.registers import (
    BATTERY_POWER_ONLY,
    I32,
    METER,
    METER_TYPE,
    U16,
    U32,
    BatteryValues,
    MeterValues,
    PowerValues,
    decode_battery,
    decode_battery_unit_1,
    decode_meter,
    decode_power,
)


@pytest.fixture
def captures(shared_data: Path) -> dict[str, Any]:
    """Register dumps of real devices by name."""
    dumps = json.loads((shared_data / "huawei" / "captures.json").read_text())
    return {dump["name"]: dump for dump in dumps}


def test_recorded_blocks_decode_to_the_values_their_owners_saw(captures: dict[str, Any]) -> None:
    meter, expected = decode_meter(captures["M1"]["registers"]), captures["M1"]["expected"]
    assert (meter.online, meter.phases) == (True, 3)
    assert meter.grid_export_w == expected["grid_power_w"]
    assert list(meter.grid_export_phase_w) == expected["phase_power_w"]
    assert list(meter.current_a) == expected["phase_current_a"]
    assert list(meter.voltage_v) == expected["phase_voltage_v"]
    assert meter.exported_kwh == expected["exported_kwh"]
    assert meter.imported_kwh == expected["imported_kwh"]
    power, expected = decode_power(captures["I1"]["registers"]), captures["I1"]["expected"]
    assert power == PowerValues(expected["pv_input_w"], expected["active_power_w"])
    words, expected = captures["B1"]["registers"], captures["B1"]["expected"]
    charge_w, soc_pct = expected["battery_power_w"], expected["state_of_charge_pct"]
    assert decode_battery(words) == BatteryValues(charge_w, soc_pct, 4648.64, 4511.90)
    assert decode_battery(words[: BATTERY_POWER_ONLY.count]) == BatteryValues(charge_w, soc_pct)


@pytest.mark.parametrize(
    ("words", "signed", "unsigned"),
    [
        ((0x0000, 0x0001), 1, 1),
        ((0xFFFF, 0xFFFF), -1, None),
        ((0x7FFF, 0xFFFF), None, 2**31 - 1),
        ((0x8000, 0x0000), None, 2**31),
        ((0x8000, 0x0001), -(2**31) + 1, 2**31 + 1),
    ],
)
def test_signs_and_unavailable_values(
    words: tuple[int, int], signed: int | None, unsigned: int | None
) -> None:
    assert I32.decode(words) == signed
    assert U32.decode(words) == unsigned
    assert U16.decode([0xFFFF]) is None
    assert U16.decode([0xFFFE]) == 0xFFFE


def meter_words(**values: int) -> list[int]:
    """A block of an online three-phase meter with raw 32-bit values at `r<address>`."""
    words = [0] * METER.count
    words[0] = words[METER_TYPE.address - METER.address] = 1
    for name, raw in values.items():
        at = int(name[1:]) - METER.address
        words[at : at + 2] = (raw >> 16) & 0xFFFF, raw & 0xFFFF
    return words


SOUND = {"r37101": 2300, "r37103": 2310, "r37105": 2290, "r37113": -5000, "r37132": -5000}
ZEROS = dict.fromkeys(SOUND, 0)
NA = 0x7FFFFFFF
BETWEEN_LINES = {"r37126": 2310, "r37128": 2305, "r37130": 2315}
WITHOUT_NEUTRAL = {"r37126": 3990, "r37128": 4000, "r37130": 4010}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, None),
        ({"r37101": 800, "r37103": 3000}, None),
        ({"r37103": 0, "r37109": -1390}, "meter: 0 V on L2"),
        ({"r37101": 799, "r37105": 3001}, "meter: 79.9 V on L1, 300.1 V on L3"),
        ({"r37101": -2300}, "meter: -230 V on L1"),
        ({"r37103": NA, "r37105": NA}, None),
        (ZEROS, "meter: 0 V on all phases"),
        (ZEROS | {"r37119": NA, "r37121": NA}, "meter: 0 V on all phases"),
        (ZEROS | {"r37113": -5000} | BETWEEN_LINES, None),
        (ZEROS | {"r37113": -5000} | BETWEEN_LINES | {"r37126": 0}, "meter: 0 V on all phases"),
        (
            ZEROS | {"r37113": -5000} | WITHOUT_NEUTRAL,
            "meter: 0 V on all phases but 399 V between them: its neutral is not connected",
        ),
        (
            ZEROS | dict.fromkeys(("r37101", "r37103", "r37105", "r37119", "r37121"), NA),
            "meter: zeros without counters",
        ),
    ],
)
def test_meter_that_cannot_be_right_is_unknown_with_a_reason(
    changes: dict[str, int], problem: str | None
) -> None:
    meter = decode_meter(meter_words(**SOUND | changes))
    assert meter.problem == problem
    assert (meter.online, meter.phases) == (True, 3)
    assert (meter.grid_export_w is None) == (meter.exported_kwh is None) == (problem is not None)
    assert (meter == MeterValues(True, 3, problem=problem)) == (problem is not None)


def test_offline_meter_is_unknown(captures: dict[str, Any]) -> None:
    meter = decode_meter([0, *captures["M1"]["registers"][1:]])
    assert meter == MeterValues(online=False, phases=3, problem="meter: offline")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param([0, 0, 0, 0, 0], None, id="no battery"),
        pytest.param([0, 0, 0, 0, 500], BatteryValues(None, None), id="battery offline"),
        pytest.param([2, 0xFFFF, 0xFC18, 0, 805], BatteryValues(-1000, 80.5), id="discharging"),
        pytest.param([1, 0, 0, 0, 0], BatteryValues(0, 0.0), id="empty and idle"),
    ],
)
def test_battery_unit_1_is_absent_offline_or_known(
    words: list[int], expected: BatteryValues | None
) -> None:
    assert decode_battery_unit_1(words) == expected
