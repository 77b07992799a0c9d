"""What the Easee API sends, as models, and the pure step from observations to a ChargerState.

Ids, units and enumerations follow the API's "Observation IDs" and "Enumerations" pages.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
)
from pydantic.alias_generators import to_camel

from easee_load_balancer.devices.sanitize import PlainText
from easee_load_balancer.measurements import ChargerMode, ChargerState, PhaseValues

DEFAULT_BASE_URL = "https://api.easee.com"
STALE_AFTER = timedelta(minutes=20)
"""A charger that sent nothing for so long is out of touch; values come on change, so only the
newest of all tells."""

OBSERVATION_IDS = {
    "mode": 109,
    "car_w": 120,
    "output_current_a": 114,
    "output_phases": 110,
    "car_current_l1_a": 183,
    "car_current_l2_a": 184,
    "car_current_l3_a": 185,
    "voltage_l1_v": 194,
    "voltage_l2_v": 195,
    "voltage_l3_v": 196,
    "circuit_current_l1_a": 111,
    "circuit_current_l2_a": 112,
    "circuit_current_l3_a": 113,
    "circuit_max_current_l1_a": 22,
    "circuit_max_current_l2_a": 23,
    "circuit_max_current_l3_a": 24,
    "offline_current_l1_a": 50,
    "offline_current_l2_a": 51,
    "offline_current_l3_a": 52,
    "charger_current_a": 48,
    "charger_max_current_a": 47,
    "phase_mode": 38,
    "grid_type": 21,
    "reason_for_no_current": 96,
    "session_kwh": 121,
    "lifetime_kwh": 124,
    "connected_to_cloud": 250,
    # asked for as a sign of life: these move although nothing happens at the charger
    "wifi_signal_dbm": 132,
    "highest_temperature_c": 150,
}
_NAMES = {number: name for name, number in OBSERVATION_IDS.items()}
CONTROL_IDS = {
    "enabled": 31,
    "authorization_required": 42,
    "schedule": 62,
    "equalizer": 65,
    "smart_charging": 102,
}
_OUTPUT_PHASES: dict[float | None, Literal[0, 1, 2, 3]] = {
    0: 0,
    **dict.fromkeys(range(10, 16), 1),
    **dict.fromkeys(range(20, 23), 2),
    30: 3,
}
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}

CHARGER_ID = r"^[A-Za-z0-9]{4,20}$"
_HIGHEST_W, _HIGHEST_A, _HIGHEST_V, _HIGHEST_KWH = 30_000.0, 500.0, 500.0, 1e8
"""What is beyond cannot be: the value is taken as unknown."""

_Item = TypeVar("_Item")
_List = Annotated[tuple[_Item, ...], BeforeValidator(lambda value: () if value is None else value)]
"""A list, for which the API sends null when it is empty."""


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
        description="Leave as it is; only a simulated house has another one.",
    )

    async def saved_at(self) -> datetime | None:
        """When a person last saved these credentials, if anybody knows."""
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
        title="Charger id",
        description="On the label of the charger and in the Easee app, for example EH123456.",
    )
    site_id: int = Field(
        ge=1, title="Site id", description="Number of the site in the Easee cloud."
    )
    circuit_id: int = Field(
        ge=1, title="Circuit id", description="Number of the charger's circuit in the Easee cloud."
    )


class _ApiModel(BaseModel):
    model_config = ConfigDict(
        alias_generator=AliasGenerator(validation_alias=to_camel), extra="ignore", frozen=True
    )


class Token(_ApiModel):
    """Answer of login and refresh."""

    access_token: SecretStr = Field(min_length=1)
    refresh_token: SecretStr = Field(min_length=1)
    expires_in: float = Field(gt=0)


class Charger(_ApiModel):
    """A charger as listed by `/api/chargers`."""

    id: PlainText
    name: PlainText


class Circuit(_ApiModel):
    """A fuse with the chargers behind it; rated current in A."""

    id: int
    site_id: int
    rated_current: float | None = None
    chargers: _List[Charger] = ()


class Equalizer(_ApiModel):
    """The vendor's own load balancer."""

    id: PlainText
    name: PlainText | None = None


class Site(_ApiModel):
    """A home with its circuits; rated current in A."""

    id: int
    name: PlainText | None = None
    rated_current: float | None = None
    circuits: _List[Circuit] = ()
    equalizers: _List[Equalizer] = ()

    def circuit_of(self, charger_id: str) -> Circuit | None:
        """The circuit on which that charger hangs."""
        for circuit in self.circuits:
            if any(charger.id == charger_id for charger in circuit.chargers):
                return circuit
        return None


class ChargerConfig(_ApiModel):
    """Settings of a charger (`/api/chargers/{id}/config`); currents in A."""

    is_enabled: bool | None = None
    authorization_required: bool | None = None
    phase_mode: int | None = None
    detected_power_grid_type: int | None = None
    max_charger_current: float | None = None
    circuit_max_current_p1: float | None = Field(None, validation_alias="circuitMaxCurrentP1")
    circuit_max_current_p2: float | None = Field(None, validation_alias="circuitMaxCurrentP2")
    circuit_max_current_p3: float | None = Field(None, validation_alias="circuitMaxCurrentP3")


