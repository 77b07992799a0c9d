"""Looking up chargers from the Prefect UI."""

from __future__ import annotations

from discover import discover
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from easee_load_balancer.orchestration.blocks import EaseeCharger, load_block
from easee_load_balancer.simulation.easee.documents import CloudSpec
from tests.support.home import a_home, last_run
from tests.support.site import SITE

TWO = CloudSpec(second_charger_id="EH123457", name="Garage | <b>left</b>")


async def _page() -> str:
    async with get_client() as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["chargers"]))
        artifacts = await client.read_artifacts(artifact_filter=wanted)
    newest = max(artifacts, key=lambda one: one.updated.timestamp() if one.updated else 0.0)
    return str(newest.data)


async def test_lists_chargers_and_saves_nothing() -> None:
    async with a_home(cloud=TWO, charger_id="EH000000") as home:
        state = await discover(SITE, return_state=True)
        assert state.is_completed()
        assert "EH123456" in (await last_run()).name
        page = await _page()
        assert "| EH123457 | Simulated house | 54321 | 12345 | 16 A |" in page
        assert "| Garage b left /b | EH123456 |" in page
        assert (await load_block(EaseeCharger, SITE)).charger_id == "EH000000"
        assert home.house.cloud.writes == 0


async def test_saves_a_charger_on_request() -> None:
    async with a_home(cloud=TWO, charger_id="EH000000", site_id=1, circuit_id=2):
        state = await discover(SITE, save="EH123457", return_state=True)
        assert (state.message or "").startswith("saved Guest parking (EH123457)")
        saved = await load_block(EaseeCharger, SITE)
        assert (saved.charger_id, saved.site_id, saved.circuit_id) == ("EH123457", 54321, 12345)
        state = await discover(SITE, save="EH999999", return_state=True)
        assert state.is_failed()
        assert (await load_block(EaseeCharger, SITE)).charger_id == "EH123457"


async def test_a_wrong_password_fails_with_a_message() -> None:
    async with a_home(password="wrong"):
        state = await discover(SITE, return_state=True)
        assert state.is_failed()
        assert "rejected the user name or password" in (state.message or "")
