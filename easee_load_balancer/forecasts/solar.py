"""Solar forecasts from Open-Meteo and Forecast.Solar, one reader each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from easee_load_balancer.devices.sanitize import plain
from easee_load_balancer.forecasts.fetch import Source
from easee_load_balancer.forecasts.quarters import (
    Entry,
    NoSeries,
    by_quarter,
    list_in,
    moment,
    number,
    value_in,
)
from easee_load_balancer.periods import QUARTER

RENEW_AFTER = timedelta(minutes=55)
"""Both renew their data about every hour; Forecast.Solar allows a few requests an hour."""
_DAYS = 4
_PERFORMANCE = 0.85
"""What a roof makes of the irradiance before anything is known of it."""
_MOST_OF_PEAK = 1.6
"""Clouds and cold panels can exceed the peak power, but not by more."""


class PvPlant(BaseModel):
    """Where the panels are and which way they face."""

    model_config = ConfigDict(extra="forbid")

    latitude: float = Field(
        ge=-90, le=90, title="Latitude", description="In degrees, for example 55.6."
    )
    longitude: float = Field(
        ge=-180, le=180, title="Longitude", description="In degrees, east of Greenwich positive."
    )
    tilt_deg: float = Field(
        default=35, ge=0, le=90, title="Tilt (degrees)", description="0: flat, 90: upright."
    )
    azimuth_deg: float = Field(
        default=0,
        ge=-180,
        le=180,
        title="Azimuth (degrees)",
        description="0: south, -90: east, 90: west.",
    )
    peak_kw: float = Field(
        gt=0, le=1000, title="Peak power (kW)", description="Of all panels together."
    )
    source: Literal["Open-Meteo", "Forecast.Solar"] = Field(
        default="Open-Meteo",
        title="Forecast",
        description="Neither needs an account. Open-Meteo is for private, non-commercial use.",
    )
    address: str = Field(
        default="",
        pattern=r"^(https?://[^\s]{1,500})?$",
        title="Forecast address",
        description="Leave empty; only a simulated house sets it.",
    )

    def at(self, url: str) -> Source:
        """The source at its usual address, or at the one that is set instead."""
        return Source(self.source, self.address.rstrip("/") or url)


async def fetch_pv(plant: PvPlant, now: datetime) -> dict[datetime, float]:
    """The expected PV power in W of each quarter-hour of the coming days, before any scaling.

    Raises ForecastError where the source fails or sends anything else.
    """
    start = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    end, most_w = start + timedelta(days=_DAYS), 1000 * plant.peak_kw * _MOST_OF_PEAK
    try:
        entries = await _READERS[plant.source](plant)
        found = by_quarter(entries, start, end, 0.0, most_w)
    except NoSeries as error:
        raise plant.at("").error(f"sent an unusable forecast: {plain(str(error))}") from None
    if not found:
        raise plant.at("").error("has no forecast for the coming days")
    return found


async def read_open_meteo(plant: PvPlant) -> list[Entry]:
    """Irradiance on the panels; each value is the mean of the quarter-hour before its time."""
    params = {
        "latitude": f"{plant.latitude:.4f}",
        "longitude": f"{plant.longitude:.4f}",
        "minutely_15": "global_tilted_irradiance",
        "tilt": f"{plant.tilt_deg:g}",
        "azimuth": f"{plant.azimuth_deg:g}",
        "forecast_days": f"{_DAYS}",
        "timeformat": "unixtime",
        "timezone": "UTC",
    }
    answer = await plant.at("https://api.open-meteo.com").get_json("/v1/forecast", params)
    series = value_in(answer, "minutely_15")
    times, values = list_in(series, "time"), list_in(series, "global_tilted_irradiance")
    if len(values) != len(times):
        raise NoSeries("times and values differ in number")
    watts_per_irradiance = plant.peak_kw * _PERFORMANCE
    return [
        (moment(at) - QUARTER, max(0.0, number(value)) * watts_per_irradiance)
        for at, value in zip(times, values, strict=True)
        if value is not None
    ]


async def read_forecast_solar(plant: PvPlant) -> list[Entry]:
    """Power by the hour; sunrise and sunset, which are at no quarter-hour, stand for 0."""
    place = f"{plant.latitude:.4f}/{plant.longitude:.4f}"
    path = f"/estimate/{place}/{plant.tilt_deg:g}/{plant.azimuth_deg:g}/{plant.peak_kw:g}"
    source = plant.at("https://api.forecast.solar")
    answer = await source.get_json(path, {"time": "utc"})
    watts = value_in(value_in(answer, "result"), "watts")
    if not isinstance(watts, dict):
        raise NoSeries("'watts' is not a table")
    known = sorted((moment(at), number(value)) for at, value in watts.items())
    return _interpolated([entry for entry in known if entry[0].timestamp() % 900 == 0])


_READERS: Mapping[str, Callable[[PvPlant], Awaitable[list[Entry]]]] = {
    "Open-Meteo": read_open_meteo,
    "Forecast.Solar": read_forecast_solar,
}


def _interpolated(hours: list[Entry]) -> list[Entry]:
    """The mean of each quarter-hour between values at most an hour apart; 0 elsewhere."""
    entries: list[Entry] = []
    for (at, value), (later, next_value) in pairwise(hours):
        steps = (later - at) // QUARTER
        if steps > 4:  # the night
            continue
        entries += [
            (at + index * QUARTER, value + (next_value - value) * (index + 0.5) / steps)
            for index in range(steps)
        ]
    return entries
