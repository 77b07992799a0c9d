"""One page for all sites."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from easee_load_balancer.energy.day_so_far import DaySoFar, Sample
from easee_load_balancer.integrations.snapshot import Snapshot
from easee_load_balancer.periods import bounds
from easee_load_balancer.reports.now_page import Now
from easee_load_balancer.reports.overview_page import SiteToday, overview_headline, overview_page
from tests.support.control_readings import NOW
from tests.support.simulated_day import STOCKHOLM
from tests.support.snapshots import snapshot

GOOD: dict[str, Any] = {"at": NOW, "well": True, "headline": "Charging"}
SITES = [
    SiteToday(
        site="cabin", **GOOD, car_w=6900.0, car_kwh=8.0, solar_kwh=6.0, saved=1.2, currency="EUR"
    ),
    SiteToday(site="barn", **GOOD | {"well": False, "headline": "The last cycle failed"}),
    SiteToday(site="lake", **GOOD | {"at": NOW - timedelta(hours=2)}, car_w=6900.0, car_kwh=2.0),
    SiteToday(site="home", **GOOD, saved=0.5, currency="EUR"),
]


def shown(known: Snapshot) -> SiteToday:
    """A site whose car has got 4 kW of sun for two hours."""
    day = DaySoFar(*bounds(NOW.date(), STOCKHOLM))
    for minute in range(121):
        day.add(Sample(NOW + timedelta(minutes=minute - 120), 5000.0, 0.0, 0.0, 4000.0), 0.25)
    return SiteToday.of(Now(known, STOCKHOLM, day, b"", NOW))


def test_a_site_tells_what_its_own_page_shows() -> None:
    site = shown(snapshot(currency="EUR"))
    assert (site.well, site.charges, site.car_kwh, site.solar_kwh, site.saved) == (
        *(True, True, 8.0, 8.0),
        2.0,
    )
    assert site.headline == "Charging 10 A x 3: 6.9 kW, 4.0 of it solar"
    assert SiteToday.model_validate_json(site.model_dump_json(exclude_defaults=True)) == site
    assert shown(snapshot()).saved is None
    assert not shown(snapshot(outcome="failed")).well
    known = snapshot()
    attention = replace(known, decision=replace(known.decision, attention="x" * 2000))
    assert not shown(attention).well
    assert len(shown(attention).model_dump_json(exclude_defaults=True)) <= 500


def test_the_headline_adds_up_the_sites_that_are_not_silent() -> None:
    assert overview_headline(SITES, NOW) == (
        "2 of 4 sites are well, 1 charging with 6.9 kW, 60 % solar today, 1.70 EUR saved"
    )


def test_what_needs_help_comes_first() -> None:
    page = overview_page(SITES, NOW)
    rows = [line for line in page.splitlines() if line.startswith("| [")]
    assert [row.split("]")[0] for row in rows] == ["| [barn", "| [lake", "| [cabin", "| [home"]
    assert rows[0].startswith("| [barn](/now/barn) | **no** | The last cycle failed |")
    assert "Silent for 2 h 00 min" in rows[1]
    assert rows[2].endswith("| 6.9 | 8.0 | 75 % | 1.20 EUR |")
