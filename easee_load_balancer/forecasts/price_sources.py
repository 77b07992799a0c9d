"""Day-ahead prices: one reader for each source. Formats as the sources served them in 2026."""

from __future__ import annotations

import csv
import io
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter
from typing import Any
from xml.etree import ElementTree as Xml
from zoneinfo import ZoneInfo

from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.forecasts.fetch import Source
from easee_load_balancer.forecasts.quarters import (
    MOST_ENTRIES,
    Entry,
    NoSeries,
    list_in,
    local_moments,
    moment,
    number,
    value_in,
)
from easee_load_balancer.periods import QUARTER

MARKET_ZONE = ZoneInfo("Europe/Brussels")
"""The day of the auction, in all bidding zones that are coupled."""
_PER_MWH = 1000
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Request:
    """Which prices: whole market days, from `first` to `last`."""

    prices: Prices
    first: date
    last: date
    zone: ZoneInfo
    """Of the home, for times without an offset."""

    @property
    def start(self) -> datetime:
        """The start of the first day, in UTC."""
        return _midnight(self.first)

    @property
    def end(self) -> datetime:
        """The end of the last day, in UTC."""
        return _midnight(self.last + _DAY)

    @property
    def euro(self) -> float:
        """What one EUR is in the tariff's currency."""
        return 1.0 if self.prices.currency == "EUR" else self.prices.exchange_rate or 1.0

    def source(self, url: str) -> Source:
        """The source at its usual address, or at the one that is set instead."""
        return Source(self.prices.source, self.prices.address.rstrip("/") or url)


Reader = Callable[[Request], Awaitable[list[Entry]]]


async def read_energy_charts(request: Request) -> list[Entry]:
    """Fraunhofer ISE: EUR/MWh by seconds since 1970, without an account."""
    params = {
        "bzn": request.prices.zone,
        "start": f"{request.first}",
        "end": f"{request.last}",
    }
    answer = await request.source("https://api.energy-charts.info").get_json("/price", params)
    if answer is None:
        return []
    times, values = list_in(answer, "unix_seconds"), list_in(answer, "price")
    if len(times) != len(values):
        raise NoSeries("times and prices differ in number")
    pairs = zip(times, values, strict=True)
    return [
        (moment(at), request.euro * number(value) / _PER_MWH)
        for at, value in pairs
        if value is not None
    ]


async def read_nord_pool(request: Request) -> list[Entry]:
    """The data portal of Nord Pool: price/MWh in the wanted currency, a request for each day."""
    area = _NORD_POOL.get(request.prices.zone.upper(), request.prices.zone)
    source, entries = request.source("https://dataportal-api.nordpoolgroup.com"), []
    day = request.first
    while day <= request.last:
        params = {
            "date": f"{day}",
            "market": "DayAhead",
            "deliveryArea": area,
            "currency": request.prices.currency,
        }
        answer = await source.get_json("/api/DayAheadPrices", params)
        for one in list_in(answer, "multiAreaEntries") if answer is not None else []:
            price = value_in(value_in(one, "entryPerArea"), area)
            entries.append((moment(value_in(one, "deliveryStart")), number(price) / _PER_MWH))
        day += _DAY
    return entries


async def read_awattar(request: Request) -> list[Entry]:
    """aWATTar in Germany and Austria: EUR/MWh by milliseconds since 1970."""
    country = "at" if request.prices.zone.upper() == "AT" else "de"
    params = {
        "start": f"{1000 * request.start.timestamp():.0f}",
        "end": f"{1000 * request.end.timestamp():.0f}",
    }
    answer = await request.source(f"https://api.awattar.{country}").get_json(
        "/v1/marketdata", params
    )
    entries = []
    for one in list_in(answer, "data") if answer is not None else []:
        if str(value_in(one, "unit")).lower() != "eur/mwh":
            raise NoSeries("prices are not in EUR/MWh")
        at = moment(number(value_in(one, "start_timestamp")) / 1000)
        entries.append((at, request.euro * number(value_in(one, "marketprice")) / _PER_MWH))
    return entries


async def read_entsoe(request: Request) -> list[Entry]:
    """The transparency platform: XML with periods of numbered points, for owners of a token."""
    area = _EIC.get(request.prices.zone.upper(), request.prices.zone)
    params = {
        "securityToken": request.prices.token.get_secret_value(),
        "documentType": "A44",
        "in_Domain": area,
        "out_Domain": area,
        "periodStart": f"{request.start:%Y%m%d%H%M}",
        "periodEnd": f"{request.end:%Y%m%d%H%M}",
    }
    content = await request.source("https://web-api.tp.entsoe.eu").get("/api", params)
    return [(at, request.euro * price / _PER_MWH) for at, price in _points(content)]


