"""Keeping the page of now up to date."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from easee_load_balancer.energy.day_so_far import DaySoFar, Sample
from easee_load_balancer.energy.price_table import PriceTable
from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history.store import History
from easee_load_balancer.integrations.snapshot import Snapshot
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.orchestration.live_pages import LIVE_PAGES, Page
from easee_load_balancer.periods import QUARTER, bounds
from easee_load_balancer.reports.now_page import Now, now_headline, now_page, sample_of
from easee_load_balancer.reports.now_picture import day_svg
from easee_load_balancer.reports.overview_page import SiteToday
from tasks.history import in_time
from tasks.prices import price_table

_PICTURE_EVERY = timedelta(minutes=5)


@dataclass(slots=True)
class _Shown:
    """What this process knows of a site between two cycles."""

    day: DaySoFar
    drawn_at: datetime
    picture: bytes = b""
    cloud_calls: int | None = None
    last_good_at: datetime | None = None


_SHOWN: dict[str, _Shown] = {}


async def refresh_now_page(snapshot: Snapshot, setup: Site, zone: ZoneInfo) -> None:
    """Show the cycle on the page `now-<site>`."""
    prices = await price_table(setup, zone, snapshot.at)
    shown = _SHOWN.get(snapshot.site)
    if shown is None or not shown.day.start <= snapshot.at < shown.day.end:
        shown = await _begin(snapshot, prices, shown)
        _SHOWN[snapshot.site] = shown
    shown.day.add(sample_of(snapshot), prices.at(snapshot.at).solar_gain)
    if snapshot.outcome != "failed":
        shown.last_good_at = snapshot.at
    if not timedelta() <= snapshot.at - shown.drawn_at < _PICTURE_EVERY:
        shown.picture = day_svg(shown.day, zone)
        shown.drawn_at = snapshot.at if shown.day.bins else shown.drawn_at
        with suppress(HistoryError):
            shown.cloud_calls = await in_time(
                snapshot.site, lambda history: _cloud_calls(history, snapshot.site, shown.day)
            )
    now = Now(snapshot, zone, shown.day, shown.picture, shown.last_good_at, shown.cloud_calls)
    facts = SiteToday.of(now).model_dump_json(exclude_defaults=True)
    page = Page(now_page(now), now_headline(snapshot), facts)
    await LIVE_PAGES.show(f"now-{snapshot.site}", page)


async def _begin(snapshot: Snapshot, prices: PriceTable, before: _Shown | None) -> _Shown:
    """The day of the cycle, with what the history has of it."""
    day = DaySoFar(*bounds(snapshot.at.astimezone(prices.zone).date(), prices.zone))
    gains = [price.solar_gain for price in prices.between(day.start, day.end)]
    last_good_at = before.last_good_at if before else None
    with suppress(HistoryError):
        for sample, outcome in await in_time(
            snapshot.site, lambda history: _cycles(history, snapshot, day.start)
        ):
            day.add(sample, gains[(sample.at - day.start) // QUARTER])
            last_good_at = last_good_at if outcome == "failed" else sample.at
    never = datetime.min.replace(tzinfo=snapshot.at.tzinfo)
    return _Shown(day, never, last_good_at=last_good_at)


def _cycles(history: History, snapshot: Snapshot, start: datetime) -> list[tuple[Sample, str]]:
    """What the earlier cycles of the day have measured, and their outcomes."""
    columns = (*Sample._fields, "outcome")
    rows = history.values(snapshot.site, start, snapshot.at, columns)
    return [(Sample(*measured), outcome) for *measured, outcome in rows]


def _cloud_calls(history: History, site: str, day: DaySoFar) -> int:
    return sum(history.cloud_calls(site, day.start, day.end).values())
