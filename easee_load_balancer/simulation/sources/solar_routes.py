"""The weather of the simulated house as solar forecasts, in the formats of the real sources."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.plant.plant import Plant
from easee_load_balancer.simulation.sources.market import QUARTER

_PEAK_W = 10_000.0
_TOO_MUCH = 1.2
"""The forecast is this much better than the roof."""


class SolarRoutes:
    """Forecasts below `/sources`, by the house's own clock: each day is the simulated one again."""

    def __init__(self, plant: Plant, faults: Faults) -> None:
        self._plant, self._faults = plant, faults

    def routes(self) -> list[BaseRoute]:
        """Each source with the path of the real one."""
        return [
            Route("/sources/open-meteo/v1/forecast", self._guarded(self._open_meteo)),
            Route(
                "/sources/forecast-solar/estimate/{lat}/{lon}/{dec}/{az}/{kwp}",
                self._guarded(self._forecast_solar),
            ),
        ]

    def _guarded(
        self, answer: Callable[[Request], Response]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answered(request: Request) -> Response:
            if self._faults.solar_forecast == "outage":
                return PlainTextResponse("upstream is down", 502)
            if self._faults.solar_forecast == "garbage":
                return PlainTextResponse("<html>", 200)
            return answer(request)

        return answered

    def _share(self, at: datetime) -> float:
        """The mean of that quarter-hour, as a share of the peak power."""
        if self._faults.solar_forecast == "impossible":
            return 1e6
        ahead_s = int((at - datetime.now(UTC)).total_seconds())
        return _TOO_MUCH * self._plant.day.pv_at(self._plant.clock_s + ahead_s + 450) / _PEAK_W

    def _ahead(self, days: int) -> list[datetime]:
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return [today + index * QUARTER for index in range(96 * days)]

    def _open_meteo(self, request: Request) -> Response:
        """Irradiance at the end of each quarter-hour is the mean of the one before."""
        times = self._ahead(int(request.query_params.get("forecast_days", "7")))
        return JSONResponse(
            {
                "utc_offset_seconds": 0,
                "timezone": "GMT",
                "minutely_15_units": {"time": "unixtime", "global_tilted_irradiance": "W/m²"},
                "minutely_15": {
                    "time": [int(at.timestamp()) for at in times],
                    "global_tilted_irradiance": [
                        round(1000 * self._share(at - QUARTER), 1) for at in times
                    ],
                },
            }
        )

    def _forecast_solar(self, request: Request) -> Response:
        """Power by the hour, between sunrise and sunset."""
        peak_w = 1000 * float(request.path_params["kwp"])
        hours = [at for at in self._ahead(2) if at.minute == 0]
        watts = {
            f"{at.isoformat()}": round(peak_w * self._share(at))
            for at in hours
            if self._share(at - timedelta(hours=1)) > 0 or self._share(at) > 0
        }
        return JSONResponse(
            {
                "result": {"watts": watts},
                "message": {"code": 0, "type": "success", "info": {"timezone": "UTC"}},
            }
        )
