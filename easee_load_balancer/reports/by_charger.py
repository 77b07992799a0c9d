"""What each of several chargers of a home has delivered, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from easee_load_balancer.energy.accounting import per_interval
from easee_load_balancer.energy.power_flows import COLUMNS, MARGIN, power_flows, usual_interval
from easee_load_balancer.history.store import History
from easee_load_balancer.periods import Period, bounds
from easee_load_balancer.reports.markdown import UNKNOWN, as_kwh, as_table

_ENERGIES = ("car_kwh", "car_from_solar_kwh", "car_from_battery_kwh", "car_from_grid_kwh")


@dataclass(frozen=True, slots=True)
class ChargerEnergy:
    """The energy of one charger in kWh, by origin."""

    car_kwh: float = 0.0
    car_from_solar_kwh: float = 0.0
    car_from_battery_kwh: float = 0.0
    car_from_grid_kwh: float = 0.0

    def __add__(self, other: ChargerEnergy) -> ChargerEnergy:
        pairs = ((getattr(self, name), getattr(other, name)) for name in _ENERGIES)
        return ChargerEnergy(*(one + more for one, more in pairs))


def by_charger(
    history: History, site: str, keys: Mapping[str, str], period: Period, now: datetime
) -> dict[str, ChargerEnergy]:
    """The energies of the period by charger; `keys` are their names in the history.

    At every moment all cars get the same mixture, so the parts add up to the home's account.
    Raises HistoryError.
    """
    found = dict.fromkeys(keys, ChargerEnergy())
    for day in period.days:
        start, end = bounds(day, period.zone)
        end = min(end, now)
        if start >= now:
            break
        cycles = history.cycles(site, start - MARGIN, end + MARGIN, COLUMNS)
        if len(cycles) < 2:
            continue
        whole = per_interval(power_flows(cycles, usual_interval(cycles)), start, end)
        own_w = np.array(
            [
                _powers(history, key, start, end).reindex(whole["at"]).fillna(0.0).to_numpy()
                for key in keys.values()
            ]
        )
        # a car that starts between two samples has drawn what the later one shows
        own_w = np.where(own_w.any(axis=0), own_w, np.roll(own_w, -1, axis=1))
        total_w = own_w.sum(axis=0)
        for name, watts in zip(keys, own_w, strict=True):
            part = np.divide(watts, total_w, out=np.zeros_like(watts), where=total_w > 0)
            kwh = (float((whole[column].to_numpy() * part).sum()) for column in _ENERGIES)
            found[name] += ChargerEnergy(*kwh)
    return found


def _powers(history: History, key: str, start: datetime, end: datetime) -> pd.Series:
    """The car's power of each cycle, by time."""
    cycles = history.cycles(key, start, end, ("at", "car_w"))
    return cycles.drop_duplicates("at", keep="last").set_index("at")["car_w"].clip(lower=0.0)


def as_charger_table(chargers: Mapping[str, ChargerEnergy]) -> str:
    """A row for each charger."""
    rows = [
        (
            name,
            as_kwh(one.car_kwh),
            as_kwh(one.car_from_solar_kwh),
            as_kwh(one.car_from_battery_kwh),
            as_kwh(one.car_from_grid_kwh),
            f"{100 * one.car_from_solar_kwh / one.car_kwh:.0f} %" if one.car_kwh else UNKNOWN,
        )
        for name, one in chargers.items()
    ]
    head = ("Charger", "kWh", "PV", "Battery", "Grid", "Solar")
    return as_table(head, "lrrrrr", rows)
