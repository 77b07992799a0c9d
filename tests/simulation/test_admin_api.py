"""Faults, manual switches and the true state of the simulated house."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from tests.support.simulated_house import (
    CHARGER,
    CIRCUIT,
    EIGHT_A,
    OBSERVATIONS,
    USER,
    Running,
    assert_problem,
    observed,
)


async def set_faults(api: httpx.AsyncClient, **faults: Any) -> None:
    (await api.put("/admin/faults", json=faults)).raise_for_status()


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503, 504])
async def test_status_fault_applies_to_every_call_and_some_to_the_login(
    running: Running, status: int
) -> None:
    _, api = running
    await set_faults(api, api_status=status, api_retry_after_s=110)
    answer = await api.get(OBSERVATIONS)
    assert_problem(answer, status)
    assert answer.headers.get("retry-after") == ("110" if status == 429 else None)
    login = await api.post("/api/accounts/login", json=USER)
    assert login.status_code == (status if status in (403, 429) else 200)
    assert (await api.get("/admin/house")).status_code == 200
    await set_faults(api)
    assert (await api.get(OBSERVATIONS)).status_code == 200


@pytest.mark.parametrize(("status", "code"), [(400, 410), (403, None)])
async def test_commands_alone_can_be_refused(running: Running, status: int, code: int) -> None:
    house, api = running
    await set_faults(api, api_command_status=status)
    assert_problem(await api.post(f"{CIRCUIT}/dynamicCurrent", json=EIGHT_A), status, code)
    assert_problem(await api.post(f"{CHARGER}/commands/pause_charging"), status, code)
    assert house.cloud.writes == 0
    assert (await api.get(OBSERVATIONS)).status_code == 200


@pytest.mark.parametrize("fault", ["truncated", "html"])
async def test_truncated_and_html_answers_are_not_json(running: Running, fault: str) -> None:
    house, api = running
    await set_faults(api, api_body=fault)
    answer = await api.get(OBSERVATIONS)
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    await api.post(f"{CIRCUIT}/dynamicCurrent", json=EIGHT_A)
    assert house.cloud.writes == (fault == "truncated")


@pytest.mark.parametrize("path", [OBSERVATIONS, CHARGER])
async def test_cut_answer_ends_the_connection(running: Running, path: str) -> None:
    _, api = running
    await set_faults(api, api_body="cut")
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        await api.get(path)


async def test_a_body_can_have_nulls_or_new_fields(running: Running) -> None:
    _, api = running
    await set_faults(api, api_body="nulls")
    assert await observed(api, 109, 120) == {109: None, 120: None}
    await set_faults(api, api_body="new fields")
    answer = (await api.get(OBSERVATIONS, params={"ids": "109"})).json()
    assert answer["newText"] == answer["observations"][0]["newText"] == "new"
    assert answer["observations"][0]["id"] == 109


async def test_faults_can_start_at_a_trigger(running: Running) -> None:
    house, api = running
    push = f"{CIRCUIT}/dynamicCurrent"
    for moment, statuses in {"taken": (503, 503), "pushed": (200, 503)}.items():
        faults = {"api_status": 503}
        (await api.put("/admin/faults", params={"at": moment}, json=faults)).raise_for_status()
        assert (await api.get(OBSERVATIONS)).status_code == 200
        writes = house.cloud.writes
        assert (
            tuple([(await api.post(push, json=EIGHT_A)).status_code for _ in range(2)]) == statuses
        )
        assert house.cloud.writes == writes + 1
        await set_faults(api)
    await api.put("/admin/faults", params={"at": "asked"}, json={"api_status": 504})
    assert (await api.post(push, json=EIGHT_A)).status_code == 200
    assert (await api.get(OBSERVATIONS)).status_code == 504
    wrong = await api.put("/admin/faults", params={"at": "noon"}, json={})
    assert wrong.status_code == 422


async def test_cloud_clock_can_differ(running: Running) -> None:
    house, api = running
    await set_faults(api, api_clock_ahead_s=3600)
    house.plant.car.unplug()
    house.advance(1)
    answer = await api.get(OBSERVATIONS, params={"ids": "109"})
    says = parsedate_to_datetime(answer.headers["date"])
    seen = datetime.fromisoformat(answer.json()["observations"][0]["timestamp"])
    assert abs((says - seen).total_seconds()) <= 2
    assert (says - datetime.now(UTC)).total_seconds() == pytest.approx(3600, abs=60)


async def test_clock_of_the_charger_can_differ(running: Running) -> None:
    _, api = running
    await set_faults(api, charger_clock_ahead_s=3600)
    answer = await api.get(OBSERVATIONS, params={"ids": "109"})
    seen = datetime.fromisoformat(answer.json()["observations"][0]["timestamp"])
    assert (seen - datetime.now(UTC)).total_seconds() == pytest.approx(3600, abs=60)


async def test_an_answer_can_be_delayed(running: Running) -> None:
    _, api = running
    await set_faults(api, api_delay_s=0.1)
    began_s = time.monotonic()
    assert (await api.get(OBSERVATIONS)).status_code == 200
    assert time.monotonic() - began_s >= 0.1


async def test_stopped_observations_keep_their_old_values(running: Running) -> None:
    house, api = running
    before = (await api.get(OBSERVATIONS)).json()
    await set_faults(api, observations_stopped=True)
    house.advance(120)
    assert (await api.get(OBSERVATIONS)).json() == before
    await set_faults(api)
    house.advance(1)
    assert await observed(api, 109) == {109: 3}


async def test_ignored_commands_are_accepted_without_effect(running: Running) -> None:
    house, api = running
    await set_faults(api, commands_ignored=True)
    assert (await api.post(f"{CIRCUIT}/dynamicCurrent", json=EIGHT_A)).status_code == 200
    path = f"{CHARGER}/commands/set_dynamic_charger_current"
    assert (await api.post(path, json={"amps": 8})).status_code == 202
    house.advance(10)
    assert await observed(api, 111, 48) == {111: 40, 48: 32}
    assert house.cloud.writes == 2


@pytest.mark.parametrize("faults", [{"api_status": 418}, {"nonsense": 1}, {"api_delay_s": -1}])
async def test_invalid_faults_are_refused_and_change_nothing(
    running: Running, faults: dict[str, Any]
) -> None:
    _, api = running
    await set_faults(api, meter="offline")
    assert_problem(await api.put("/admin/faults", json=faults), 422, invalid=next(iter(faults)))
    assert (await api.get("/admin/faults")).json()["meter"] == "offline"


async def test_faults_apply_to_the_inverter_too(running: Running) -> None:
    house, api = running
    await set_faults(api, modbus="busy", meter="offline")
    assert (house.faults.modbus, house.faults.meter) == ("busy", "offline")
    await set_faults(api)
    assert (house.faults.modbus, house.faults.meter) == (None, None)


async def test_true_state_matches_the_plant(running: Running) -> None:
    house, api = running
    house.advance(120)
    seen = (await api.get("/admin/house")).json()
    plant = house.plant
    assert seen["clock"] == "12:02:01"
    assert seen["car_w"] == plant.car_w > 0
    assert seen["grid_export_w"] == pytest.approx(sum(seen["grid_export_phase_w"]))
    assert seen["battery"] is None
    assert seen["charger"]["starts"] == 1
    assert seen["counters"]["car_kwh"] == plant.counters.car_kwh > 0
    assert seen["inverter"] == {"connections": 0, "requests": 0}


async def test_calls_are_counted_by_route(running: Running) -> None:
    _, api = running
    await api.get(CHARGER)
    await observed(api, 109)
    await observed(api, 120)
    counted = (await api.get("/admin/house")).json()["api"]
    assert counted["calls"] == {
        "POST /api/accounts/login": 1,
        "GET /api/chargers/{charger}": 1,
        "GET /state/{charger}/observations": 2,
    }
    assert (counted["logins"], counted["refreshes"], counted["writes"]) == (1, 0, 0)


async def test_plug_load_charger_and_reboot_can_be_switched_by_hand(running: Running) -> None:
    house, api = running
    await api.post(f"{CIRCUIT}/dynamicCurrent", json=EIGHT_A)
    house.advance(120)
    patch = {"car_plugged_in": False, "extra_load_w": [3000, 0, 0], "charger_enabled": False}
    await api.patch("/admin/house", json=patch | {"reboot": True})
    house.advance(1)
    assert await observed(api, 109, 31, 111) == {109: 1, 31: False, 111: 40}
    assert house.plant.load_w > 3000
    await api.patch("/admin/house", json={"car_plugged_in": True, "charger_enabled": True})
    house.advance(1)
    assert await observed(api, 103, 121) == {103: True, 121: 0}
    house.advance(120)
    assert house.plant.car_w > 0


async def test_plugging_in_twice_keeps_the_session(running: Running) -> None:
    house, api = running
    house.advance(120)
    energy = house.plant.car.energy_kwh
    await api.patch("/admin/house", json={"car_plugged_in": True})
    assert house.plant.car.energy_kwh == energy > 0


@pytest.mark.parametrize("patch", [{"car": 1}, {"extra_load_w": [1, 2]}, {"authorized": "maybe"}])
async def test_invalid_patch_is_refused(running: Running, patch: dict[str, Any]) -> None:
    _, api = running
    answer = await api.patch("/admin/house", json=patch)
    assert_problem(answer, 422, invalid=next(iter(patch)))
