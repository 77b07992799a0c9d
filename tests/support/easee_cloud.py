"""Easee clients on a simulated cloud, and on one with scripted answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from easee_load_balancer.devices.easee.client import EaseeClient
from easee_load_balancer.devices.easee.models import Account, ChargerAddress
from easee_load_balancer.devices.easee.token_store import SavedSession, TokenStore
from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.simulation.server import RunSpec, SimulatedHouse, running_house

CHARGER = ChargerAddress(charger_id="EH123456", site_id=54321, circuit_id=12345)
PASSWORD = "pw-of-the-owner"

LOGIN = "POST /api/accounts/login"
REFRESH = "POST /api/accounts/refresh_token"
OBSERVATIONS = "GET /state/{charger}/observations"
CHARGERS = "GET /api/chargers"
"""Endpoints as the simulated cloud counts them."""


def account(url: str, password: str = PASSWORD) -> Account:
    """The owner's account at that cloud."""
    return Account(user_name="owner@example.com", password=SecretStr(password), base_url=url)


@asynccontextmanager
async def a_client(
    url: str, folder: Path, password: str = PASSWORD, budget_s: float = 60.0
) -> AsyncIterator[EaseeClient]:
    """A client, closed at the end."""
    easee = EaseeClient(account(url, password), folder, budget_s)
    try:
        yield easee
    finally:
        await easee.close()


@asynccontextmanager
async def a_house(
    token_lifetime_s: float = 3600.0, api_port: int = 0
) -> AsyncIterator[SimulatedHouse]:
    """A house with a stopped clock, whose cloud shows changes at once."""
    cloud = CloudSpec(password=PASSWORD, cloud_delay_s=0, token_lifetime_s=token_lifetime_s)
    async with running_house(RunSpec(speed=0, api_port=api_port, cloud=cloud)) as house:
        yield house


def total_calls(house: SimulatedHouse) -> int:
    """Calls to the house's cloud so far."""
    return house.cloud.calls.total()


def stored(url: str, folder: Path, password: str = PASSWORD) -> SavedSession:
    """The saved session."""
    return TokenStore(folder, account(url, password)).load()


def store(url: str, folder: Path, session: SavedSession) -> None:
    """Replace the saved session before the next client loads it."""
    TokenStore(folder, account(url)).save(session)


def expire_tokens(url: str, folder: Path, **tokens: SecretStr) -> None:
    """Make the saved access token expire soon, and change it otherwise."""
    session, now = stored(url, folder), datetime.now(UTC)
    assert session.tokens is not None
    times = {"issued_at": now - timedelta(hours=1), "expires_at": now + timedelta(seconds=30)}
    session.tokens = session.tokens.model_copy(update=times | tokens)
    store(url, folder, session)


def http(status: int, body: bytes = b"", *headers: str) -> tuple[bytes]:
    """An HTTP answer with a matching length."""
    lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}", "Connection: close"]
    return ("\r\n".join([*lines, *headers, "", ""]).encode() + body,)


def http_json(status: int, body: Any) -> tuple[bytes]:
    """An HTTP answer with a JSON body."""
    return http(status, json.dumps(body).encode(), "Content-Type: application/json")


TOKEN = http_json(200, {"accessToken": "acc", "refreshToken": "ref", "expiresIn": 3600})
STATE = http_json(200, {"observations": []})


class ScriptedCloud:
    """Accepts every login and answers everything else with `answer`, then closes the connection."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[str] = []
        self.heads: list[str] = []
        self.answers: dict[str, Iterable[bytes]] = {"/api/accounts/login": TOKEN}
        """By path, in pieces."""
        self.answer: Iterable[bytes] = STATE
        self.pause_s = 0.0
        """Pause between two pieces."""
        self.sent = 0
        """Bytes of all answers."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, path, _ = head.split(" ", 2)
            self.requests.append(f"{method} {path}")
            self.heads.append(head)
            for piece in self.answers.get(path.partition("?")[0], self.answer):
                writer.write(piece)
                self.sent += len(piece)
                await writer.drain()
                await asyncio.sleep(self.pause_s)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def a_scripted_cloud() -> AsyncIterator[ScriptedCloud]:
    """A cloud with scripted answers."""
    cloud = ScriptedCloud()
    server = await asyncio.start_server(cloud.serve, "127.0.0.1", 0)
    cloud.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield cloud


@pytest.fixture
async def house() -> AsyncIterator[SimulatedHouse]:
    """A simulated house with a stopped clock."""
    async with a_house() as running:
        yield running


@pytest.fixture
async def easee(house: SimulatedHouse, tmp_path: Path) -> AsyncIterator[EaseeClient]:
    """A client of that house's cloud."""
    async with a_client(house.api_url, tmp_path) as client:
        yield client


@pytest.fixture
async def cloud() -> AsyncIterator[ScriptedCloud]:
    """A cloud with scripted answers."""
    async with a_scripted_cloud() as running:
        yield running


@pytest.fixture
async def client(cloud: ScriptedCloud, tmp_path: Path) -> AsyncIterator[EaseeClient]:
    """A client of that cloud."""
    async with a_client(cloud.url, tmp_path) as one:
        yield one
