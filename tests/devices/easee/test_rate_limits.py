"""How often the cloud is asked, and over what kind of connection."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from easee_load_balancer.devices.easee.client import EaseeClient
from easee_load_balancer.devices.easee.models import Account
from easee_load_balancer.devices.easee.rate_limits import raise_if_throttled, too_soon
from easee_load_balancer.devices.easee.token_store import SavedSession
from easee_load_balancer.errors import (
    BadCredentials,
    ChargerError,
    ChargerUnreachable,
    RateLimited,
)
from easee_load_balancer.measurements import ChargerMode, ChargerState
from tests.support.easee_cloud import (
    CHARGER,
    LOGIN,
    OBSERVATIONS,
    PASSWORD,
    ScriptedCloud,
    a_client,
    a_house,
    a_scripted_cloud,
    account,
    http,
    store,
    stored,
)

NOW = datetime(2026, 6, 21, 12, 0, tzinfo=UTC)

PACE = [
    (ChargerMode.CHARGING, True, 8, True),
    (ChargerMode.CHARGING, True, 9, False),
    (ChargerMode.DISCONNECTED, True, 58, True),
    (ChargerMode.DISCONNECTED, True, 59, False),
    (ChargerMode.DISCONNECTED, False, 9, False),
    (None, False, 8, True),
    (ChargerMode.CHARGING, True, -5, False),
]


@pytest.mark.parametrize(("mode", "online", "age_s", "waits"), PACE)
def test_every_ten_seconds_and_every_minute_without_a_car(
    mode: ChargerMode | None, online: bool, age_s: int, waits: bool
) -> None:
    last = ChargerState(NOW, online, mode, None, None, None)
    assert too_soon(last, NOW + timedelta(seconds=age_s)) is waits


async def test_a_state_that_is_asked_for_too_soon_is_the_last_one(tmp_path: Path) -> None:
    async with a_house() as house, a_client(house.api_url, tmp_path) as easee:
        first = await easee.recent_state(CHARGER)
        house.plant.car.unplug()
        assert await easee.recent_state(CHARGER) is first
        assert house.cloud.calls[OBSERVATIONS] == 1


async def test_calls_are_counted_by_endpoint(tmp_path: Path) -> None:
    async with a_house() as house, a_client(house.api_url, tmp_path) as easee:
        await easee.state(CHARGER)
        await easee.chargers()
        for _ in range(2):
            house.faults.api_status = 429
            with pytest.raises(RateLimited):
                await easee.config(CHARGER.charger_id)
        assert easee.calls == {"login": 1, "observations": 1, "chargers": 1, "config": 1}
        assert easee.calls.total() == house.cloud.calls.total()


class Saved(Account):
    """Credentials of which is known when they were saved."""

    at: datetime | None = None

    async def saved_at(self) -> datetime | None:
        """When that was."""
        return self.at


async def test_the_same_password_saved_again_is_tried_once_more(tmp_path: Path) -> None:
    async with a_scripted_cloud() as cloud:
        good = cloud.answers["/api/accounts/login"]
        cloud.answers["/api/accounts/login"] = http(400)
        credentials = Saved(
            user_name="owner", password=SecretStr(PASSWORD), base_url=cloud.url, at=NOW
        )
        easee = EaseeClient(credentials, tmp_path)
        for logins in (1, 1, 2, 2, 3):
            if logins > cloud.requests.count(LOGIN) > 0:
                credentials.at = datetime.now(UTC)
            if logins == 3:
                cloud.answers["/api/accounts/login"] = good
                await easee.state(CHARGER)
            else:
                with pytest.raises(BadCredentials):
                    await easee.state(CHARGER)
            assert cloud.requests.count(LOGIN) == logins
        await easee.close()


async def test_new_tokens_that_are_refused_are_asked_for_ever_less_often(tmp_path: Path) -> None:
    async with a_house() as house:
        for minutes in (1, 2, 4):
            house.faults.api_status = 401
            async with a_client(house.api_url, tmp_path) as easee:
                with pytest.raises(ChargerError):
                    await easee.state(CHARGER)
            session = stored(house.api_url, tmp_path)
            wait = session.cool_down["observations"] - datetime.now(UTC)
            assert timedelta(0) < timedelta(minutes=minutes) - wait < timedelta(seconds=5)
            session.cool_down.clear()
            store(house.api_url, tmp_path, session)
        house.faults.api_status = None
        async with a_client(house.api_url, tmp_path) as easee:
            await easee.state(CHARGER)
        assert stored(house.api_url, tmp_path).refused_s == 0


def test_a_wait_that_a_wrong_clock_has_left_is_not_waited_for() -> None:
    far = datetime.now(UTC) + timedelta(days=300)
    session = SavedSession(cool_down={"config": far}, blocked_until=far)
    raise_if_throttled(session, "config", account("https://api.easee.com"))


async def test_a_cloud_without_a_trusted_certificate_is_told_nothing(tmp_path: Path) -> None:
    cloud = ScriptedCloud()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_self_signed(tmp_path))
    async with _served(cloud, context), a_client(cloud.url, tmp_path) as easee:
        with pytest.raises(ChargerUnreachable):
            await easee.state(CHARGER)
    assert cloud.requests == []


@asynccontextmanager
async def _served(cloud: ScriptedCloud, context: ssl.SSLContext) -> AsyncIterator[None]:
    server = await asyncio.start_server(cloud.serve, "127.0.0.1", 0, ssl=context)
    cloud.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield


def _self_signed(folder: Path) -> Path:
    """A certificate for this machine that nobody vouches for, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(pem))
    return file
