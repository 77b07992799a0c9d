"""Day-ahead prices from each source, over HTTP, with all that can go wrong."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
import time_machine
from pydantic import SecretStr

from easee_load_balancer.errors import ForecastError
from easee_load_balancer.forecasts.prices import days_due, fetch_spot
from easee_load_balancer.periods import QUARTER
from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.server import RunSpec, SimulatedHouse, running_house
from easee_load_balancer.simulation.sources.market import CET, midnight, price_mwh
from tests.support.price_house import tariff

BERLIN = ZoneInfo("Europe/Berlin")
DAY, A_DAY = date(2026, 6, 20), timedelta(days=1)
AFTERNOON = datetime(2026, 6, 20, 14, 0, tzinfo=CET)
"""When the prices of the next day are usually out."""
SOURCES = ("Energy-Charts", "Nord Pool", "aWATTar", "ENTSO-E")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[SimulatedHouse]:
    """One house for all tests of this file."""
    async with running_house(RunSpec(speed=0)) as running:
        yield running


@pytest.fixture(autouse=True)
def healthy(house: SimulatedHouse) -> None:
    """Without faults at first."""
    house.faults.replace_with(Faults())


on_one_loop = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("day", "quarters"),
    [
        (DAY, 96),
        pytest.param(date(2026, 3, 29), 92, id="summer time begins"),
        pytest.param(date(2025, 10, 26), 100, id="summer time ends"),
    ],
)
@on_one_loop
async def test_reads_every_quarter_hour_of_the_days(
    house: SimulatedHouse, source: str, day: date, quarters: int
) -> None:
    found = await fetch_spot(tariff(house, source), day, day + A_DAY, BERLIN)
    end = midnight(day + A_DAY)
    first = {at: price for at, price in found.items() if at < end}
    assert list(first) == [midnight(day) + index * QUARTER for index in range(quarters)]
    whole_hours = source == "aWATTar"
    for at, price in first.items():
        shown = at.replace(minute=0) if whole_hours else at
        assert price == pytest.approx(price_mwh(shown) / 1000)
    assert len(found) == quarters + 96


@pytest.mark.parametrize("path", ["prices.csv", "prices.json"])
@on_one_loop
async def test_reads_a_file_of_the_owners(house: SimulatedHouse, path: str) -> None:
    own = tariff(house, "address", address=f"{house.api_url}/sources/{path}")
    with time_machine.travel(AFTERNOON):
        found = await fetch_spot(own, DAY - A_DAY, DAY, BERLIN)
    assert found[midnight(DAY)] == pytest.approx(price_mwh(midnight(DAY)) / 1000, abs=1e-5)
    assert min(found) == midnight(DAY - A_DAY)


@on_one_loop
async def test_prices_below_zero_and_in_another_currency_are_read(house: SimulatedHouse) -> None:
    sunday = date(2026, 6, 21)
    euro = await fetch_spot(tariff(house, "Energy-Charts"), sunday, sunday, BERLIN)
    krona = await fetch_spot(
        tariff(house, "Energy-Charts", currency="SEK", exchange_rate=11.2), sunday, sunday, BERLIN
    )
    noon = midnight(sunday) + timedelta(hours=13)
    assert euro[noon] < 0
    assert krona[noon] == pytest.approx(11.2 * euro[noon])
    nord_pool = await fetch_spot(tariff(house, currency="SEK"), sunday, sunday, BERLIN)
    assert nord_pool[noon] == pytest.approx(krona[noon], abs=1e-4)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("outage", "has an outage"),
        ("limited", "got too many requests"),
        ("garbage", "sent no JSON|not XML"),
        ("impossible", "out of bounds"),
    ],
)
@on_one_loop
async def test_a_failing_source_is_named_with_what_it_did(
    house: SimulatedHouse, source: str, fault: Any, said: str
) -> None:
    house.faults.prices = fault
    with pytest.raises(ForecastError, match=said) as caught:
        await fetch_spot(tariff(house, source), DAY, DAY, BERLIN)
    assert str(caught.value).startswith(f"{source} (127.0.0.1)")


@pytest.mark.parametrize("source", ["Energy-Charts", "Nord Pool", "ENTSO-E"])
@on_one_loop
async def test_a_wrong_zone_is_an_error_and_says_so(house: SimulatedHouse, source: str) -> None:
    with pytest.raises(ForecastError, match=r"Is the zone right|has no such data"):
        await fetch_spot(tariff(house, source, zone="XX9"), DAY, DAY + A_DAY, BERLIN)


@on_one_loop
async def test_a_single_day_that_is_late_is_no_error(house: SimulatedHouse) -> None:
    tomorrow = DAY + A_DAY
    with time_machine.travel(AFTERNOON):
        assert await fetch_spot(tariff(house), tomorrow, tomorrow, BERLIN)
        house.faults.prices = "late"
        assert await fetch_spot(tariff(house), tomorrow, tomorrow, BERLIN) == {}


@on_one_loop
async def test_the_token_is_in_no_message_and_no_log(
    house: SimulatedHouse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "token-that-nobody-may-see"
    prices = tariff(house, "ENTSO-E", token=SecretStr(secret))
    with pytest.raises(ForecastError, match="refuses the token") as caught:
        await fetch_spot(prices, DAY, DAY, BERLIN)
    gone = prices.model_copy(update={"address": "http://127.0.0.1:9"})
    with pytest.raises(ForecastError) as unreachable:
        await fetch_spot(gone, DAY, DAY, BERLIN)
    said = f"{caught.value!r} {unreachable.value!r} {prices!r} {prices.model_dump_json()}"
    assert secret not in said + caplog.text
    house.faults.prices = "garbage"
    with pytest.raises(ForecastError) as garbled:
        await fetch_spot(prices, DAY, DAY, BERLIN)
    assert secret not in str(garbled.value)


@asynccontextmanager
async def scripted(body: bytes, headers: str = "") -> AsyncIterator[str]:
    """The address of a server that always gives this answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}"
        writer.write(head.encode() + b"\r\n" + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def series(times: list[Any], prices: list[Any]) -> bytes:
    """An answer of Energy-Charts."""
    return json.dumps({"unix_seconds": times, "price": prices}).encode()


START = int(midnight(DAY).timestamp())
TWICE = json.dumps([{"start": START, "price": 0.1}] * 2).encode()
XML = "<Document><TimeSeries><Period>{}</Period></TimeSeries></Document>"
GZIP = "Content-Encoding: gzip\r\n"
HOSTILE: list[tuple[str, str, bytes, str, str]] = [
    ("a number", "Nord Pool", b"7", "", "is missing"),
    ("text for a list", "aWATTar", b'{"data": "now"}', "", "is not a list"),
    ("deep", "Energy-Charts", b"[" * 400_000, "", "sent no JSON"),
    ("not a number", "Energy-Charts", series([START], [True]), "", "is not a number"),
    ("infinite", "Energy-Charts", series([START], ["inf"]), "", "not finite"),
    ("a huge integer", "Energy-Charts", series([START], [10**400]), "", "is not a number"),
    ("unequal", "Energy-Charts", series([START], []), "", "differ in number"),
    ("an impossible time", "Energy-Charts", series([1e300], [1.0]), "", "cannot be read"),
    ("out of order", "Energy-Charts", series([START, START - 900], [1, 2]), "", "out of order"),
    ("beside the quarters", "Energy-Charts", series([START + 7], [1]), "", "on a quarter-hour"),
    ("too many", "Energy-Charts", series([*range(6000)], [0] * 6000), "", "more than 5000"),
    ("too large", "Energy-Charts", b" " * 1_100_000, "", "more than 1 MB"),
    ("a bomb", "Energy-Charts", gzip.compress(b" " * 50_000_000), GZIP, "more than 1 MB"),
    ("nested encodings", "Energy-Charts", b"x", "Content-Encoding: gzip, gzip\r\n", "unknown enc"),
    ("garbled gzip", "Energy-Charts", b"not gzip", GZIP, "garbled"),
    ("XML entities", "ENTSO-E", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "", "declarations"),
    ("no resolution", "ENTSO-E", XML.format("").encode(), "", "unknown resolution"),
    ("not UTF-8", "ENTSO-E", b"\xff\xfe<\x00", "", "not UTF-8 text"),
    ("binary", "address", bytes(range(256)), "", "not UTF-8 text"),
    ("a web page", "address", b"<html>", "", "neither JSON nor CSV"),
    ("the same second twice", "address", TWICE, "", "out of order"),
]


@pytest.mark.parametrize(
    ("source", "body", "headers", "said"),
    [pytest.param(*case[1:], id=case[0]) for case in HOSTILE],
)
@on_one_loop
async def test_whatever_a_source_sends_is_a_price_within_bounds_or_one_of_our_errors(
    house: SimulatedHouse, source: str, body: bytes, headers: str, said: str
) -> None:
    async with scripted(body, headers) as address:
        with pytest.raises(ForecastError, match=said):
            await fetch_spot(tariff(house, source, address=address), DAY, DAY, BERLIN)


@on_one_loop
async def test_times_in_the_far_future_and_past_are_left_out(house: SimulatedHouse) -> None:
    times = [START - 10**8, START, START + 3600, START + 10**9]
    async with scripted(series(times, [1, 20, 30, 40])) as address:
        own = tariff(house, "Energy-Charts", address=address)
        found = await fetch_spot(own, DAY, DAY, BERLIN)
    assert sorted(set(found.values())) == [0.02, 0.03]
    assert max(found) < midnight(DAY) + timedelta(hours=2)


@on_one_loop
async def test_local_times_of_a_file_are_read_across_the_end_of_summer_time(
    house: SimulatedHouse,
) -> None:
    day = date(2025, 10, 26)
    hours = [f"2025-10-26T{hour:02d}:00" for hour in (0, 1, 2, 2, 3)]
    rows = "\n".join(f"{at};{index},5" for index, at in enumerate(hours))
    async with scripted(f"Start;Preis\n{rows}".encode()) as address:
        found = await fetch_spot(tariff(house, "address", address=address), day, day, BERLIN)
    assert [found[midnight(day) + timedelta(hours=hour)] for hour in range(5)] == [
        *(0.5, 1.5, 2.5, 3.5, 4.5)
    ]


@pytest.mark.parametrize(
    ("now", "known_until", "due"),
    [
        pytest.param("12:00", None, (-7, 0), id="at first: the last week"),
        pytest.param("13:30", None, (-7, 1), id="at first, in the afternoon"),
        pytest.param("12:00", 24, None, id="tomorrow is not published yet"),
        pytest.param("12:56", 24, (1, 1), id="tomorrow is out"),
        pytest.param("13:30", 48, None, id="all is known"),
        pytest.param("23:30", 24, (1, 1), id="late"),
        pytest.param("12:00", 0, (0, 0), id="after an outage"),
        pytest.param("13:30", -240, (-7, 1), id="after a long outage"),
    ],
)
def test_prices_are_fetched_when_they_are_due(
    now: str, known_until: int | None, due: tuple[int, int] | None
) -> None:
    known = None if known_until is None else midnight(DAY) + timedelta(hours=known_until)
    hour, minute = map(int, now.split(":"))
    at = datetime(DAY.year, DAY.month, DAY.day, hour, minute, tzinfo=CET).astimezone(UTC)
    days = days_due(at, known)
    assert days == (due and tuple(DAY + timedelta(days=offset) for offset in due))
