"""The simulated account with several chargers on two circuits."""

from __future__ import annotations

from typing import Any

import httpx

from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.simulation.plant.other_chargers import OtherSpec
from easee_load_balancer.simulation.plant.plant import HouseSpec
from tests.support.simulated_house import CHARGER, CIRCUIT, EIGHT_A, logged_in

BESIDE, AWAY = "EH200001", "EH200002"
"""On the first charger's circuit, and on one of its own."""


async def shown(api: httpx.AsyncClient, charger: str) -> dict[int, Any]:
    """Circuit current on L1 and the charger's own current."""
    answer = await api.get(f"/state/{charger}/observations", params={"ids": "48,111"})
    return {one["id"]: one["value"] for one in answer.json()["observations"]}


async def test_a_circuits_current_reaches_its_chargers_and_a_chargers_own_only_that_one() -> None:
    spec = HouseSpec(battery=None, others=(OtherSpec(circuit=0), OtherSpec(circuit=1)))
    cloud = CloudSpec(cloud_delay_s=0, rate_limits=False)
    async with logged_in(cloud, spec) as (house, api):
        listed = (await api.get("/api/chargers")).json()
        assert [one["id"] for one in listed] == ["EH123456", BESIDE, AWAY]
        site = (await api.get(f"{CHARGER}/site")).json()
        assert {
            one["id"]: [each["id"] for each in one["chargers"]] for one in site["circuits"]
        } == {
            12345: ["EH123456", BESIDE],
            12346: [AWAY],
        }
        await api.post(f"{CIRCUIT}/dynamicCurrent", json=EIGHT_A)
        own = f"/api/chargers/{BESIDE}/commands/set_dynamic_charger_current"
        assert (await api.post(own, json={"amps": 6, "minutes": 30})).status_code == 202
        house.advance(5)
        assert await shown(api, "EH123456") == {48: 32, 111: 8}
        assert await shown(api, BESIDE) == {48: 6, 111: 8}
        assert await shown(api, AWAY) == {48: 32, 111: 40}