async def read_address(request: Request) -> list[Entry]:
    """A file of the owner's: JSON with `start` and `price` in each entry, or CSV with both.

    Prices are per kWh in the tariff's currency; times without an offset are local.
    """
    source = Source("The address of prices", request.prices.address)
    content = (await source.get()).lstrip(b"\xef\xbb\xbf \r\n\t")
    if content[:1] in (b"[", b"{"):
        answer = source.parsed(content)
        if isinstance(answer, dict):
            answer = answer.get("prices", answer.get("data"))
        if not isinstance(answer, list):
            raise NoSeries("there is no list of prices in the JSON")
        rows = [(value_in(one, "start"), value_in(one, "price")) for one in answer]
    else:
        rows = _csv_rows(content)
    times = local_moments([at for at, _ in rows], request.zone)
    return [(at, number(price)) for at, (_, price) in zip(times, rows, strict=True)]


READERS: Mapping[str, Reader] = {
    "Energy-Charts": read_energy_charts,
    "Nord Pool": read_nord_pool,
    "aWATTar": read_awattar,
    "ENTSO-E": read_entsoe,
    "address": read_address,
}

_NORD_POOL = {"DE-LU": "GER", "DE": "GER"}
"""Areas with another name at Nord Pool."""
_EIC = {
    "AT": "10YAT-APG------L",
    "BE": "10YBE----------2",
    "CH": "10YCH-SWISSGRIDZ",
    "CZ": "10YCZ-CEPS-----N",
    "DE-LU": "10Y1001A1001A82H",
    "DK1": "10YDK-1--------W",
    "DK2": "10YDK-2--------M",
    "EE": "10Y1001A1001A39I",
    "ES": "10YES-REE------0",
    "FI": "10YFI-1--------U",
    "FR": "10YFR-RTE------C",
    "HU": "10YHU-MAVIR----U",
    "IT-NORTH": "10Y1001A1001A73I",
    "LT": "10YLT-1001A0008Q",
    "LV": "10YLV-1001A00074",
    "NL": "10YNL----------L",
    "NO1": "10YNO-1--------2",
    "NO2": "10YNO-2--------T",
    "NO3": "10YNO-3--------J",
    "NO4": "10YNO-4--------9",
    "NO5": "10Y1001A1001A48H",
    "PL": "10YPL-AREA-----S",
    "PT": "10YPT-REN------W",
    "SE1": "10Y1001A1001A44P",
    "SE2": "10Y1001A1001A45N",
    "SE3": "10Y1001A1001A46L",
    "SE4": "10Y1001A1001A47J",
    "SI": "10YSI-ELES-----O",
}
"""Codes of bidding zones at ENTSO-E; any other code can be entered as the zone itself."""
_RESOLUTIONS = {
    "PT15M": timedelta(minutes=15),
    "PT30M": timedelta(minutes=30),
    "PT60M": timedelta(hours=1),
    "PT1H": timedelta(hours=1),
}


def _points(content: bytes) -> Iterable[Entry]:
    """The price of each quarter-hour; where two series overlap, the finer one counts."""
    text = _text(content)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise NoSeries("XML with declarations")
    try:
        root = Xml.fromstring(text) if text else None  # noqa: S314
    except Xml.ParseError:
        raise NoSeries("not XML") from None
    found: dict[datetime, float] = {}
    periods = root.findall(".//{*}TimeSeries/{*}Period") if root is not None else []
    for _, period in sorted(((_step(one), one) for one in periods), key=itemgetter(0)):
        for quarter, price in _quarters(period):
            found.setdefault(quarter, price)
    return sorted(found.items())


def _quarters(period: Xml.Element) -> Iterator[Entry]:
    """The quarter-hours of a period; a point that is left out repeats the one before it."""
    step = _step(period)
    start = moment(period.findtext("{*}timeInterval/{*}start"))
    end = moment(period.findtext("{*}timeInterval/{*}end"))
    points = {
        number(one.findtext("{*}position")): number(one.findtext("{*}price.amount"))
        for one in period.iterfind("{*}Point")
    }
    price = None
    for index in range(min((end - start) // step, MOST_ENTRIES)):
        price = points.get(index + 1, price)
        for quarter in range(step // QUARTER):
            if price is not None:
                yield start + index * step + quarter * QUARTER, price


def _step(period: Xml.Element) -> timedelta:
    step = _RESOLUTIONS.get(period.findtext("{*}resolution", ""))
    if step is None:
        raise NoSeries("an unknown resolution")
    return step


def _csv_rows(content: bytes) -> list[tuple[Any, Any]]:
    """Time and price of each line; a first line with names is left out."""
    lines = _text(content).splitlines()
    delimiter = ";" if lines and ";" in lines[0] else ","
    rows = []
    for line in csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter):
        if len(line) >= 2 and line[0][:1].isdigit():
            price = line[1].replace(",", ".") if delimiter == ";" else line[1]
            rows.append((line[0].strip(), price.strip()))
    if not rows:
        raise NoSeries("neither JSON nor CSV with times and prices")
    return rows


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise NoSeries("not UTF-8 text") from None


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=MARKET_ZONE).astimezone(UTC)
