"""From power samples to energy: where the car's kilowatt-hours came from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pandas as pd

LONGEST_STEP = timedelta(seconds=90)
"""Samples further apart are a gap: nothing is assumed for the time between them."""


@dataclass(frozen=True, slots=True)
class EnergyOfDay:
    """Energy in kWh; the car's energy is split by where it came from."""

    pv_kwh: float
    house_kwh: float
    car_kwh: float
    car_from_sun_kwh: float
    car_from_battery_kwh: float
    car_from_grid_kwh: float
    covered: timedelta
    """Time for which there are samples."""


def summarise(cycles: pd.DataFrame, longest_step: timedelta = LONGEST_STEP) -> EnergyOfDay:
    """Energy from cycles as `History.cycles` returns them.

    Each sample stands for the time until the next one, unless that is more than `longest_step`
    away. The car takes from the grid what is imported, then from the battery what it discharges,
    and the rest from the sun. Samples with an unknown value count as nothing for that value.
    """
    at = pd.to_datetime(cycles["at"], utc=True)
    step_s = (at.shift(-1) - at).dt.total_seconds()
    step_s = step_s.where(step_s <= longest_step.total_seconds(), 0.0)
    hours = step_s / 3600
    power = cycles[["pv_w", "inverter_ac_w", "grid_export_w", "battery_charge_w", "car_w"]]
    power = power.astype("float64")
    car_w = power["car_w"]
    from_grid_w = (-power["grid_export_w"]).clip(lower=0).clip(upper=car_w)
    discharge_w = (-power["battery_charge_w"]).clip(lower=0)
    from_battery_w = discharge_w.clip(upper=car_w - from_grid_w)
    house_w = power["inverter_ac_w"] - power["grid_export_w"] - car_w

    def kwh(power_w: pd.Series) -> float:
        return float((power_w * hours).sum() / 1000)

    return EnergyOfDay(
        pv_kwh=kwh(power["pv_w"]),
        house_kwh=kwh(house_w.clip(lower=0)),
        car_kwh=kwh(car_w),
        car_from_sun_kwh=kwh(car_w - from_grid_w - from_battery_w),
        car_from_battery_kwh=kwh(from_battery_w),
        car_from_grid_kwh=kwh(from_grid_w),
        covered=timedelta(seconds=float(step_s.sum())),
    )
