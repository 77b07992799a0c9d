"""The Easee account and charger address, and the documents that the Easee API sends."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic.alias_generators import to_camel

from easee_load_balancer.devices.sanitize import PlainText, plain
from easee_load_balancer.errors import ChargerUnknown

DEFAULT_BASE_URL = "https://api.easee.com"
CHARGER_ID = r"^[A-Za-z0-9]{4,20}$"

_NO_DETAIL = "[Empty in production]"
_NEVER = datetime.min.replace(tzinfo=UTC)
_Item = TypeVar("_Item")
_List = Annotated[tuple[_Item, ...], BeforeValidator(lambda value: () if value is None else value)]
"""A list; the API sends null for an empty one."""


class Account(BaseModel):
    """The Easee login, as used in the Easee app."""

    model_config = ConfigDict(hide_input_in_errors=True)

    user_name: str = Field(
        min_length=1,
        max_length=200,
        title="User name",
        description="Phone number with country code (+47...) or e-mail address of the Easee login.",
    )
    password: SecretStr = Field(
        min_length=1, title="Password", description="Password of the Easee login."
    )
    base_url: str = Field(
        default=DEFAULT_BASE_URL,
        pattern=r"^https?://[^\s]+$",
        title="API address",
        description="Leave unchanged; only a simulated house uses another one.",
    )

    def is_same_login(self, other: Account) -> bool:
        """Whether both log in alike; blocks of two sites may hold the same login."""
        mine, theirs = ((a.user_name, a.password, a.base_url) for a in (self, other))
        return mine == theirs

    async def saved_at(self) -> datetime | None:
        """When a person last saved these credentials; None where unknown."""
        return None

    @field_validator("base_url")
    @classmethod
    def _encrypted_or_local(cls, url: str) -> str:
        parts = urlsplit(url)
        try:
            usable = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("the API address must be like https://host or https://host:port")
        if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
            raise ValueError(
                "the API address must begin with https:// unless it is on this machine"
            )
        return url.rstrip("/")


class ChargerAddress(BaseModel):
    """Which charger, and the circuit on which its current is set."""

    charger_id: str = Field(
        pattern=CHARGER_ID,
        title="Charger ID",
        description="On the label of the charger and in the Easee app, for example EH123456.",
    )
    site_id: int = Field(
        ge=1, title="Site ID", description="Number of the site in the Easee cloud."
    )
    circuit_id: int = Field(
        ge=1, title="Circuit ID", description="Number of the charger's circuit in the Easee cloud."
    )


class _ApiModel(BaseModel):
    model_config = ConfigDict(
        alias_generator=AliasGenerator(validation_alias=to_camel), extra="ignore", frozen=True
    )


class TokenAnswer(_ApiModel):
    """Answer of login and refresh."""

    access_token: SecretStr = Field(min_length=1)
    refresh_token: SecretStr = Field(min_length=1)
    expires_in: float = Field(gt=0)


class AccountCharger(_ApiModel):
    """A charger as listed by `/api/chargers`."""

    id: PlainText
    name: PlainText


class Circuit(_ApiModel):
    """A fuse with the chargers behind it; rated current in A."""

    id: int
    site_id: int
    rated_current: float | None = None
    chargers: _List[AccountCharger] = ()


class Equalizer(_ApiModel):
    """The vendor's own load balancer."""

    id: PlainText
    name: PlainText | None = None


class EaseeSite(_ApiModel):
    """A home with its circuits; rated current in A."""

    id: int
    name: PlainText | None = None
    rated_current: float | None = None
    circuits: _List[Circuit] = ()
    equalizers: _List[Equalizer] = ()

    def circuit_of(self, charger_id: str) -> Circuit | None:
        """The circuit of that charger; None if it is not at this site."""
        for circuit in self.circuits:
            if any(charger.id == charger_id for charger in circuit.chargers):
                return circuit
        return None


class Observation(_ApiModel):
    """One value with the time at which the charger observed it."""

    id: int
    timestamp: datetime
    value: bool | int | float | str | None

    @property
    def observed_at(self) -> datetime:
        """The time; a missing zone means UTC."""
        return self.timestamp if self.timestamp.tzinfo else self.timestamp.replace(tzinfo=UTC)


class Observations(_ApiModel):
    """Answer of `/state/{charger}/observations`."""

    observations: tuple[Observation, ...]

    def by_our_clock(self, ahead: timedelta) -> tuple[Observation, ...]:
        """The observations with times by our clock, which is `ahead` of the cloud's."""
        return tuple(_shifted(one, ahead) for one in self.observations)


def _shifted(observation: Observation, by: timedelta) -> Observation:
    try:
        at = observation.observed_at + by
    except OverflowError:
        at = _NEVER
    return observation.model_copy(update={"timestamp": at})


class PushedObservation(Observation):
    """A value as the push stream sends it: as text, with the id of its charger."""

    mid: str


class CommandResponse(_ApiModel):
    """A charger's answer to a command, as the push stream sends it."""

    serial_number: str
    id: int
    """The observation that the command sets; 22 for the current of the circuit."""
    was_accepted: bool | None = None
    ticks: int | None = None
    """When it was commanded; each command has its own."""


class Negotiation(_ApiModel):
    """Permission for one connection to the push stream."""

    connection_token: SecretStr | None = None
    connection_id: SecretStr | None = None
    """In the place of the token at protocol version 0."""


class ProblemDetails(_ApiModel):
    """An error answer (problem+json)."""

    error_code: int | None = None
    """The vendor's own code."""
    title: str | None = None
    detail: str | None = None
    errors: Any = None
    """What is wrong with which part of the request."""

    @classmethod
    def of(cls, content: bytes) -> ProblemDetails:
        """The problem that an answer tells; an empty one where it tells none."""
        try:
            return cls.model_validate_json(content)
        except ValidationError:
            return cls()

    @property
    def said(self) -> str:
        """What it says, for people."""
        detail = "" if self.detail == _NO_DETAIL else self.detail
        return plain(f"{self.title or ''} {detail or ''}") or "no explanation"


def valid_charger_id(charger_id: str) -> str:
    """The id, checked before it becomes part of a path. Raises ChargerUnknown."""
    if not re.fullmatch(CHARGER_ID, charger_id):
        raise ChargerUnknown(f"'{plain(charger_id)}' is not a valid charger id.")
    return charger_id


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
