"""What the house battery should hold for the night, from what the history knows of the house."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from easee_load_balancer.energy.outlook import BatteryOutlook
from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history.store import History
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.periods import quarter_of_day
from tasks.history import in_time, known_quarters

_DAYS = timedelta(days=28)
_OUTLOOKS: dict[str, tuple[datetime, BatteryOutlook | None]] = {}
"""Of each site that wants it, and the hour in which the history was asked."""


async def battery_wanted_wh(setup: Site, zone: ZoneInfo, now: datetime) -> float | None:
    """What the battery should hold now; None where nobody wants it or too little is known.

    The history is asked once an hour; while it fails, what it said last counts.
    """
    if not setup.policy.battery_night_kwh:
        return None
    hour = now.replace(minute=0, second=0, microsecond=0)
    asked_at, outlook = _OUTLOOKS.get(setup.name, (None, None))
    if asked_at != hour:
        with suppress(HistoryError):  # the cycle says so when it is recorded
            outlook = await in_time(
                setup.name, lambda history: _look_back(history, setup.name, zone, now)
            )
        _OUTLOOKS[setup.name] = (hour, outlook)
    local = now.astimezone(zone)
    return None if outlook is None else outlook.wanted_wh(quarter_of_day(local))


def _look_back(history: History, site: str, zone: ZoneInfo, now: datetime) -> BatteryOutlook | None:
    known = known_quarters(history, site, now - _DAYS, now)
    rows = [row for row in known if row.start >= now - _DAYS]
    load_w = {row.start: row.load_w for row in rows if row.load_w is not None}
    pv_w = {row.start: row.pv_w for row in rows if row.pv_w is not None}
    return BatteryOutlook.of(load_w, pv_w, now, zone)
