"""Export limit and battery commands: decoded, and read now and then over Modbus."""

from __future__ import annotations

import pytest

from easee_load_balancer.devices.huawei import plant_settings
from easee_load_balancer.devices.huawei.plant_settings import (
    decode_battery_command,
    decode_export_limit,
)
from easee_load_balancer.simulation.huawei import registers
from easee_load_balancer.simulation.huawei.units import INVERTER_REFRESH_S
from easee_load_balancer.simulation.plant.plant import HouseSpec
from tests.devices.huawei.test_client import an_inverter

_WITHOUT_SETTINGS = 3
"""Requests of a reading: power, battery, meter."""


@pytest.mark.parametrize(
    ("words", "limit_w"),
    [
        ((0, 0, 5000, 0), None),
        ((5, 0, 5000, 0), 0.0),
        ((6, 0, 6000, 0), 6000.0),
        ((6, 0xFFFF, 0xFF9C, 0), 0.0),
        ((7, 0, 0, 600), 6000.0),
        ((3, 0, 0, 0), None),
        ((0xFFFF, 0, 0, 0), None),
    ],
    ids=["none", "zero", "6 kW", "-100 W", "60 %", "something else", "not available"],
)
def test_export_control_of_a_10_kw_inverter(words: tuple[int, ...], limit_w: float | None) -> None:
    assert decode_export_limit(words, rated_w=10_000.0) == limit_w


@pytest.mark.parametrize(
    ("mode", "forced", "text"),
    [
        (2, 0, ""),
        (2, 1, "forced charging"),
        (5, 0, "time of use"),
        (5, 2, "forced discharging"),
        (0xFFFF, 0xFFFF, ""),
    ],
)
def test_battery_commands_by_name(mode: int, forced: int, text: str) -> None:
    words = [mode, *[0] * 13, forced]
    assert decode_battery_command(words) == text


@pytest.mark.parametrize(
    ("limit_w", "throttled"), [(0.0, True), (2000.0, True), (9000.0, False), (None, False)]
)
async def test_the_client_reads_the_limit_and_that_it_holds_pv_down(
    limit_w: float | None, throttled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At noon, without a battery; 8.7 kW of surplus."""
    monkeypatch.setattr(plant_settings, "FIRST_AFTER_S", 0.0)
    spec = HouseSpec(battery=None, export_limit_w=limit_w)
    async with an_inverter(spec) as (inverter, _, plant, _):
        plant.charger.dynamic_circuit_current_a = (0.0, 0.0, 0.0)
        for _ in range(60 * INVERTER_REFRESH_S):
            plant.step()
        reading = await inverter.read()
    assert reading.export_limit_w == limit_w
    assert reading.throttled is throttled
    if limit_w is not None and throttled:
        assert reading.grid_export_w == pytest.approx(limit_w, abs=5)


async def test_settings_are_read_one_at_a_time_and_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plant_settings, "FIRST_AFTER_S", 0.0)
    counts = []
    async with an_inverter() as (inverter, server, _, _):
        await inverter.read_blocks()
        for _ in range(4):
            before = server.requests
            await inverter.read()
            counts.append(server.requests - before)
    rating = 1
    assert counts[0] == rating + _WITHOUT_SETTINGS + 1
    assert counts[1:] == [_WITHOUT_SETTINGS + 1, _WITHOUT_SETTINGS, _WITHOUT_SETTINGS]


async def test_a_device_without_these_settings_is_read_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plant_settings, "FIRST_AFTER_S", 0.0)
    blocks = tuple(block for block in registers._BLOCKS if block.start < 47_000)
    monkeypatch.setattr(registers, "_BLOCKS", blocks)
    async with an_inverter() as (inverter, _, _, _):
        readings = [await inverter.read() for _ in range(3)]
    assert [one.export_limit_w for one in readings] == [None] * 3
    assert readings[-1].grid_export_w is not None
