"""Putting the sites together on one page, from what each stores beside its page of now."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from pydantic import ValidationError

from easee_load_balancer.orchestration.live_pages import FACTS, LIVE_PAGES, Page
from easee_load_balancer.reports.overview_page import SiteToday, overview_headline, overview_page
from tasks.step import step

KEY = "overview"
_AT_ONCE = 200
"""The server returns at most this many artifacts."""


@step(name="read sites", timeout_seconds=120)
async def read_sites() -> list[SiteToday]:
    """All sites that have a page of now."""
    found: dict[str, SiteToday] = {}
    wanted, offset, more = ArtifactFilter(key=ArtifactFilterKey(like_="now-")), 0, True
    async with get_client() as client:
        while more:
            page = await client.read_artifacts(
                artifact_filter=wanted, limit=_AT_ONCE, offset=offset
            )
            offset, more = offset + _AT_ONCE, len(page) == _AT_ONCE
            for one in page:
                with suppress(ValidationError):  # a page of another version
                    site = SiteToday.model_validate_json((one.metadata_ or {}).get(FACTS, ""))
                    known = found.get(site.site)
                    found[site.site] = site if known is None else max(known, site, key=_at)
    return list(found.values())


def _at(site: SiteToday) -> datetime:
    return site.at


@step(name="publish overview", timeout_seconds=60)
async def publish_overview(sites: Sequence[SiteToday], now: datetime) -> str:
    """Update the page in place; its headline."""
    headline = overview_headline(sites, now)
    async with get_client() as client:
        await LIVE_PAGES.update(client, KEY, Page(overview_page(sites, now), headline))
    return headline
