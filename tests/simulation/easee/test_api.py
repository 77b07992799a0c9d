"""The simulated Easee API over real sockets."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.simulation.plant.charger import ChargerSpec
from easee_load_balancer.simulation.plant.plant import HouseSpec
from tests.support.history import NOON
from tests.support.simulated_house import (
    CHARGER,
    CIRCUIT,
    EIGHT_A,
    OBSERVATIONS,
    Running,
    assert_problem,
    logged_in,
    observed,
)

PUSH = f"{CIRCUIT}/dynamicCurrent"


async def test_ids_are_found_from_account_charger_and_site(running: Running) -> None:
    _, api = running
    (charger,) = (await api.get("/api/chargers")).json()
    by_charger = (await api.get(f"/api/chargers/{charger['id']}/site")).json()
    by_id = (await api.get("/api/sites/54321?detailed=true")).json()
    for site in (by_charger, by_id):
        (circuit,) = site["circuits"]
        assert (site["id"], circuit["id"], circuit["siteId"]) == (54321, 12345, 54321)
        assert [one["id"] for one in circuit["chargers"]] == [charger["id"]]
    (listed,) = (await api.get("/api/sites")).json()
    for site in (listed, (await api.get("/api/sites/54321")).json()):
        assert (site["id"], site["circuits"]) == (54321, None)


async def test_documents_have_the_recorded_fields(running: Running, shared_data: Path) -> None:
    _, api = running

    def recorded(name: str) -> Any:
        return json.loads((shared_data / "easee" / f"{name}.json").read_text())

    charger_state = recorded("site-state")["circuitStates"][0]["chargerStates"][0]
    for path, document in (
        ("/api/chargers", recorded("chargers")),
        (f"{CHARGER}/site", recorded("site")),
        (f"{CHARGER}/config", charger_state["chargerConfig"]),
    ):
        assert_same_fields(document, (await api.get(path)).json())


def assert_same_fields(recorded: Any, answered: Any) -> None:
    """The answer has all recorded fields, with the same types."""
    if isinstance(recorded, dict):
        assert set(recorded) <= set(answered)
        for name, value in recorded.items():
            assert_same_fields(value, answered[name])
    elif isinstance(recorded, list) and recorded:
        assert_same_fields(recorded[0], answered[0])
    elif recorded is not None and answered is not None and not isinstance(recorded, (int, float)):
        assert type(recorded) is type(answered)


async def test_config_and_circuit_settings_show_the_limits(running: Running) -> None:
    _, api = running
    config = (await api.get(f"{CHARGER}/config")).json()
    assert (config["phaseMode"], config["detectedPowerGridType"]) == (2, 1)
    assert (config["maxChargerCurrent"], config["circuitMaxCurrentP3"]) == (32, 16)
    settings = (await api.get(f"{CIRCUIT}/settings")).json()
    for name, amps in (("dynamicCircuit", 40), ("maxCircuit", 16), ("offlineMaxCircuit", 16)):
        assert [settings[f"{name}CurrentP{phase}"] for phase in (1, 2, 3)] == [amps] * 3


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"{CHARGER}/state", None),
        ("/api/sites/54321/state", None),
        ("/api/nothing", None),
        ("/api/chargers/", None),
        ("/api/sites/1", None),
        ("/api/sites/54321/circuits/1/settings", None),
        ("/api" + OBSERVATIONS, None),
        ("/api/chargers/EH000000/config", 400),
        ("/state/EH000000/observations?ids=109", 400),
    ],
)
async def test_unknown_paths_and_ids_are_404(running: Running, path: str, code: int | None) -> None:
    _, api = running
    assert_problem(await api.get(path), 404, code)


async def test_wrong_method_and_unknown_command_are_refused(running: Running) -> None:
    _, api = running
    assert_problem(await api.put("/api/chargers", json={}), 405)
    assert_problem(await api.post(f"{CHARGER}/commands/fly"), 404)


async def test_observations_are_typed_and_timed_one_by_one(running: Running) -> None:
    house, api = running
    house.advance(120)
    answer = await api.get(OBSERVATIONS, params={"ids": "109,120,31,62,111"})
    seen = {one["id"]: one for one in answer.json()["observations"]}
    types = {id_: one["dataType"] for id_, one in seen.items()}
    assert types == {109: 4, 120: 3, 31: 2, 62: 6, 111: 3}
    assert (seen[109]["value"], seen[31]["value"]) == (3, True)
    assert seen[120]["value"] == pytest.approx(house.plant.car_w / 1000, abs=0.2)
    at = {id_: datetime.fromisoformat(one["timestamp"]) for id_, one in seen.items()}
    assert timedelta(0) <= datetime.now(UTC) - at[120] < timedelta(minutes=1)
    assert at[31] < at[120] - timedelta(days=1)


async def test_observations_are_unordered_and_unreported_ids_left_out(running: Running) -> None:
    _, api = running
    ids = [one["id"] for one in (await api.get(OBSERVATIONS)).json()["observations"]]
    assert ids != sorted(ids)
    assert {109, 120, 182, 190, 199, 250} <= set(ids)
    assert set(await observed(api, 65, 109)) == {109}
    assert await observed(api, 65) == {}


@pytest.mark.parametrize("ids", ["999", "109,999", "109,x", "109,,120", "-1", "²"])
async def test_one_unknown_id_fails_the_call(running: Running, ids: str) -> None:
    _, api = running
    assert_problem(await api.get(OBSERVATIONS, params={"ids": ids}), 400, invalid="ids")


async def test_changes_are_shown_after_the_delay() -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        async with logged_in(CloudSpec(cloud_delay_s=2)) as (house, api):
            before = await observed(api, 109)
            house.advance(120)
            clock.shift(1)
            assert await observed(api, 109) == before
            clock.shift(1)
            assert await observed(api, 109) == {109: 3}


async def test_circuit_current_is_floored_and_takes_effect_after_seconds(running: Running) -> None:
    house, api = running
    answer = await api.post(PUSH, json={"phase1": 9.9, "phase2": 9.9, "phase3": 9.9})
    assert (answer.status_code, answer.content) == (200, b"")
    assert await observed(api, 111, 112, 113) == {111: 40, 112: 40, 113: 40}
    house.advance(4)
    assert await observed(api, 111, 112, 113, 114) == {111: 9, 112: 9, 113: 9, 114: 9}
    assert house.cloud.writes == 1


async def test_zero_current_on_two_phases_switches_to_one_phase(running: Running) -> None:
    house, api = running
    await api.post(PUSH, json={"phase1": 8, "phase2": 0, "phase3": 0})
    house.advance(120)
    assert await observed(api, 110, 114) == {110: 10, 114: 8}


@pytest.mark.parametrize(
    ("body", "speed", "ends_s", "after"),
    [
        ({"timeToLive": 2}, 0, 120, 13),
        ({"timeToLive": 0}, 0, 120, 8),
        ({}, 0, 120, 8),
        ({"timeToLive": 1}, 100, 6000, 13),
    ],
)
async def test_time_to_live_is_in_real_minutes_and_0_means_no_end(
    body: dict[str, int], speed: int, ends_s: int, after: int
) -> None:
    spec = ChargerSpec(offline_max_current_a=(13.0, 13.0, 13.0))
    async with logged_in(house=HouseSpec(battery=None, charger=spec), speed=speed) as (house, api):
        await api.post(PUSH, json=EIGHT_A | body)
        house.advance(ends_s // 2)
        assert await observed(api, 111) == {111: 8}
        house.advance(ends_s // 2 + 10)
        assert await observed(api, 111) == {111: after}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (EIGHT_A | {"phase1": -1}, "phase1"),
        (EIGHT_A | {"phase2": "6"}, "phase2"),
        ({"phase1": 6, "phase2": 6}, "phase3"),
        (EIGHT_A | {"timeToLive": -5}, "timeToLive"),
        (EIGHT_A | {"timeToLive": 0.5}, "timeToLive"),
        ("not an object", "$"),
    ],
)
async def test_invalid_circuit_current_is_refused(running: Running, body: Any, field: str) -> None:
    house, api = running
    assert_problem(await api.post(PUSH, json=body), 400, invalid=field)
    assert house.cloud.writes == 0


async def test_charger_current_is_accepted_with_a_ticket_and_ends(running: Running) -> None:
    house, api = running
    path = f"{CHARGER}/commands/set_dynamic_charger_current"
    answer = await api.post(path, json={"amps": 10, "minutes": 5})
    assert (answer.status_code, set(answer.json())) == (202, {"device", "commandId", "ticks"})
    house.advance(4)
    assert await observed(api, 48) == {48: 10}
    house.advance(300)
    assert await observed(api, 48) == {48: 32}
    assert_problem(await api.post(path, json={"minutes": 5}), 400, invalid="amps")


async def test_pause_and_resume_set_the_charger_current_and_need_a_car(running: Running) -> None:
    house, api = running
    house.advance(120)
    for command, amps, mode in (("pause", 0, 2), ("resume", 32, 6)):
        answer = await api.post(f"{CHARGER}/commands/{command}_charging")
        assert answer.status_code == 202
        house.advance(5)
        assert await observed(api, 48, 109) == {48: amps, 109: mode}
    house.plant.car.unplug()
    assert_problem(await api.post(f"{CHARGER}/commands/pause_charging"), 400, 410)
    assert house.cloud.writes == 2


async def test_settings_change_what_differs_and_keep_the_rest(running: Running) -> None:
    house, api = running
    charger = house.plant.charger
    answer = await api.post(f"{CHARGER}/settings", json={"phaseMode": 1, "enabled": False})
    assert [one["commandId"] for one in answer.json()] == [31, 38]
    again = await api.post(f"{CHARGER}/settings", json={"phaseMode": 1, "enabled": False})
    assert (again.status_code, again.json()) == (202, [])
    assert (charger.enabled, charger.spec.phase_mode) == (False, 1)
    assert charger.dynamic_charger_current_a == 32
    limits = {"dynamicCircuitCurrentP1": 9.5, "maxCircuitCurrentP3": 20}
    answer = await api.post(f"{CIRCUIT}/settings", json=limits)
    assert (answer.status_code, answer.content) == (200, b"")
    house.advance(4)
    assert await observed(api, 24, 111, 112) == {24: 20, 111: 9, 112: 40}
    assert_problem(await api.post(f"{CHARGER}/settings", json={"phaseMode": 7}), 400)


async def test_documents_have_whole_amperes_without_decimals(running: Running) -> None:
    _, api = running
    for path in (f"{CHARGER}/config", f"{CIRCUIT}/settings", f"{CHARGER}/site"):
        assert not re.search(r'Current(P\d)?": ?\d+\.', (await api.get(path)).text)


async def test_sessions_last_from_plug_to_plug(running: Running) -> None:
    house, api = running
    house.advance(600)
    ongoing = (await api.get(f"{CHARGER}/sessions/ongoing")).json()
    assert ongoing["sessionEnergy"] == pytest.approx(house.plant.car.energy_kwh, abs=1e-6)
    assert 500 <= ongoing["chargeDurationInSeconds"] <= 600
    assert_problem(await api.get(f"{CHARGER}/sessions/latest"), 404)
    house.plant.car.unplug()
    house.advance(1)
    assert_problem(await api.get(f"{CHARGER}/sessions/ongoing"), 404)
    latest = (await api.get(f"{CHARGER}/sessions/latest")).json()
    assert latest["sessionId"] == ongoing["sessionId"]
    assert latest["sessionEnd"] is not None
