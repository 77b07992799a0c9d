"""Unusual houses, and what their devices report."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from easee_load_balancer.cli import app
from easee_load_balancer.measurements import ChargerMode
from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.simulation.huawei import registers
from easee_load_balancer.simulation.huawei.registers import Today
from easee_load_balancer.simulation.plant.charger import ChargerSpec
from easee_load_balancer.simulation.plant.day import generate_day
from easee_load_balancer.simulation.plant.plant import BatterySpec, HouseSpec, Plant
from tests.support.simulated_house import logged_in, observed

NOON_S = 12 * 3600


async def test_second_charger_shares_the_circuit_and_has_no_car() -> None:
    cloud = CloudSpec(second_charger_id="EH123457", cloud_delay_s=0, rate_limits=False)
    async with logged_in(cloud) as (_, api):
        listed = (await api.get("/api/chargers")).json()
        assert [one["id"] for one in listed] == ["EH123456", "EH123457"]
        site = (await api.get("/api/chargers/EH123457/site")).json()
        (circuit,) = site["circuits"]
        assert [one["id"] for one in circuit["chargers"]] == ["EH123456", "EH123457"]
        assert (await observed(api, 109))[109] != ChargerMode.DISCONNECTED
        answer = await api.get("/state/EH123457/observations", params={"ids": "109,120"})
        assert {one["id"]: one["value"] for one in answer.json()["observations"]} == {
            109: ChargerMode.DISCONNECTED,
            120: 0,
        }
        assert (await api.get("/state/EH999999/observations")).status_code == 404


async def test_equalizer_is_listed_and_paired() -> None:
    async with logged_in(CloudSpec(equalizer_id="QP123456", cloud_delay_s=0)) as (_, api):
        site = (await api.get("/api/chargers/EH123456/site")).json()
        assert [one["id"] for one in site["equalizers"]] == ["QP123456"]
        assert json.loads((await observed(api, 65))[65])["id"] == "QP123456"


SCHEDULES = [
    ((22 * 60, 6 * 60), False),
    ((22 * 60, 12 * 60), False),
    ((12 * 60, 13 * 60), True),
    ((11 * 60, 14 * 60), True),
    ((22 * 60, 14 * 60), True),
]


@pytest.mark.parametrize(("schedule", "charges"), SCHEDULES)
def test_schedule_allows_charging_only_within_its_hours(
    schedule: tuple[int, int], charges: bool
) -> None:
    spec = HouseSpec(charger=ChargerSpec(schedule=schedule))
    plant = Plant(generate_day("clear"), spec, NOON_S)
    for _ in range(120):
        plant.step()
    assert (plant.car_w > 0) == charges
    assert (plant.charger.reason_for_no_current == 54) != charges


async def test_schedule_is_reported() -> None:
    spec = HouseSpec(charger=ChargerSpec(schedule=(22 * 60, 6 * 60 + 5)))
    async with logged_in(house=spec) as (_, api):
        plan = json.loads((await observed(api, 62))[62])
        assert (plan["chargeStartTime"], plan["chargeStopTime"]) == ("22:00", "06:05")


def test_one_phase_meter_in_a_three_phase_house_sees_only_l1() -> None:
    plant = Plant(generate_day("clear"), HouseSpec(meter_phases=1), NOON_S)
    l1, l2, l3 = plant.meter.grid_export_w
    assert l2
    assert l3
    words = registers.meter(plant.meter, 1)
    assert words[37114] == round(l1)
    assert words[37125] == 0


def test_offline_battery_is_installed_without_values() -> None:
    spec = HouseSpec(battery=BatterySpec(offline=True))
    plant = Plant(generate_day("clear"), spec, NOON_S)
    assert registers.battery(plant, Today.begin(plant, 0)) == {}
    assert registers.fixed(spec)[37759] == 10_000
    assert plant.battery_charge_w == 0


@pytest.mark.parametrize("schedule", ["22:00", "22:00-25:00", "-", "night"])
def test_invalid_schedule_is_explained(schedule: str) -> None:
    result = CliRunner().invoke(app, ["simulate", "--schedule", schedule])
    assert result.exit_code == 2
    assert "not a time of day" in result.output