class Observation(_ApiModel):
    """One value with the time at which the charger observed it."""

    id: int
    timestamp: datetime
    value: bool | int | float | str | None

    @property
    def observed_at(self) -> datetime:
        """The time; in UTC where the zone was left out."""
        return self.timestamp if self.timestamp.tzinfo else self.timestamp.replace(tzinfo=UTC)


class Observations(_ApiModel):
    """Answer of `/state/{charger}/observations`."""

    observations: tuple[Observation, ...]

    def by_our_clock(self, ahead: timedelta) -> tuple[Observation, ...]:
        """The observations with the times of a clock that is so far ahead of the cloud's."""
        if not ahead:
            return self.observations
        return tuple(
            one.model_copy(update={"timestamp": one.observed_at + ahead})
            for one in self.observations
        )


class Problem(_ApiModel):
    """An error answer (problem+json)."""

    error_code: int | None = None
    error_code_name: str | None = None
    title: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Controls:
    """Who else decides whether the charger charges; None is unknown."""

    enabled: bool | None
    authorization_required: bool | None
    smart_charging: bool | None
    scheduled: bool
    equalizer: bool


def controls(observations: Iterable[Observation]) -> Controls:
    """Who else decides, from the charger's observations."""
    values = {one.id: one for one in observations}
    known = {name: values.get(number) for name, number in CONTROL_IDS.items()}
    return Controls(
        enabled=_boolean(known["enabled"]),
        authorization_required=_boolean(known["authorization_required"]),
        smart_charging=_boolean(known["smart_charging"]),
        scheduled=_is_on(known["schedule"]),
        equalizer=_is_on(known["equalizer"]),
    )


def _is_on(observation: Observation | None) -> bool:
    """Whether JSON text describes something that is there and not switched off."""
    try:
        content = json.loads(str(observation.value)) if observation else None
    except (ValueError, RecursionError):
        return False
    return bool(content) and not (isinstance(content, dict) and content.get("isEnabled") is False)


def charger_state(observations: Iterable[Observation], now: datetime) -> ChargerState:
    """The charger's state at `now` from its observations; what was not sent stays unknown."""
    in_order = sorted(observations, key=attrgetter("observed_at"))
    known = {_NAMES[one.id]: one for one in in_order if one.id in _NAMES}
    newest = max((one.observed_at for one in known.values()), default=None)
    connected = _boolean(known.get("connected_to_cloud"))
    return ChargerState(
        taken_at=now,
        online=connected is not False and newest is not None and now - newest <= STALE_AFTER,
        mode=_mode(_number(known.get("mode"))),
        car_w=_number(known.get("car_w"), _HIGHEST_W, scale=1000),
        output_current_a=_number(known.get("output_current_a"), _HIGHEST_A),
        output_phases=_OUTPUT_PHASES.get(_number(known.get("output_phases"))),
        car_current_a=_per_phase(known, "car_current"),
        voltage_v=_per_phase(known, "voltage", _HIGHEST_V, unit="v"),
        circuit_current_a=_per_phase(known, "circuit_current"),
        circuit_max_current_a=_per_phase(known, "circuit_max_current"),
        offline_current_a=_per_phase(known, "offline_current"),
        charger_current_a=_number(known.get("charger_current_a"), _HIGHEST_A),
        charger_max_current_a=_number(known.get("charger_max_current_a"), _HIGHEST_A),
        phase_mode=_integer(known.get("phase_mode")),
        grid_type=_integer(known.get("grid_type")),
        reason_for_no_current=_integer(known.get("reason_for_no_current")),
        session_kwh=_number(known.get("session_kwh"), _HIGHEST_KWH),
        lifetime_kwh=_number(known.get("lifetime_kwh"), _HIGHEST_KWH),
        observed_at={name: one.observed_at for name, one in known.items()},
    )


def _number(
    observation: Observation | None, highest: float = 1e4, scale: float = 1
) -> float | None:
    if observation is None or isinstance(observation.value, bool | None):
        return None
    try:
        number = float(observation.value) * scale
    except (ValueError, OverflowError):
        return None
    return number if abs(number) <= highest else None


def _integer(observation: Observation | None) -> int | None:
    number = _number(observation)
    return None if number is None else int(number)


def _boolean(observation: Observation | None) -> bool | None:
    value = None if observation is None else observation.value
    if isinstance(value, bool | None):
        return value
    return _BOOLEANS.get(str(value).lower().removesuffix(".0"))


def _mode(number: float | None) -> ChargerMode | None:
    return ChargerMode(int(number)) if number in list(ChargerMode) else None


def _per_phase(
    known: dict[str, Observation], name: str, highest: float = _HIGHEST_A, unit: str = "a"
) -> PhaseValues:
    l1, l2, l3 = (_number(known.get(f"{name}_l{phase}_{unit}"), highest) for phase in (1, 2, 3))
    return (l1, l2, l3)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
