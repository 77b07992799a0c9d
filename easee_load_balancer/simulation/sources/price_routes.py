"""The day-ahead prices of the simulated market, in the formats of the real sources."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, date, datetime, timedelta

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.sources.market import (
    CET,
    QUARTER,
    ZONES,
    midnight,
    price_mwh,
    published,
    quarters,
)

TOKEN = "simulated-token"
_CODES = {"10Y1001A1001A47J": "SE4", "10Y1001A1001A82H": "DE-LU", "10YBE----------2": "BE"}
_NAMES = {"GER": "DE-LU"}
_NAMESPACE = "urn:iec62325.351:tc57wg16:451-3:publicationdocument:7:3"
Answer = Callable[["PriceRoutes", Request], Response]


class PriceRoutes:
    """The sources below `/sources`; `faults` decides what goes wrong."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.calls = 0

    def routes(self) -> list[BaseRoute]:
        """Each source with the path of the real one."""
        table: list[tuple[str, Answer]] = [
            ("energy-charts/price", PriceRoutes._energy_charts),
            ("nord-pool/api/DayAheadPrices", PriceRoutes._nord_pool),
            ("awattar/v1/marketdata", PriceRoutes._awattar),
            ("entsoe/api", PriceRoutes._entsoe),
            ("prices.csv", PriceRoutes._csv),
            ("prices.json", PriceRoutes._json),
        ]
        return [Route(f"/sources/{path}", self._guarded(answer)) for path, answer in table]

    def _guarded(self, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def answered(request: Request) -> Response:
            self.calls += 1
            fault = self._faults.prices
            if fault == "outage":
                return PlainTextResponse("upstream is down", 503)
            if fault == "garbage":
                return PlainTextResponse('<html>{"price": [1, 2', 200)
            if fault == "limited":
                return PlainTextResponse("slow down", 429)
            return answer(self, request)

        return answered

    def _days(self, first: date, last: date) -> Iterator[datetime]:
        """The quarter-hours of the days that are published."""
        day, late = first, self._faults.prices == "late"
        while day <= last:
            if published(day, datetime.now(UTC), late=late):
                yield from quarters(day)
            day += timedelta(days=1)

    def _price(self, at: datetime, currency: str = "EUR") -> float:
        if self._faults.prices == "impossible":
            return 9e9
        return price_mwh(at, currency)

    def _energy_charts(self, request: Request) -> Response:
        query = request.query_params
        if query["bzn"] not in ZONES:
            return JSONResponse({"detail": "Not Found"}, 404)
        known = [*self._days(date.fromisoformat(query["start"]), date.fromisoformat(query["end"]))]
        return JSONResponse(
            {
                "license_info": "simulated",
                "unix_seconds": [int(at.timestamp()) for at in known],
                "price": [self._price(at) for at in known],
                "unit": "EUR / MWh",
                "deprecated": False,
            }
        )

    def _nord_pool(self, request: Request) -> Response:
        query, day = request.query_params, date.fromisoformat(request.query_params["date"])
        area, known = query["deliveryArea"], [*self._days(day, day)]
        if _NAMES.get(area, area) not in ZONES or not known:
            return Response(status_code=204)
        entries = [
            {
                "deliveryStart": f"{at:%Y-%m-%dT%H:%M:%SZ}",
                "deliveryEnd": f"{at + QUARTER:%Y-%m-%dT%H:%M:%SZ}",
                "entryPerArea": {area: self._price(at, query["currency"])},
            }
            for at in known
        ]
        return JSONResponse(
            {
                "deliveryDateCET": f"{day}",
                "version": 3,
                "deliveryAreas": [area],
                "market": "DayAhead",
                "multiAreaEntries": entries,
                "currency": query["currency"],
                "exchangeRate": 1,
            }
        )

    def _awattar(self, request: Request) -> Response:
        """Prices by the hour, as aWATTar has them."""
        begin, end = (int(request.query_params[name]) / 1000 for name in ("start", "end"))
        first = datetime.fromtimestamp(begin, CET).date()
        last = datetime.fromtimestamp(end - 1, CET).date()
        data = [
            {
                "start_timestamp": int(1000 * at.timestamp()),
                "end_timestamp": int(1000 * (at.timestamp() + 3600)),
                "marketprice": self._price(at),
                "unit": "Eur/MWh",
            }
            for at in self._days(first, last)
            if at.minute == 0
        ]
        return JSONResponse({"object": "list", "data": data, "url": "/at/v1/marketdata"})

    def _entsoe(self, request: Request) -> Response:
        query = request.query_params
        if query.get("securityToken") != TOKEN:
            return PlainTextResponse("Unauthorized", 401)
        first = datetime.strptime(query["periodStart"], "%Y%m%d%H%M").replace(tzinfo=UTC)
        end = datetime.strptime(query["periodEnd"], "%Y%m%d%H%M").replace(tzinfo=UTC)
        days, day = [], first.astimezone(CET).date()
        while midnight(day) < end:
            if known := [*self._days(day, day)]:
                days.append(self._entsoe_period(known))
            day += timedelta(days=1)
        if not days or query["in_Domain"] not in _CODES:
            body = "<Acknowledgement_MarketDocument><Reason><code>999</code>"
            return _xml(f"{body}</Reason></Acknowledgement_MarketDocument>")
        return _xml(
            f'<Publication_MarketDocument xmlns="{_NAMESPACE}"><type>A44</type>{"".join(days)}'
            "</Publication_MarketDocument>"
        )

    def _entsoe_period(self, known: list[datetime]) -> str:
        """A day of numbered points; one that repeats the price before it is left out."""
        points, before = [], None
        for index, at in enumerate(known, 1):
            if (price := self._price(at)) != before:
                points.append(
                    f"<Point><position>{index}</position><price.amount>{price}</price.amount>"
                    "</Point>"
                )
            before = price
        interval = (
            f"<start>{known[0]:%Y-%m-%dT%H:%MZ}</start>"
            f"<end>{known[-1] + QUARTER:%Y-%m-%dT%H:%MZ}</end>"
        )
        return (
            f"<TimeSeries><curveType>A03</curveType><Period><timeInterval>{interval}"
            f"</timeInterval><resolution>PT15M</resolution>{''.join(points)}</Period></TimeSeries>"
        )

    def _recent(self) -> list[datetime]:
        today = datetime.now(CET).date()
        return [*self._days(today - timedelta(days=7), today + timedelta(days=1))]

    def _csv(self, request: Request) -> Response:
        rows = (
            f"{at.astimezone(CET):%Y-%m-%dT%H:%M},{self._price(at) / 1000:.5f}"
            for at in self._recent()
        )
        return PlainTextResponse("\n".join(["start,price", *rows]))

    def _json(self, request: Request) -> Response:
        return JSONResponse(
            [{"start": at.isoformat(), "price": self._price(at) / 1000} for at in self._recent()]
        )


def _xml(body: str) -> Response:
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>{body}', media_type="text/xml")
