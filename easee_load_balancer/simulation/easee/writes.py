"""The API's endpoints that change something at a charger or circuit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from easee_load_balancer.simulation.easee.commands import (
    CIRCUIT_SETTINGS,
    ChargerCurrent,
    CircuitCurrent,
    commanded_current_a,
    now_ticks,
    read_body,
    ticket_of,
)
from easee_load_balancer.simulation.easee.documents import CloudSpec, chargers_with_cars
from easee_load_balancer.simulation.easee.settings import (
    ChargerSettings,
    CircuitSettings,
    change_charger,
    change_circuit,
)
from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.plant.charger import Charger
from easee_load_balancer.simulation.plant.other_chargers import ChargingPoint
from easee_load_balancer.simulation.plant.plant import Plant

Handler = Callable[[Request], Awaitable[Response]]

CHARGER = "/api/chargers/{charger}"
CIRCUIT = "/api/sites/{site}/circuits/{circuit}"
SET_CIRCUIT_CURRENT = f"POST {CIRCUIT}/dynamicCurrent"
COMMANDS = (
    SET_CIRCUIT_CURRENT,
    f"POST {CIRCUIT}/settings",
    f"POST {CHARGER}/settings",
    f"POST {CHARGER}/commands/set_dynamic_charger_current",
    f"POST {CHARGER}/commands/{{command}}",
)
"""By method and route."""


class Writes:
    """Takes commands. In `request.state.taken` it leaves what the chargers will confirm.

    Minutes in commands are real minutes; each is `speed` minutes in the plant.
    """

    def __init__(
        self,
        plant: Plant,
        spec: CloudSpec,
        points: Mapping[str, ChargingPoint],
        faults: Faults,
        speed: int,
    ) -> None:
        self.count = 0
        """Accepted commands, with or without effect."""
        self.spec, self._plant, self._points = spec, plant, points
        self._faults, self._speed = faults, speed

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Method, path and handler of each endpoint."""
        return [
            ("POST", f"{CIRCUIT}/dynamicCurrent", self.set_circuit_current),
            ("POST", f"{CIRCUIT}/settings", self._set_circuit),
            ("POST", f"{CHARGER}/settings", self._set_charger),
            ("POST", f"{CHARGER}/commands/set_dynamic_charger_current", self._charger_current),
            ("POST", f"{CHARGER}/commands/{{command}}", self._command),
        ]

    async def set_circuit_current(self, request: Request) -> Response:
        """Answers 200 with an empty body: this write has no ticket."""
        wanted = await read_body(request, CircuitCurrent)
        amps = (wanted.phase1, wanted.phase2, wanted.phase3)
        ttl_s = self._plant_seconds(wanted.time_to_live)
        return self._change_circuit(
            request, lambda charger, clock_s: charger.command_circuit(clock_s, amps, ttl_s)
        )

    async def _set_circuit(self, request: Request) -> Response:
        """The same, without a time to live."""
        wanted = await read_body(request, CircuitSettings)
        return self._change_circuit(
            request, lambda charger, clock_s: change_circuit(charger, clock_s, wanted)
        )

    def _change_circuit(
        self, request: Request, change: Callable[[Charger, int], object]
    ) -> Response:
        self.count += 1
        if not self._faults.commands_ignored:
            circuit_id, ticks = int(request.path_params["circuit"]), now_ticks()
            ids = chargers_with_cars(self.spec, self._plant, circuit_id)
            for id_ in ids:
                change(self._points[id_].charger, self._plant.clock_s)
            request.state.taken = [(id_, CIRCUIT_SETTINGS, ticks) for id_ in ids]
        return Response()

    async def _set_charger(self, request: Request) -> Response:
        """Answers a ticket for each setting that differs; only these reach the charger."""
        wanted = await read_body(request, ChargerSettings)
        self.count += 1
        charger_id, sent = request.path_params["charger"], list[int]()
        point = self._points.get(charger_id)
        if point is not None and not self._faults.commands_ignored:
            sent = change_charger(point.charger, self._plant.clock_s, wanted)
        tickets = [ticket_of(charger_id, command) for command in sent]
        request.state.taken = [_confirmed(ticket) for ticket in tickets]
        return JSONResponse(tickets, 202)

    async def _charger_current(self, request: Request) -> Response:
        wanted = await read_body(request, ChargerCurrent)
        return self._command_charger(request, wanted.amps, self._plant_seconds(wanted.minutes))

    async def _command(self, request: Request) -> Response:
        point = self._points.get(request.path_params["charger"]) or self._plant
        amps = commanded_current_a(point, request.path_params["command"])
        return self._command_charger(request, amps, None)

    def _command_charger(self, request: Request, amps: float, ttl_s: int | None) -> Response:
        self.count += 1
        charger_id = request.path_params["charger"]
        ticket, point = ticket_of(charger_id), self._points.get(charger_id)
        if point is not None and not self._faults.commands_ignored:
            point.charger.command_charger(self._plant.clock_s, amps, ttl_s)
            request.state.taken = [_confirmed(ticket)]
        return JSONResponse(ticket, 202)

    def _plant_seconds(self, minutes: int) -> int | None:
        return minutes * 60 * self._speed if minutes else None


def _confirmed(ticket: Mapping[str, Any]) -> tuple[str, int, int]:
    """Charger, command and ticks that the stream repeats when the charger has taken it."""
    return ticket["device"], ticket["commandId"], ticket["ticks"]
