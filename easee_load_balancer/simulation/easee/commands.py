"""What the API lets a client change: the bodies it takes, the tickets it gives, the effects."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from easee_load_balancer.simulation.easee.problems import Problem
from easee_load_balancer.simulation.plant.charger import Charger
from easee_load_balancer.simulation.plant.plant import Plant

Amperes = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]

REBOOT, SET_SMART_CHARGING, AUTHORIZE, DEAUTHORIZE, SET_ENABLED = 1, 11, 25, 26, 29
SET_AUTHORIZATION_REQUIRED, SET_PHASE_MODE = 33, 38
SET_MAX_CHARGER_CURRENT, SET_DYNAMIC_CHARGER_CURRENT = 47, 48

_SENT, _EXECUTED = 1, 3
_TICKS_AT_1970 = 621_355_968_000_000_000
_TICKS_PER_S = 10_000_000


class CircuitCurrent(BaseModel):
    """The body of a dynamic circuit current: A per phase and minutes (0 = for ever)."""

    model_config = ConfigDict(strict=True)

    phase1: Amperes
    phase2: Amperes
    phase3: Amperes
    time_to_live: int = Field(default=0, ge=0, alias="timeToLive")


class ChargerCurrent(BaseModel):
    """The body of a dynamic charger current: A and minutes (0 = for ever)."""

    model_config = ConfigDict(strict=True)

    amps: Amperes
    minutes: int = Field(default=0, ge=0)


class ChargerSettings(BaseModel):
    """The body of a settings call: what is missing stays; fields without effect are let through."""

    model_config = ConfigDict(strict=True)

    enabled: bool | None = None
    authorization_required: bool | None = Field(default=None, alias="authorizationRequired")
    smart_charging: bool | None = Field(default=None, alias="smartCharging")
    phase_mode: Annotated[int, Field(ge=1, le=3)] | None = Field(default=None, alias="phaseMode")
    max_charger_current: Annotated[float, Field(ge=0, le=32)] | None = Field(
        default=None, alias="maxChargerCurrent"
    )
    dynamic_charger_current: Amperes | None = Field(default=None, alias="dynamicChargerCurrent")


@dataclasses.dataclass(frozen=True, slots=True)
class Ticket:
    """A command that was accepted; whether the charger did it is asked with the ticket."""

    device: str
    command_id: int
    ticks: int
    sent_at: datetime
    done_s: int | None
    """Simulated second from which it counts as executed; None = it never reaches the charger."""

    def as_json(self) -> dict[str, Any]:
        """The answer to the command."""
        return {"device": self.device, "commandId": self.command_id, "ticks": self.ticks}

    def state(self, clock_s: int) -> dict[str, Any]:
        """The answer to the question after it."""
        executed = self.done_s is not None and clock_s >= self.done_s
        return {
            "serialNumber": self.device,
            "id": self.command_id,
            "timestamp": f"{self.sent_at:%Y-%m-%dT%H:%M:%SZ}",
            "wasAccepted": executed,
            "resultCode": _EXECUTED if executed else _SENT,
            "ticks": self.ticks,
        }


class Tickets:
    """Gives tickets with ever growing ticks, and remembers them."""

    def __init__(self) -> None:
        self._given: dict[tuple[str, int, int], Ticket] = {}
        self._last_ticks = 0

    def give(self, device: str, command_id: int, done_s: int | None) -> Ticket:
        """A ticket for a command that was just accepted."""
        now = datetime.now(UTC)
        ticks = _TICKS_AT_1970 + int(now.timestamp() * _TICKS_PER_S)
        self._last_ticks = max(ticks, self._last_ticks + 1)
        ticket = Ticket(device, command_id, self._last_ticks, now, done_s)
        self._given[device, command_id, ticket.ticks] = ticket
        return ticket

    def find(self, device: str, command_id: int, ticks: int) -> Ticket:
        """The ticket with these numbers. Raises Problem 404 if it was never given."""
        try:
            return self._given[device, command_id, ticks]
        except KeyError:
            raise Problem(404, "There is no such command.") from None


@dataclasses.dataclass(frozen=True, slots=True)
class Command:
    """A change of the charger that has yet to happen, with its number in the vendor's list."""

    id: int
    happen: Callable[[], None]


def named_command(plant: Plant, name: str) -> Command:
    """A command that needs no body.

    Raises Problem 404 for an unknown one, 400 (410) for one that needs a car where none is.
    """
    charger, clock_s = plant.charger, plant.clock_s
    if name == "toggle_charging":
        name = "pause_charging" if charger.dynamic_charger_current_a else "resume_charging"
    if name in ("pause_charging", "resume_charging") and not plant.car.plugged_in:
        raise Problem(400, "No car is connected.", code=(410, "ChargerDisconnected"))
    match name:
        case "pause_charging":
            pause = partial(charger.command_charger, clock_s, 0.0, None)
            return Command(SET_DYNAMIC_CHARGER_CURRENT, pause)
        case "resume_charging":
            resume = partial(charger.command_charger, clock_s, charger.spec.max_current_a, None)
            return Command(SET_DYNAMIC_CHARGER_CURRENT, resume)
        case "start_charging":
            return Command(AUTHORIZE, partial(setattr, charger, "authorized", True))
        case "stop_charging":
            free = not charger.spec.authorization_required
            return Command(DEAUTHORIZE, partial(setattr, charger, "authorized", free))
        case "reboot":
            return Command(REBOOT, charger.reboot)
    raise Problem(404, f"There is no command {name!r}.")


def settings_commands(plant: Plant, wanted: ChargerSettings) -> list[Command]:
    """A command for each setting that differs from the present one."""
    charger, spec = plant.charger, plant.charger.spec
    changes = [
        (SET_ENABLED, charger, "enabled", wanted.enabled),
        (SET_SMART_CHARGING, charger, "smart_charging", wanted.smart_charging),
        (SET_AUTHORIZATION_REQUIRED, spec, "authorization_required", wanted.authorization_required),
        (SET_PHASE_MODE, spec, "phase_mode", wanted.phase_mode),
        (SET_MAX_CHARGER_CURRENT, spec, "max_current_a", wanted.max_charger_current),
    ]
    commands = [
        Command(id_, partial(_change, charger, of is spec, name, value))
        for id_, of, name, value in changes
        if value is not None and value != getattr(of, name)
    ]
    amps = wanted.dynamic_charger_current
    if amps is not None and amps != charger.dynamic_charger_current_a:
        limit = partial(charger.command_charger, plant.clock_s, amps, None)
        commands.append(Command(SET_DYNAMIC_CHARGER_CURRENT, limit))
    return commands


def _change(charger: Charger, in_spec: bool, name: str, value: bool | float) -> None:
    if in_spec:
        changed: dict[str, Any] = {name: value}
        charger.spec = dataclasses.replace(charger.spec, **changed)
    else:
        setattr(charger, name, value)
