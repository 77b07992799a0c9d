"""Finds the inverter: tries known ports and unit ids of a host, or searches the local network."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, ip_address, ip_network

from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.devices.huawei.client import Inverter
from easee_load_balancer.devices.huawei.connection import ConnectionLost
from easee_load_balancer.devices.huawei.identity import Identity, identify
from easee_load_balancer.devices.huawei.survey import Device, survey
from easee_load_balancer.errors import (
    InverterBusy,
    InverterImplausible,
    InverterNotFound,
    InverterUnreachable,
    InverterUnsupported,
)

DONGLE_UNITS = (1, 0, 16)
PORTS: Mapping[int, Sequence[int]] = {502: DONGLE_UNITS, 6607: (0, 1, 16)}
"""Known ports of dongles and inverters, with the unit ids in the order to try."""

_CONNECT_S = 3.0
_SEARCH_CONNECT_S = 1.0
_SEARCH_AT_ONCE = 64
_LISTEN_S = 1.0
_BUSY_PAUSE_S = 1.0
_BETWEEN_S = 0.5
"""Pause between two connections: the device serves one client at a time."""
_OTHER_NETWORK = ("192.0.2.1", 9)
"""An address reserved for documentation; nothing is sent there."""

Say = Callable[[str], None]


class Finding(Enum):
    """What is at an address other than a readable plant; the most informative last."""

    NO_HOST = "Nothing answers at {where}."
    UNKNOWN_HOST = "There is no host called {where}."
    REFUSED = "{where} refuses the connection: nothing listens on that port."
    OTHER_SERVICE = "A program listens at {where}, but it does not speak Modbus."
    WEB_SERVER = "A web server listens at {where}, not Modbus."
    SILENT = "{where} accepts the connection and does not answer."
    BUSY = "{where} reports that it is busy."
    OTHER_DEVICE = (
        "A Modbus device answers at {where}, but it is not a SUN2000, EMMA or SmartLogger."
    )

    @property
    def informative(self) -> int:
        """How much it tells, compared with the others."""
        return list(Finding).index(self)


@dataclass(frozen=True, slots=True)
class ProbeTimeouts:
    """Timeouts for one probe, long enough for old dongles."""

    settle_time_s: float = 1.5
    timeout_s: float = 4.0


@dataclass(frozen=True, slots=True)
class Found:
    """A plant that answers."""

    address: InverterAddress
    identity: Identity
    devices: tuple[Device, ...]
    """Every device behind the address."""


PROBE_TIMEOUTS = ProbeTimeouts()


class NotFound(InverterNotFound):
    """No plant answers at the address."""

    def __init__(self, finding: Finding, where: str, port: int | None) -> None:
        super().__init__(finding.value.format(where=where))
        self.finding = finding
        self.port = port
        """The port that accepts connections silently, as a sleeping inverter does."""


async def find_inverter(
    host: str,
    ports: Mapping[int, Sequence[int]] = PORTS,
    say: Say = lambda _: None,
    timeouts: ProbeTimeouts = PROBE_TIMEOUTS,
) -> Found:
    """Try the ports of a host, and the unit ids on each open one. Raises NotFound."""
    failures: list[tuple[Finding, str, int]] = []
    for port, unit_ids in ports.items():
        finding = await reach(host, port)
        if finding is None:
            result = await _ask(host, port, unit_ids, say, timeouts)
            if isinstance(result, Found):
                return result
            finding = result if result is not Finding.SILENT else await identify_service(host, port)
        where = host if finding in (Finding.UNKNOWN_HOST, Finding.NO_HOST) else f"{host}:{port}"
        failures.append((finding, where, port))
        if finding is Finding.UNKNOWN_HOST:
            break
    finding, where, port = max(failures, key=lambda failure: failure[0].informative)
    raise NotFound(finding, where, port if finding is Finding.SILENT else None)


async def _ask(
    host: str, port: int, unit_ids: Iterable[int], say: Say, timeouts: ProbeTimeouts
) -> Found | Finding:
    findings = [Finding.SILENT]
    for unit_id in unit_ids:
        await asyncio.sleep(_BETWEEN_S)
        say(f"Asking {host}:{port}, unit {unit_id} ...")
        address = InverterAddress(
            host=host,
            port=port,
            unit_id=unit_id,
            settle_time_s=timeouts.settle_time_s,
            timeout_s=timeouts.timeout_s,
        )
        try:
            return await _look_at(address, say)
        except InverterUnreachable:
            continue
        except InverterBusy:
            findings.append(Finding.BUSY)
        except (InverterUnsupported, InverterImplausible):
            findings.append(Finding.OTHER_DEVICE)
    return max(findings, key=lambda finding: finding.informative)


async def _look_at(address: InverterAddress, say: Say) -> Found:
    """The plant at an address. An EMMA closes a connection that settles, so it is asked at once."""
    try:
        return await _identify(address, say)
    except ConnectionLost:
        return await _identify(address.model_copy(update={"settle_time_s": 0.0}), say)
    except InverterBusy:
        await asyncio.sleep(_BUSY_PAUSE_S)
        return await _identify(address, say)


async def _identify(address: InverterAddress, say: Say) -> Found:
    inverter = Inverter(address)
    try:
        plant, devices = await survey(inverter, say)
    finally:
        await inverter.close()
    inverter = Inverter(plant)
    try:
        await asyncio.sleep(_BETWEEN_S)
        identity = await identify(inverter)
    finally:
        await inverter.close()
    own = plant.model_dump(exclude={"settle_time_s", "timeout_s"})
    return Found(InverterAddress(**own), identity, devices)


async def reach(host: str, port: int, within_s: float = _CONNECT_S) -> Finding | None:
    """Try to connect: None if possible, otherwise why not."""
    try:
        async with asyncio.timeout(within_s):
            _, writer = await asyncio.open_connection(host, port)
    except (socket.gaierror, UnicodeError):
        return Finding.UNKNOWN_HOST
    except ConnectionRefusedError:
        return Finding.REFUSED
    except (OSError, TimeoutError):
        return Finding.NO_HOST
    writer.close()
    return None


async def identify_service(host: str, port: int) -> Finding:
    """What accepts connections there and does not answer Modbus."""
    finding = await reach(host, port)
    if finding is not None:
        return finding
    answer = b""
    try:
        async with asyncio.timeout(_LISTEN_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
                answer = await reader.read(16)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return Finding.SILENT
    if not answer:
        return Finding.SILENT
    encrypted = answer.startswith((b"\x15\x03", b"\x16\x03"))
    web = encrypted or answer.startswith(b"HTTP/") or answer.lstrip().startswith(b"<")
    return Finding.WEB_SERVER if web else Finding.OTHER_SERVICE


def own_network() -> IPv4Network | None:
    """The /24 around this machine's address; None unless that is private."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unconnected:
        try:
            unconnected.connect(_OTHER_NETWORK)
        except OSError:
            return None
        address = ip_address(unconnected.getsockname()[0])
    if address.is_loopback or not address.is_private:
        return None
    return IPv4Network(ip_network(f"{address}/24", strict=False))


