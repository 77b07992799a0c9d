"""The page of all sites, for those who run many: which need help, and what the day has brought."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict

from easee_load_balancer.integrations.snapshot import CHARGING_W
from easee_load_balancer.reports.markdown import UNKNOWN, as_duration, as_table
from easee_load_balancer.reports.now_page import Now, is_well, now_headline

SILENT_AFTER = timedelta(minutes=10)
"""Longer than any usual interval."""
_LONGEST_HEADLINE = 250
"""Prefect stores 500 characters."""


class SiteToday(BaseModel):
    """A site at its last cycle; each stores its own beside its page of now."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    site: str
    at: AwareDatetime
    well: bool
    headline: str
    car_w: float | None = None
    car_kwh: float = 0.0
    """Today; so is solar_kwh."""
    solar_kwh: float = 0.0
    saved: float | None = None
    """Today, in the tariff's currency; None without a tariff."""
    currency: str = ""

    @classmethod
    def of(cls, now: Now) -> SiteToday:
        """What the page of now shows, in short."""
        snapshot, total = now.snapshot, now.day.total
        return cls(
            site=snapshot.site,
            at=snapshot.at,
            well=is_well(snapshot),
            headline=now_headline(snapshot)[:_LONGEST_HEADLINE],
            car_w=snapshot.charger.car_w,
            car_kwh=round(total.car / 3.6e6, 3),
            solar_kwh=round(total.car_from_solar / 3.6e6, 3),
            saved=None if snapshot.currency is None else round(now.day.saved, 3),
            currency=snapshot.currency or "",
        )

    @property
    def charges(self) -> bool:
        """Whether the car takes power."""
        return (self.car_w or 0.0) >= CHARGING_W

    def is_silent(self, now: datetime) -> bool:
        """Whether its last cycle is too old."""
        return now - self.at > SILENT_AFTER


def overview_headline(sites: Sequence[SiteToday], now: datetime) -> str:
    """All sites in a line."""
    well = sum(one.well and not one.is_silent(now) for one in sites)
    charging = [one.car_w or 0.0 for one in sites if one.charges and not one.is_silent(now)]
    parts = [f"{well} of {len(sites)} sites are well"]
    parts.append(f"{len(charging)} charging with {sum(charging) / 1000:.1f} kW")
    car_kwh = sum(one.car_kwh for one in sites)
    if car_kwh:
        parts.append(f"{100 * sum(one.solar_kwh for one in sites) / car_kwh:.0f} % solar today")
    saved: dict[str, float] = defaultdict(float)
    for one in sites:
        if one.saved is not None:
            saved[one.currency] += one.saved
    parts += [f"{amount:.2f} {currency} saved" for currency, amount in sorted(saved.items())]
    return ", ".join(parts)


def overview_page(sites: Sequence[SiteToday], now: datetime) -> str:
    """The page as markdown; what needs help comes first."""
    ordered = sorted(sites, key=lambda one: (one.well and not one.is_silent(now), one.site))
    names = ("Site", "Well", "Now", "Car kW", "Car today kWh", "Solar", "Saved today")
    rows = [_row(one, now) for one in ordered]
    return "\n\n".join(
        [
            f"# {overview_headline(sites, now)}",
            f"{now:%Y-%m-%d %H:%M} {now.tzname()}",
            as_table(names, "lllrrrr", rows),
            "Today is the day in each site's time zone. This page is updated every five minutes: "
            "reload it. A site's name leads to its page.\n",
        ]
    )


def _row(one: SiteToday, now: datetime) -> tuple[str, ...]:
    silent = one.is_silent(now)
    headline = (
        f"Silent for {as_duration((now - one.at).total_seconds())}" if silent else one.headline
    )
    return (
        f"[{one.site}](/now/{one.site})",
        "yes" if one.well and not silent else "**no**",
        headline,
        UNKNOWN if one.car_w is None or silent else f"{one.car_w / 1000:.1f}",
        f"{one.car_kwh:.1f}",
        f"{100 * one.solar_kwh / one.car_kwh:.0f} %" if one.car_kwh else UNKNOWN,
        UNKNOWN if one.saved is None else f"{one.saved:.2f} {one.currency}",
    )
