"""The answers to setup: what a typed one means, and which fields of a block it fills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from easee_load_balancer.devices.easee.discovery import FoundCharger
from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.devices.huawei.discovery import PORTS
from easee_load_balancer.orchestration.own_addresses import HOME


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers from flags and environment variables; None asks the user."""

    site: str = HOME
    """Which site they are for."""
    user_name: str | None = None
    password: str | None = field(default=None, repr=False)
    api: str | None = None
    charger: str | None = None
    inverter: str | None = None
    unit_id: int | None = None
    asleep: bool = False
    meter_backwards: bool | None = None
    calibrate: bool = False
    fuse: str | None = None
    time_zone: str | None = None
    currency: str | None = None
    import_price: str | None = None
    export_price: str | None = None


def not_empty(text: str) -> str:
    """The text. Raises ValueError without any."""
    if not text:
        raise ValueError("This cannot be empty.")
    return text


def line_number(text: str, count: int) -> int:
    """The index that belongs to the number of a line. Raises ValueError for any other."""
    if not (text.isdecimal() and 1 <= int(text) <= count):
        raise ValueError(f"{text!r} is not a number from 1 to {count}.")
    return int(text) - 1


def one_of(chargers: Sequence[FoundCharger], text: str) -> FoundCharger:
    """The charger of that number or id. Raises ValueError for any other."""
    for number, one in enumerate(chargers, 1):
        if text.lower() in (one.id.lower(), str(number)):
            return one
    known = ", ".join(one.id for one in chargers)
    raise ValueError(f"{text!r} is not a charger of this account, which has: {known}.")


def host_and_port(text: str) -> tuple[str, int | None]:
    """The host and port of `host` or `host:port`; the port is None if missing."""
    host, colon, port = text.partition(":")
    if colon and not (port.isdecimal() and 0 < int(port) < 65_536):
        raise ValueError(f"{port!r} is not a port, for example 502.")
    try:
        InverterAddress(host=host)
    except ValidationError:
        raise ValueError(f"{text!r} is not an address, for example 192.168.1.40.") from None
    return host, int(port) if colon else None


def saved_address(address: InverterAddress) -> str:
    """The address as it would be typed."""
    return address.host if address.port in PORTS else f"{address.host}:{address.port}"


def plant_fields(address: InverterAddress, saved: InverterAddress | None) -> dict[str, Any]:
    """The fields of a plant that was found; another kind of plant has its own settle time."""
    fields = address.model_dump(
        exclude={"settle_time_s", "timeout_s", "meter_counts_backwards"},
    )
    if saved is not None and saved.plant != address.plant:
        fields["settle_time_s"] = None
    return fields


def endpoint_fields(address: InverterAddress) -> dict[str, Any]:
    """The fields of an address that could not be tested."""
    return {"host": address.host, "port": address.port, "unit_id": address.unit_id}
