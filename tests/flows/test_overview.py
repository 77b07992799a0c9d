"""The page of all sites, in a real Prefect server."""

from __future__ import annotations

from datetime import UTC, datetime

from overview import overview
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from easee_load_balancer.orchestration.live_pages import LIVE_PAGES, Page
from easee_load_balancer.reports.overview_page import SiteToday


async def test_the_page_appears_with_the_second_site_and_is_updated_in_place() -> None:
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["overview"]))
    pages = ArtifactFilter(key=ArtifactFilterKey(like_="now-"))
    headlines = []
    async with get_client() as client:
        for left in await client.read_artifacts(artifact_filter=pages):  # by other tests
            await client.delete_artifact(left.id)
        for site in ("home", "cabin", "barn"):
            at = datetime.now(UTC)
            facts = SiteToday(site=site, at=at, well=site != "barn", headline="No car connected")
            page = Page("# Now", "now", facts.model_dump_json())
            await LIVE_PAGES.update(client, f"now-{site}", page)
            state = await overview(return_state=True)
            assert state.is_completed()
            headlines.append(state.message)
            found = await client.read_artifacts(artifact_filter=wanted)
            assert len(found) == (site != "home")
    assert headlines == [
        "there is only one site",
        "2 of 2 sites are well, 0 charging with 0.0 kW",
        "2 of 3 sites are well, 0 charging with 0.0 kW",
    ]
    assert str(found[0].data).startswith("# 2 of 3 sites are well")
    assert "| [barn](/now/barn) | **no** | No car connected |" in str(found[0].data)
