"""Commands from Home Assistant: what a message asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.devices.sanitize import plain
from easee_load_balancer.errors import ConfigurationError, problems
from easee_load_balancer.integrations.entities import CHARGER_ENTITIES, OFF

_LONGEST = 100
SETTINGS = frozenset(one.command for one in CHARGER_ENTITIES if one.command in Policy.model_fields)
"""Fields of the policy that may be set."""
_MAY_BE_OFF = frozenset({"max_power_w"})
"""Those whose value may be None."""


@dataclass(frozen=True, slots=True)
class SettingChange:
    """Another value for a field of the policy."""

    field: str
    text: str

    def applied_to(self, values: dict[str, Any]) -> dict[str, Any]:
        """The policy's values with the change. Raises ConfigurationError for an illegal value."""
        none = self.field in _MAY_BE_OFF and self.text.lower() == OFF
        try:
            changed = Policy.model_validate({**values, self.field: None if none else self.text})
        except ValidationError as error:
            raise ConfigurationError(f"{plain(self.text)!r}: {problems(error)}.") from None
        return changed.model_dump()

    def __str__(self) -> str:
        return f"{self.field} {plain(self.text)}"


@dataclass(frozen=True, slots=True)
class BoostRequest:
    """A boost until that end, as in the form of the deployment: "17:30 or 10 kWh"."""

    until: str

    def __str__(self) -> str:
        return f"boost until {plain(self.until)}"


@dataclass(frozen=True, slots=True)
class CancelBoost:
    """The end of the boost that is active."""

    def __str__(self) -> str:
        return "cancel the boost"


@dataclass(frozen=True, slots=True)
class ReadyByRequest:
    """A departure, as in the form of the deployment: "tomorrow 07:00, 20 kWh"."""

    ready: str

    def __str__(self) -> str:
        return f"ready by {plain(self.ready)}"


@dataclass(frozen=True, slots=True)
class CancelReadyBy:
    """The end of the departure that was asked for."""

    def __str__(self) -> str:
        return "cancel the departure"


Command = SettingChange | BoostRequest | CancelBoost | ReadyByRequest | CancelReadyBy


def command_from(name: str, payload: bytes) -> Command:
    """The command of that name. Raises ConfigurationError for anything else."""
    try:
        text = payload[: _LONGEST + 1].decode().strip()
    except UnicodeDecodeError:
        raise ConfigurationError(f"the command {plain(name)!r} is not text.") from None
    if len(text) > _LONGEST or not text:
        raise ConfigurationError(f"the command {plain(name)!r} needs 1 to {_LONGEST} characters.")
    if name == "boost":
        return CancelBoost() if text.lower() == OFF else BoostRequest(text)
    if name == "ready_by":
        return CancelReadyBy() if text.lower() == OFF else ReadyByRequest(text)
    if name in SETTINGS:
        return SettingChange(name, text)
    raise ConfigurationError(f"there is no command {plain(name)!r}.")
