"""What the coming quarter-hours are expected to bring, from what the past ones were. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
_QUARTERS = 96
_LEAST_CAR_W = 6 * 230.0
"""A car takes no less, on one phase."""
_LEAST_SUN_SHARE = 2 / 3
"""Of that, what has to be sun beside a plan (see `PLAN_GRID_WEIGHT`)."""
_LEFT_BY_CAR_W = 350.0
"""Half a step of current on three phases."""
_BATTERY_GIVES = 0.95
"""Of what goes in, and of what is in it."""


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


@dataclass(frozen=True, slots=True)
class UsualPv:
    """The mean of the last week's production by the time of day; 0 where nothing is known."""

    by_time: Mapping[QuarterOfDay, float] = field(default_factory=dict)

    @classmethod
    def of(cls, made_w: Mapping[datetime, float], zone: ZoneInfo) -> UsualPv:
        """The usual production from past quarter-hours, with gaps."""
        return cls(_means(_last_days(made_w, zone)))

    @classmethod
    def left_to_car(
        cls, made_w: Mapping[datetime, float], load: UsualLoad, zone: ZoneInfo
    ) -> UsualPv:
        """What of it a car takes by itself.

        A fine day and a dull one bring a car more than two with the mean of both: on none of those
        may the surplus be enough to charge with.
        """
        least_w = _LEAST_CAR_W * _LEAST_SUN_SHARE
        surplus = ((at, watts - load.at(at)) for at, watts in _last_days(made_w, zone))
        return cls(_means((at, watts if watts >= least_w else 0.0) for at, watts in surplus))

    def at(self, local: datetime) -> float:
        """The PV power to expect in the quarter-hour of that local time, in W."""
        return self.by_time.get((local.hour, local.minute), 0.0)


@dataclass(frozen=True, slots=True)
class BatteryOutlook:
    """What the house usually does in the quarter-hours of a local day: 96 values each, in W.

    From midnight on; for a night, the load is that of this evening and of the next morning.
    """

    pv_w: Sequence[float]
    load_w: Sequence[float]

    @classmethod
    def of(
        cls,
        load_w: Mapping[datetime, float],
        pv_w: Mapping[datetime, float],
        now: datetime,
        zone: ZoneInfo,
    ) -> BatteryOutlook | None:
        """The outlook from the means of past quarter-hours; None before a day is known."""
        if not pv_w or now - min(pv_w) < timedelta(days=1):
            return None
        local = now.astimezone(zone)
        today = [
            local.replace(hour=quarter // 4, minute=quarter % 4 * 15, second=0, microsecond=0)
            for quarter in range(_QUARTERS)
        ]
        usual, usual_pv = UsualLoad.of(load_w, zone), UsualPv.of(pv_w, zone)
        noon = _QUARTERS // 2
        next_morning = [start + timedelta(days=1) for start in today[:noon]]
        return cls(
            [usual_pv.at(start) for start in today],
            [usual.at(start) for start in (*next_morning, *today[noon:])],
        )

    @classmethod
    def sampled(
        cls, pv_w: Sequence[float], load_w: Sequence[float], per_quarter: int
    ) -> BatteryOutlook:
        """The outlook from a day that is known, with `per_quarter` samples in each quarter-hour."""
        starts = range(0, len(pv_w), per_quarter)
        pv, load = (
            [fmean(watts[start : start + per_quarter]) for start in starts]
            for watts in (pv_w, load_w)
        )
        return cls(pv, load)

    def wanted_wh(self, quarter: int) -> float:
        """What the battery should hold in that quarter-hour to last through the coming night.

        Less what it gets in any case: the surplus that the car leaves until the evening.
        """
        surplus_w = [pv - load for pv, load in zip(self.pv_w, self.load_w, strict=True)]
        sunny = [index for index, watts in enumerate(surplus_w) if watts > 0]
        day = range(sunny[0], sunny[-1] + 1) if sunny else range(0)
        night_wh = sum(-watts / 4 for i, watts in enumerate(surplus_w) if i not in day)
        left_wh = sum(
            (surplus_w[i] if surplus_w[i] < _LEAST_CAR_W else _LEFT_BY_CAR_W) / 4
            for i in day
            if i >= quarter and surplus_w[i] > 0
        )
        return night_wh / _BATTERY_GIVES - left_wh * _BATTERY_GIVES


def _last_days(
    made_w: Mapping[datetime, float], zone: ZoneInfo
) -> Iterator[tuple[datetime, float]]:
    """The quarter-hours of the last week, in local time."""
    newest = max(made_w, default=None)
    for start, watts in made_w.items():
        if newest is not None and newest - start < _PV_DAYS:
            yield start.astimezone(zone), watts


def _means(values: Iterable[tuple[datetime, float]]) -> dict[QuarterOfDay, float]:
    """The mean of each time of day."""
    times: dict[QuarterOfDay, list[float]] = defaultdict(list)
    for local, value in values:
        times[local.hour, local.minute].append(value)
    return {time: fmean(found) for time, found in times.items()}


def _shrunken(expected: float, made: float, overall: float, usual: float) -> float:
    """The factor of an hour, near the overall one until it is known from several days."""
    prior = 4 * _FEW_DAYS * usual
    return _bounded((made + prior * overall) / (expected + prior))


def _bounded(factor: float) -> float:
    low, high = _FACTORS
    return min(max(factor, low), high)
