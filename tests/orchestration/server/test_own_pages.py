"""Pages that are updated in place, and the short addresses that lead to them."""

from __future__ import annotations

from uuid import UUID

import httpx
import pytest
from prefect import get_client
from prefect.client.schemas.objects import Artifact
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL, temporary_settings

from easee_load_balancer.orchestration import live_pages
from easee_load_balancer.orchestration.blocks import EaseeCharger
from easee_load_balancer.orchestration.live_pages import LivePages, Page
from easee_load_balancer.orchestration.own_addresses import addresses, ui_address
from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from easee_load_balancer.system.processes import HOST, free_port
from tests.support.waiting import until
from tests.support.worker import deployed


async def pages() -> list[Artifact]:
    async with get_client() as client:
        return await client.read_artifacts()


async def shown(live: LivePages, key: str, text: str) -> UUID:
    """Show a page; the id under which the server has it then."""
    await live.show(key, Page(text, f"in short: {text}"))

    async def there() -> UUID | None:
        return next((one.id for one in await pages() if (one.key, one.data) == (key, text)), None)

    id: UUID = await until(there)
    return id


async def test_a_page_keeps_its_address(stack: PrefectStack) -> None:
    live, later = LivePages(), LivePages()
    assert not live.kept
    async with live.held(), later.held():
        assert live.kept
        first = await shown(live, "now-home", "charging")
        assert await shown(live, "now-home", "paused") == first
        assert await shown(later, "now-home", "after a restart") == first
        for text in ("one", "two", "three"):  # faster than the server: the newest counts
            await live.show("now-home", Page(text, ""))
        assert await shown(live, "now-home", "the newest") == first
        assert [one.id for one in await pages()] == [first]
        assert answer(stack, "/now").headers["location"] == f"/artifacts/artifact/{first}"
        async with get_client() as client:
            await client.delete_artifact(first)
        assert await shown(live, "now-home", "somebody deleted it") != first


async def test_a_page_is_lost_while_the_server_is_away(
    stack: PrefectStack, caplog: pytest.LogCaptureFixture
) -> None:
    live = LivePages()
    with temporary_settings({PREFECT_API_URL: f"http://{HOST}:{free_port()}/api"}):
        async with live.held():
            await live.show("now-away", Page("lost", ""))
            await until(lambda: "The page now-away is not updated" in caplog.text)
    assert "now-away" not in [one.key for one in await pages()]


async def test_where_no_process_outlives_a_run_the_page_is_there_before_it_ends(
    stack: PrefectStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_pages, "_LONGEST_S", 20.0)
    await LivePages().show("now-alone", Page("one", ""))
    await LivePages().show("now-alone", Page("two", ""))
    assert [one.data for one in await pages() if one.key == "now-alone"] == ["two"]
    monkeypatch.setattr(live_pages, "_LONGEST_S", 0.0)
    await LivePages().show("now-alone", Page("too slow", ""))
    assert "too slow" not in [one.data for one in await pages()]


def answer(stack: PrefectStack, path: str, **cookies: str) -> httpx.Response:
    return httpx.get(f"{stack.ui_url}{path}", cookies=cookies)


async def test_short_addresses_lead_to_the_pages_once_there_are_some(stack: PrefectStack) -> None:
    live = LivePages()
    async with live.held(), get_client() as client:
        summary = await shown(live, "energy-home", "yesterday")
        cycles = await deployed(client, "pool", "cycle", interval_s=3600, site="home")
    assert answer(stack, "/yesterday").headers["location"] == f"/artifacts/artifact/{summary}"
    newer = answer(stack, "/yesterday", prefect_ui_version="v2")
    assert newer.headers["location"] == f"/v2/artifacts/artifact/{summary}"
    decisions = answer(stack, "/decisions")
    assert decisions.headers["location"] == f"/deployments/deployment/{cycles}"
    for path in ("/now/cabin", "/decisions/cabin"):
        early = answer(stack, path)
        assert (early.status_code, early.headers["refresh"]) == (404, "5")
    assert answer(stack, "/api/health").text == "true"
    assert "<title>" in answer(stack, "/").text


async def test_blocks_show_a_logo_and_lead_to_their_settings(stack: PrefectStack) -> None:
    await EaseeCharger.aregister_type_and_schema()
    async with get_client() as client:
        block = await client.read_block_type_by_slug("easee-charger")
    logo, help_page = str(block.logo_url), str(block.documentation_url)
    assert (logo, help_page) == (
        f"{stack.ui_url}/help/logo.svg",
        f"{stack.ui_url}/help/settings#easee-charger",
    )
    assert answer(stack, "/help/logo.svg").headers["content-type"] == "image/svg+xml"
    page = answer(stack, "/help/settings").text
    assert '<h3 id="easee-charger">' in page
    assert "<td>Circuit ID</td>" in page


def test_addresses_are_those_of_the_ui(stack: PrefectStack) -> None:
    assert addresses(ui_address())["Now and today"] == f"{stack.ui_url}/now"
    with temporary_settings({PREFECT_UI_URL: "http://homeserver.lan:4200/"}):
        own = addresses(ui_address(), "cabin")
    assert own["Yesterday"] == "http://homeserver.lan:4200/yesterday/cabin"
