"""What the car's energy cost, by source, and what it would have cost charged on arrival."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from easee_load_balancer.energy.power_flows import COLUMNS, power_flows
from easee_load_balancer.energy.price_table import PriceTable
from easee_load_balancer.energy.resampling import Floats, overlap_s, seconds
from easee_load_balancer.measurements import ChargerMode

COST_COLUMNS = (*COLUMNS, "charger_mode")
"""The columns of a cycle that are needed."""
ARRIVAL = timedelta(hours=24)
"""A car that came before the day is looked for this far back."""
_POWERS = (
    *("pv_w", "house_w", "car_w"),
    *("car_from_solar_w", "car_from_battery_w", "car_from_grid_w"),
)
_LEAST_W = 1380.0
_USUAL_W = 11_040.0
_LEAST_KWH = 0.1


@dataclass(frozen=True)
class Session:
    """A time for which the car was plugged in; one value for each measured cycle of it."""

    start: datetime
    end: datetime
    at: pd.Series
    hours: Floats
    car_kw: Floats
    surplus_kw: Floats
    """PV less the house; what the battery took or gave is left out."""
    house_kw: Floats
    pv_kw: Floats
    import_price: Floats
    export_price: Floats
    from_solar_kw: Floats
    from_battery_kw: Floats
    from_grid_kw: Floats
    highest_kw: float
    """What the car was seen to take."""

    def kwh(self, since: datetime, until: datetime) -> float:
        """What the car got in that time."""
        return float((self.car_kw * self._hours(since, until)).sum())

    def cost(self, since: datetime, until: datetime) -> dict[str, float]:
        """What that cost by source; what is not sold costs what it would have earned."""
        hours = self._hours(since, until)
        return {
            "car_solar_cost": float(self.from_solar_kw * hours @ self.export_price),
            "car_battery_cost": float(self.from_battery_kw * hours @ self.export_price),
            "car_grid_cost": float(self.from_grid_kw * hours @ self.import_price),
        }

    def arrival_cost(self, since: datetime, until: datetime) -> float:
        """What the same energy costs when it follows the arrival at full power."""
        before = self.kwh(self.start, since)
        wanted = self.kwh(since, until)
        filled = np.cumsum(self.highest_kw * self.hours)
        used = np.diff(np.clip(filled, before, before + wanted), prepend=before)
        solar = np.clip(self.surplus_kw / self.highest_kw, 0.0, 1.0)
        price = solar * self.export_price + (1 - solar) * self.import_price
        return float(used @ price)

    def _hours(self, since: datetime, until: datetime) -> Floats:
        at_s = seconds(self.at, since)
        length_s = (until - since).total_seconds()
        held: Floats = overlap_s(at_s, at_s + self.hours * 3600, 0.0, max(length_s, 0.0)) / 3600
        return held


def sessions(cycles: pd.DataFrame, interval: timedelta, prices: PriceTable) -> Iterator[Session]:
    """The times for which a car was plugged in, from cycles with `COST_COLUMNS`."""
    rows = power_flows(cycles, interval)
    if not len(rows):
        return
    known = cycles["charger_mode"].where(cycles["charger_mode"] != ChargerMode.OFFLINE)
    mode = pd.Series(known.ffill().to_numpy(), index=cycles["at"])
    mode = mode[~mode.index.duplicated()].reindex(rows["at"])
    here = (mode.fillna(ChargerMode.DISCONNECTED) != ChargerMode.DISCONNECTED).to_numpy()
    edges = np.flatnonzero(np.diff(np.concatenate(([0], here.astype(int), [0]))))
    highest_kw = max(_highest_w(rows["car_w"].to_numpy()), _LEAST_W) / 1000
    hours = (seconds(rows["until"]) - seconds(rows["at"])) / 3600
    cost, income = price_arrays(rows["at"], prices)
    kw = {name: rows[name].to_numpy("float64") / 1000 for name in _POWERS}
    for first, after in zip(edges[::2], edges[1::2], strict=True):
        part = slice(first, after)
        yield Session(
            start=rows["at"].iloc[first].to_pydatetime(),
            end=rows["until"].iloc[after - 1].to_pydatetime(),
            at=rows["at"].iloc[part],
            hours=hours[part],
            car_kw=kw["car_w"][part],
            surplus_kw=np.maximum(kw["pv_w"] - kw["house_w"], 0.0)[part],
            house_kw=kw["house_w"][part],
            pv_kw=kw["pv_w"][part],
            import_price=cost[part],
            export_price=income[part],
            from_solar_kw=kw["car_from_solar_w"][part],
            from_battery_kw=kw["car_from_battery_w"][part],
            from_grid_kw=kw["car_from_grid_w"][part],
            highest_kw=highest_kw,
        )


def car_costs(
    cycles: pd.DataFrame, start: datetime, end: datetime, interval: timedelta, prices: PriceTable
) -> dict[str, Any]:
    """The costs of the car's energy from `start` to `end`, as fields of `Energy`.

    `cycles` go back to the arrival, `ARRIVAL` at most. Nothing where the car got nothing.
    """
    totals: dict[str, float] = {}
    for session in sessions(cycles, interval, prices):
        if session.kwh(start, end) < _LEAST_KWH:
            continue
        costs = session.cost(start, end)
        costs["car_arrival_cost"] = session.arrival_cost(start, end)
        for name, amount in costs.items():
            totals[name] = totals.get(name, 0.0) + amount
    return totals


def price_arrays(at: pd.Series, prices: PriceTable) -> tuple[Floats, Floats]:
    """Import and export price at each of these moments."""
    quarters, index = np.unique(at.dt.floor("15min"), return_inverse=True)
    known = [prices.at(quarter.to_pydatetime()) for quarter in pd.DatetimeIndex(quarters, tz=UTC)]
    cost = np.array([one.import_price for one in known])[index]
    income = np.array([one.export_price for one in known])[index]
    return cost, income


def _highest_w(car_w: Floats) -> float:
    """The highest power that is no single wrong value; the usual one of a car that drew little."""
    charging = car_w[car_w > _LEAST_W]
    return float(np.quantile(charging, 0.95)) if len(charging) else _USUAL_W
