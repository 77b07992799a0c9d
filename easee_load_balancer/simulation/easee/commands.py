"""What the API lets a client change: the bodies it takes, and the commands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from easee_load_balancer.simulation.easee.problems import Problem
from easee_load_balancer.simulation.plant.other_chargers import ChargingPoint

Body = TypeVar("Body", bound=BaseModel)
Amperes = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]

CIRCUIT_SETTINGS = 22
"""The id with which a charger answers to a current of its circuit."""
SET_DYNAMIC_CHARGER_CURRENT = 48
"""The command of a charger's own current."""
_TICKS_AT_1970 = 621_355_968_000_000_000
_TICKS_PER_S = 10_000_000


class CircuitCurrent(BaseModel):
    """The body of a dynamic circuit current: A per phase and minutes (0 = no end)."""

    model_config = ConfigDict(strict=True)

    phase1: Amperes
    phase2: Amperes
    phase3: Amperes
    time_to_live: int = Field(default=0, ge=0, alias="timeToLive")


class ChargerCurrent(BaseModel):
    """The body of a dynamic charger current: A and minutes (0 = no end)."""

    model_config = ConfigDict(strict=True)

    amps: Amperes
    minutes: int = Field(default=0, ge=0)


async def read_body(request: Request, shape: type[Body]) -> Body:
    """The body of a request. Raises ValidationError."""
    return shape.model_validate_json(await request.body())


def now_ticks() -> int:
    """The present time as .NET counts it."""
    return _TICKS_AT_1970 + int(datetime.now(UTC).timestamp() * _TICKS_PER_S)


def ticket_of(charger_id: str, command: int = SET_DYNAMIC_CHARGER_CURRENT) -> dict[str, Any]:
    """The answer to an accepted command."""
    return {"device": charger_id, "commandId": command, "ticks": now_ticks()}


def commanded_current_a(point: ChargingPoint, name: str) -> float:
    """The dynamic charger current that a command without a body sets.

    Raises Problem 404 for an unknown command, 400 (410) without a car.
    """
    currents_a = {"pause_charging": 0.0, "resume_charging": point.charger.spec.max_current_a}
    if name not in currents_a:
        raise Problem(404, f"There is no command {name!r}.")
    if not point.car.plugged_in:
        raise Problem(400, "No car is connected.", code=(410, "ChargerDisconnected"))
    return currents_a[name]
