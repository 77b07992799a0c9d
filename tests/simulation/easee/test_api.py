"""The simulated Easee API over real sockets."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.simulation.plant.charger import ChargerSpec
from easee_load_balancer.simulation.plant.plant import HouseSpec
from tests.support.simulated_house import (
    CHARGER,
    CIRCUIT,
    OBSERVATIONS,
    Running,
    assert_problem,
    logged_in,
    observed,
)


async def test_ids_can_be_found_from_the_charger(running: Running) -> None:
    _, api = running
    (charger,) = (await api.get("/api/chargers")).json()
    for path in (f"/api/chargers/{charger['id']}/site", "/api/sites/54321?detailed=true"):
        site = (await api.get(path)).json()
        (circuit,) = site["circuits"]
        assert (site["id"], circuit["id"], circuit["siteId"]) == (54321, 12345, 54321)
        assert [one["id"] for one in circuit["chargers"]] == [charger["id"]]
    (product,) = (await api.get("/api/accounts/products")).json()
    assert product["circuits"][0]["chargers"][0]["id"] == charger["id"]


async def test_sites_without_details_name_no_circuits(running: Running) -> None:
    _, api = running
    (site,) = (await api.get("/api/sites")).json()
    assert (site["id"], site["circuits"]) == (54321, None)
    assert (await api.get("/api/sites/54321")).json()["circuits"] is None


async def test_documents_have_the_recorded_fields(running: Running, shared_data: Path) -> None:
    _, api = running
    recorded_in = shared_data / "easee"
    chargers = json.loads((recorded_in / "chargers.json").read_text())
    site = json.loads((recorded_in / "site.json").read_text())
    state = json.loads((recorded_in / "site-state.json").read_text())
    config = state["circuitStates"][0]["chargerStates"][0]["chargerConfig"]
    for path, recorded in (
        ("/api/chargers", chargers),
        (f"{CHARGER}/site", site),
        (f"{CHARGER}/config", config),
    ):
        assert_same_fields(recorded, (await api.get(path)).json())


def assert_same_fields(recorded: Any, answered: Any) -> None:
    if isinstance(recorded, dict):
        assert set(recorded) <= set(answered)
        for name, value in recorded.items():
            assert_same_fields(value, answered[name])
    elif isinstance(recorded, list) and recorded:
        assert_same_fields(recorded[0], answered[0])
    elif recorded is not None and answered is not None and not isinstance(recorded, (int, float)):
        assert type(recorded) is type(answered)


async def test_config_and_circuit_settings_tell_the_limits(running: Running) -> None:
    _, api = running
    config = (await api.get(f"{CHARGER}/config")).json()
    assert (config["phaseMode"], config["detectedPowerGridType"]) == (2, 1)
    assert (config["maxChargerCurrent"], config["circuitMaxCurrentP3"]) == (32, 16)
    settings = (await api.get(f"{CIRCUIT}/settings")).json()
    assert [settings[f"dynamicCircuitCurrentP{i}"] for i in (1, 2, 3)] == [40, 40, 40]
    assert [settings[f"maxCircuitCurrentP{i}"] for i in (1, 2, 3)] == [16, 16, 16]
    assert [settings[f"offlineMaxCircuitCurrentP{i}"] for i in (1, 2, 3)] == [16, 16, 16]


async def test_sessions(running: Running) -> None:
    house, api = running
    house.advance(300)
    ongoing = (await api.get(f"{CHARGER}/sessions/ongoing")).json()
    assert ongoing["sessionEnergy"] > 0.1
    assert ongoing["sessionEnd"] is None
    await api.patch("/admin/house", json={"car_plugged_in": False})
    house.advance(1)
    assert_problem(await api.get(f"{CHARGER}/sessions/ongoing"), 404)
    latest = (await api.get(f"{CHARGER}/sessions/latest")).json()
    assert latest["sessionEnd"] is not None
    assert latest["sessionEnergy"] == ongoing["sessionEnergy"]


@pytest.mark.parametrize(
    "path",
    [
        f"{CHARGER}/state",
        "/api/sites/54321/state",
        "/api/nothing",
        "/api/chargers/",
        "/api/sites/1",
        "/api/sites/54321/circuits/1/settings",
        "/api/commands/EH123456/48/1",
        "/api" + OBSERVATIONS,
    ],
)
async def test_not_found_and_never_redirected(running: Running, path: str) -> None:
    _, api = running
    assert_problem(await api.get(path), 404)


@pytest.mark.parametrize(
    "path", ["/api/chargers/EH000000/config", "/state/EH000000/observations?ids=109"]
)
async def test_somebody_elses_charger(running: Running, path: str) -> None:
    _, api = running
    assert_problem(await api.get(path), 404, 400)


async def test_wrong_method(running: Running) -> None:
    _, api = running
    assert_problem(await api.put("/api/chargers", json={}), 405)


async def test_observations_are_typed_and_have_their_own_time(running: Running) -> None:
    house, api = running
    house.advance(120)
    answer = await api.get(OBSERVATIONS, params={"ids": "109,120,31,62,111"})
    seen = {one["id"]: one for one in answer.json()["observations"]}
    assert {id_: one["dataType"] for id_, one in seen.items()} == {
        109: 4,
        120: 3,
        31: 2,
        62: 6,
        111: 3,
    }
    assert seen[109]["value"] == 3
    assert seen[120]["value"] == pytest.approx(house.plant.car_w / 1000, abs=0.2)
    assert seen[31]["value"] is True
    at = {id_: datetime.fromisoformat(one["timestamp"]) for id_, one in seen.items()}
    assert timedelta(0) <= datetime.now(UTC) - at[120] < timedelta(seconds=5)
    assert at[31] < at[120] - timedelta(days=1)


async def test_observations_come_in_any_order_but_the_same_each_time(running: Running) -> None:
    _, api = running
    ids = [
        [one["id"] for one in (await api.get(OBSERVATIONS)).json()["observations"]]
        for _ in range(2)
    ]
    assert ids[0] == ids[1]
    assert ids[0] != sorted(ids[0])
    assert {109, 120, 182, 190, 199, 250} <= set(ids[0])


async def test_an_id_that_was_never_reported_is_left_out(running: Running) -> None:
    _, api = running
    assert set(await observed(api, 65, 109)) == {109}
    assert await observed(api, 65) == {}


@pytest.mark.parametrize("ids", ["999", "109,999", "109,x", "109,,120", "-1", "²"])
async def test_an_unknown_id_spoils_the_call(running: Running, ids: str) -> None:
    _, api = running
    assert_problem(await api.get(OBSERVATIONS, params={"ids": ids}), 400, invalid="ids")


async def test_changes_take_their_time_to_the_cloud() -> None:
    async with logged_in(CloudSpec(cloud_delay_s=0.2)) as (house, api):
        before = await observed(api, 109)
        house.advance(120)
        assert await observed(api, 109) == before
        await asyncio.sleep(0.2)
        assert await observed(api, 109) == {109: 3}


async def test_circuit_current_is_floored_and_takes_effect_after_seconds(running: Running) -> None:
    house, api = running
    body = {"phase1": 9.9, "phase2": 9.9, "phase3": 9.9, "timeToLive": 10}
    answer = await api.post(f"{CIRCUIT}/dynamicCurrent", json=body)
    assert (answer.status_code, answer.content) == (200, b"")
    assert await observed(api, 111, 112, 113) == {111: 40, 112: 40, 113: 40}
    house.advance(4)
    assert await observed(api, 111, 112, 113, 114) == {111: 9, 112: 9, 113: 9, 114: 9}
    present = (await api.get(f"{CIRCUIT}/dynamicCurrent")).json()
    assert present == {"phase1": 9, "phase2": 9, "phase3": 9}
    assert house.cloud.writes == 1
    assert house.cloud.flash_writes == 0


async def test_one_phase_by_circuit_current(running: Running) -> None:
    house, api = running
    await api.post(f"{CIRCUIT}/dynamicCurrent", json={"phase1": 8, "phase2": 0, "phase3": 0})
    house.advance(120)
    assert await observed(api, 110, 114) == {110: 10, 114: 8}


@pytest.mark.parametrize(("minutes", "after"), [(2, 13), (0, 8), (None, 8)])
async def test_time_to_live_in_minutes(minutes: int | None, after: int) -> None:
    offline = ChargerSpec(offline_max_current_a=(13.0, 13.0, 13.0))
    async with logged_in(house=HouseSpec(battery=None, charger=offline)) as (house, api):
        body = {"phase1": 8, "phase2": 8, "phase3": 8}
        if minutes is not None:
            body["timeToLive"] = minutes
        await api.post(f"{CIRCUIT}/dynamicCurrent", json=body)
        house.advance(115)
        assert await observed(api, 111) == {111: 8}
        house.advance(10)
        assert await observed(api, 111) == {111: after}


async def test_minutes_are_real_minutes_in_a_fast_house() -> None:
    async with logged_in(speed=100) as (house, api):
        body = {"phase1": 8, "phase2": 8, "phase3": 8, "timeToLive": 1}
        await api.post(f"{CIRCUIT}/dynamicCurrent", json=body)
        house.advance(3000)
        assert await observed(api, 111) == {111: 8}
        house.advance(3010)
        assert await observed(api, 111) == {111: 16}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"phase1": -1, "phase2": 6, "phase3": 6}, "phase1"),
        ({"phase1": 6, "phase2": "6", "phase3": 6}, "phase2"),
        ({"phase1": 6, "phase2": 6}, "phase3"),
        ({"phase1": 6, "phase2": 6, "phase3": 6, "timeToLive": -5}, "timeToLive"),
        ({"phase1": 6, "phase2": 6, "phase3": 6, "timeToLive": 0.5}, "timeToLive"),
    ],
)
async def test_circuit_current_is_checked(
    running: Running, body: dict[str, Any], field: str
) -> None:
    house, api = running
    assert_problem(await api.post(f"{CIRCUIT}/dynamicCurrent", json=body), 400, invalid=field)
    assert house.cloud.writes == 0


async def test_a_body_that_is_no_json(running: Running) -> None:
    _, api = running
    answer = await api.post(f"{CIRCUIT}/dynamicCurrent", content=b"{'phase1'")
    assert_problem(answer, 400, invalid="$")


async def test_charger_current_and_its_ticket(running: Running) -> None:
    house, api = running
    path = f"{CHARGER}/commands/set_dynamic_charger_current"
    answer = await api.post(path, json={"amps": 10, "minutes": 5})
    assert answer.status_code == 202
    ticket = answer.json()
    assert set(ticket) == {"device", "commandId", "ticks"}
    url = f"/api/commands/{ticket['device']}/{ticket['commandId']}/{ticket['ticks']}"
    sent = (await api.get(url)).json()
    assert (sent["wasAccepted"], sent["resultCode"]) == (False, 1)
    house.advance(4)
    done = (await api.get(url)).json()
    assert (done["wasAccepted"], done["resultCode"]) == (True, 3)
    assert await observed(api, 48) == {48: 10}
    house.advance(300)
    assert await observed(api, 48) == {48: 32}
    assert_problem(await api.post(path, json={"minutes": 5}), 400, invalid="amps")


async def test_pause_and_resume(running: Running) -> None:
    house, api = running
    house.advance(120)
    assert (await api.post(f"{CHARGER}/commands/pause_charging")).status_code == 202
    house.advance(5)
    assert await observed(api, 48, 109) == {48: 0, 109: 2}
    assert (await api.post(f"{CHARGER}/commands/resume_charging")).status_code == 202
    house.advance(5)
    assert await observed(api, 48) == {48: 32}


async def test_pause_without_a_car(running: Running) -> None:
    house, api = running
    await api.patch("/admin/house", json={"car_plugged_in": False})
    assert_problem(await api.post(f"{CHARGER}/commands/pause_charging"), 400, 410)
    assert house.cloud.writes == 0


async def test_start_and_stop_where_authorization_is_required() -> None:
    spec = HouseSpec(charger=ChargerSpec(authorization_required=True))
    async with logged_in(house=spec) as (house, api):
        assert await observed(api, 42, 109) == {42: True, 109: 7}
        await api.post(f"{CHARGER}/commands/start_charging")
        house.advance(120)
        assert await observed(api, 109) == {109: 3}
        await api.post(f"{CHARGER}/commands/stop_charging")
        house.advance(2)
        assert await observed(api, 109) == {109: 7}


async def test_unknown_command(running: Running) -> None:
    _, api = running
    assert_problem(await api.post(f"{CHARGER}/commands/fly"), 404)


async def test_settings_are_forwarded_when_changed_and_wear_the_flash(running: Running) -> None:
    house, api = running
    wanted = {"maxChargerCurrent": 10, "phaseMode": 1, "enabled": True, "ledStripBrightness": 3}
    answer = await api.post(f"{CHARGER}/settings", json=wanted)
    assert answer.status_code == 202
    assert sorted(ticket["commandId"] for ticket in answer.json()) == [38, 47]
    assert house.cloud.flash_writes == 2
    again = await api.post(f"{CHARGER}/settings", json=wanted)
    assert again.json() == []
    assert house.cloud.flash_writes == 2
    house.advance(60)
    assert await observed(api, 38, 47, 110, 114) == {38: 1, 47: 10, 110: 10, 114: 10}
    assert (await api.get(f"{CHARGER}/config")).json()["maxChargerCurrent"] == 10
    assert_problem(await api.post(f"{CHARGER}/settings", json={"phaseMode": 4}), 400)


async def test_a_disabled_charger_says_so(running: Running) -> None:
    house, api = running
    await api.post(f"{CHARGER}/settings", json={"enabled": False})
    house.advance(2)
    assert await observed(api, 31, 96, 114) == {31: False, 96: 53, 114: 0}
