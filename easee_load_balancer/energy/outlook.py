"""What the coming quarter-hours are expected to bring, from what the past ones were. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import fmean
from zoneinfo import ZoneInfo

QuarterOfDay = tuple[int, int]
"""Local hour and minute."""
_FEW_DAYS = 2.0
"""What is known of one weekday or hour alone counts little until there are more days than this."""
_FACTORS = (0.2, 2.0)
_LEAST_SHARE = 0.05
"""Of the highest power: forecasts below it say nothing about the roof."""
_PV_DAYS = timedelta(days=7)
_UNKNOWN_LOAD_W = 500.0


@dataclass(frozen=True, slots=True)
class UsualLoad:
    """The household's load by weekday and quarter-hour; where that is unknown, by less."""

    by_weekday: Mapping[tuple[int, QuarterOfDay], Sequence[float]] = field(default_factory=dict)
    by_time: Mapping[QuarterOfDay, float] = field(default_factory=dict)
    mean_w: float = _UNKNOWN_LOAD_W

    @classmethod
    def of(cls, load_w: Mapping[datetime, float], zone: ZoneInfo) -> UsualLoad:
        """The usual load from the mean load of past quarter-hours, with gaps."""
        if not load_w:
            return cls()
        weekdays: dict[tuple[int, QuarterOfDay], list[float]] = defaultdict(list)
        times: dict[QuarterOfDay, list[float]] = defaultdict(list)
        for start, watts in load_w.items():
            local = start.astimezone(zone)
            weekdays[local.weekday(), (local.hour, local.minute)].append(watts)
            times[local.hour, local.minute].append(watts)
        return cls(
            weekdays,
            {time: fmean(watts) for time, watts in times.items()},
            fmean(load_w.values()),
        )

    def at(self, local: datetime) -> float:
        """The load to expect in the quarter-hour of that local time, in W."""
        time = (local.hour, local.minute)
        any_day_w = self.by_time.get(time, self.mean_w)
        same_day = self.by_weekday.get((local.weekday(), time), ())
        return (sum(same_day) + _FEW_DAYS * any_day_w) / (len(same_day) + _FEW_DAYS)


@dataclass(frozen=True, slots=True)
class RoofFactor:
    """What this roof makes of a forecast: by the hour of the day, for trees and chimneys."""

    overall: float = 1.0
    by_hour: Mapping[int, float] = field(default_factory=dict)

    @classmethod
    def learned(
        cls, forecast_w: Mapping[datetime, float], made_w: Mapping[datetime, float], zone: ZoneInfo
    ) -> RoofFactor:
        """The factor from past quarter-hours whose forecast and production are both known."""
        least_w = _LEAST_SHARE * max(forecast_w.values(), default=0.0)
        both = [
            (start.astimezone(zone).hour, watts, made_w[start])
            for start, watts in forecast_w.items()
            if start in made_w and watts > least_w
        ]
        expected = sum(watts for _, watts, _ in both)
        if not expected:
            return cls()
        overall = _bounded(sum(made for _, _, made in both) / expected)
        hours: dict[int, tuple[float, float]] = {}
        for hour, watts, made in both:
            before = hours.get(hour, (0.0, 0.0))
            hours[hour] = (before[0] + watts, before[1] + made)
        return cls(
            overall,
            {hour: _shrunken(*sums, overall, expected / len(both)) for hour, sums in hours.items()},
        )

    def at(self, local: datetime) -> float:
        """The factor at that local time."""
        return self.by_hour.get(local.hour, self.overall)


def expected_pv(
    start: datetime,
    forecast_w: Mapping[datetime, float],
    roof: RoofFactor,
    made_w: Mapping[datetime, float],
    zone: ZoneInfo,
) -> float:
    """The PV power to expect in that quarter-hour, in W: forecast times roof.

    Without a forecast, the mean of the last week's production at that time of day; 0 at first.
    """
    local = start.astimezone(zone)
    if start in forecast_w:
        return forecast_w[start] * roof.at(local)
    newest = max(made_w, default=start)
    same_time = []
    for day in range(1, 15):
        earlier = (local - timedelta(days=day)).astimezone(start.tzinfo)
        if earlier in made_w and newest - earlier < _PV_DAYS:
            same_time.append(made_w[earlier])
    return fmean(same_time) if same_time else 0.0


def _shrunken(expected: float, made: float, overall: float, usual: float) -> float:
    """The factor of an hour, near the overall one until it is known from several days."""
    prior = 4 * _FEW_DAYS * usual
    return _bounded((made + prior * overall) / (expected + prior))


def _bounded(factor: float) -> float:
    low, high = _FACTORS
    return min(max(factor, low), high)
