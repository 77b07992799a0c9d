"""Over which connections the cloud is called."""

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

from easee_load_balancer.devices.easee.transport import Transport
from easee_load_balancer.errors import ChargerUnreachable
from easee_load_balancer.simulation.server import SimulatedHouse
from tests.support.easee_cloud import CHARGER, ScriptedCloud, a_client
from tests.support.given_up import give_up


async def test_nothing_is_sent_without_a_trusted_certificate(tmp_path: Path) -> None:
    cloud = ScriptedCloud()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_self_signed(tmp_path))
    async with _served(cloud, context), a_client(cloud.url, tmp_path) as easee:
        with pytest.raises(ChargerUnreachable):
            await easee.state(CHARGER)
    assert cloud.requests == []


async def test_answers_after_many_requests_were_given_up_at_once(house: SimulatedHouse) -> None:
    transport = Transport(house.api_url, "the Easee cloud", budget_s=60)
    await give_up(lambda: transport.send("GET", "/"), at_once=110)
    async with asyncio.timeout(60):
        assert (await transport.send("GET", "/")).status == 404
    await transport.close()


@asynccontextmanager
async def _served(cloud: ScriptedCloud, context: ssl.SSLContext) -> AsyncIterator[None]:
    server = await asyncio.start_server(cloud.serve, "127.0.0.1", 0, ssl=context)
    cloud.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield


def _self_signed(folder: Path) -> Path:
    """A self-signed certificate for this machine, with its key."""
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
