"""What a kWh costs and earns in each quarter-hour: the one price model with the known prices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from statistics import fmean
from zoneinfo import ZoneInfo

from easee_load_balancer.energy.expectations import Day, expected_prices
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.periods import QUARTER, quarter_of, quarter_of_day

_WEEK = timedelta(days=7)
_DAY = timedelta(days=1)
_QUARTERS = 96
_CHEAP_SHARE = 4
"""A quarter of the day is enough to charge in."""


@dataclass(frozen=True)
class QuarterPrice:
    """Import and export price per kWh of a quarter-hour."""

    import_price: float
    export_price: float
    is_known: bool
    """Whether it was published or is fixed; else it is expected, or the fixed price."""

    @property
    def solar_gain(self) -> float:
        """What a kWh of solar in the car saves: its import price less the export income."""
        return self.import_price - self.export_price


@dataclass(frozen=True)
class PriceTable:
    """The owner's prices, with the day-ahead prices that are known."""

    prices: Prices
    zone: ZoneInfo
    """Time zone of the home."""
    spot: Mapping[datetime, float] = field(default_factory=dict)
    """Day-ahead price per kWh, by the start of its quarter-hour in UTC."""

    @property
    def known_until(self) -> datetime | None:
        """End of the last known quarter-hour; None where none is known."""
        return max(self.spot) + QUARTER if self.spot else None

    def at(self, moment: datetime) -> QuarterPrice:
        """The prices of the quarter-hour that holds that moment."""
        quarter = quarter_of(moment)
        local, spot = quarter.astimezone(self.zone), self.spot.get(quarter)
        is_known = spot is not None or not self.prices.is_dynamic
        if spot is None:
            spot = self._of_last_week(local)
        return self._of(local, spot, is_known=is_known)

    def between(self, start: datetime, end: datetime) -> Sequence[QuarterPrice]:
        """The prices of each quarter-hour from that of `start` to before `end`."""
        first = quarter_of(start)
        return [self.at(first + index * QUARTER) for index in range(-(-(end - first) // QUARTER))]

    def expected(self, start: datetime, end: datetime) -> Sequence[QuarterPrice]:
        """As `between`, for planning: days that are not known are as their weekday lately was.

        A mean of the week has no cheap hours left where they come at another time every day.
        """
        first = quarter_of(start)
        count = -(-(end - first) // QUARTER)
        return [self._expected_at(first + index * QUARTER) for index in range(count)]

    def _expected_at(self, quarter: datetime) -> QuarterPrice:
        if quarter in self.spot or not self.prices.is_dynamic:
            return self.at(quarter)
        local = quarter.astimezone(self.zone)
        day = local.date()
        if day not in self._expected_days:
            self._expected_days[day] = expected_prices(self._whole_days, day)
        expected = self._expected_days[day]
        if not expected:
            return self.at(quarter)
        return self._of(local, expected[quarter_of_day(local)], is_known=False)

    def _of(self, local: datetime, spot: float | None, *, is_known: bool) -> QuarterPrice:
        """The owner's prices at a day-ahead price."""
        return QuarterPrice(
            self.prices.import_price_at(local, spot),
            self.prices.export_price_at(local, spot),
            is_known,
        )

    @cached_property
    def _whole_days(self) -> Mapping[date, Day]:
        """The day-ahead prices of each local day that is known and has no clock change."""
        days: dict[date, list[float]] = defaultdict(list)
        for quarter in sorted(self.spot):
            days[quarter.astimezone(self.zone).date()].append(self.spot[quarter])
        return {day: prices for day, prices in days.items() if len(prices) == _QUARTERS}

    @cached_property
    def _expected_days(self) -> dict[date, Sequence[float]]:
        """What was expected of each day that was asked for."""
        return {}

    def for_law(self, now: datetime) -> Prices:
        """The prices for the control law: those of now while export pays nothing.

        Else the means of the coming day, with the cheapest quarter of it as night price, so that
        the law does the same all day.
        """
        if not self.prices.is_dynamic:
            return self.prices.for_law(now.astimezone(self.zone))
        current, day = self.at(now), self._means(quarter_of(now))
        if current.export_price > 0:
            return self.prices.model_copy(update=day)
        return self.prices.model_copy(
            update=day
            | {"import_price": current.import_price, "export_price": current.export_price}
        )

    def _means(self, quarter: datetime) -> dict[str, float]:
        if quarter not in self._means_of:
            self._means_of.clear()
            day = self.between(quarter, quarter + _DAY)
            imports = sorted(one.import_price for one in day)
            self._means_of[quarter] = {
                "import_price": fmean(imports),
                "export_price": fmean(one.export_price for one in day),
                "night_price": fmean(imports[: len(imports) // _CHEAP_SHARE]),
            }
        return self._means_of[quarter]

    @cached_property
    def _means_of(self) -> dict[datetime, dict[str, float]]:
        """The means of the day from the last quarter-hour that was asked for."""
        return {}

    def _of_last_week(self, local: datetime) -> float | None:
        """The mean price at that time of day in the last known week, else that of all its times."""
        by_time = self._week
        if not by_time:
            return None
        same = by_time.get((local.hour, local.minute))
        return fmean(same if same else [one for all_ in by_time.values() for one in all_])

    @cached_property
    def _week(self) -> Mapping[tuple[int, int], Sequence[float]]:
        by_time = defaultdict(list)
        newest = max(self.spot, default=None)
        for quarter, price in self.spot.items():
            if newest is not None and newest - quarter < _WEEK:
                local = quarter.astimezone(self.zone)
                by_time[local.hour, local.minute].append(price)
        return by_time