async def search(
    network: IPv4Network,
    ports: Mapping[int, Sequence[int]] = PORTS,
    say: Say = lambda _: None,
    timeouts: ProbeTimeouts = PROBE_TIMEOUTS,
    alone: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> list[Found]:
    """All plants that answer in a private network. Raises InverterNotFound if none does.

    Only while it asks a device, `alone` is entered.
    """
    if not network.is_private:
        raise InverterNotFound(
            f"{network} is not a private network; only private networks are searched."
        )
    at_once = asyncio.Semaphore(_SEARCH_AT_ONCE)

    async def is_open(host: str, port: int) -> bool:
        async with at_once:
            return await reach(host, port, _SEARCH_CONNECT_S) is None

    endpoints = [(str(host), port) for host in network.hosts() for port in ports]
    say(f"Looking for open Modbus ports in {network} ...")
    opened = await asyncio.gather(*(is_open(host, port) for host, port in endpoints))
    found: list[Found] = []
    for (host, port), is_there in zip(endpoints, opened, strict=True):
        if is_there and not any(one.address.host == host for one in found):
            try:
                with alone():
                    found.append(await find_inverter(host, {port: ports[port]}, say, timeouts))
            except NotFound as error:
                say(str(error))
    if not found:
        raise InverterNotFound(f"No SUN2000 answers in {network}.")
    return found
