"""The Easee cloud as a simulated house sees it: the REST API for one account with one site."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from easee_load_balancer.simulation.easee import documents as documents
from easee_load_balancer.simulation.easee.auth import (
    Credentials,
    Limit,
    RateLimiter,
    TokenPair,
    Tokens,
)
from easee_load_balancer.simulation.easee.commands import (
    SET_DYNAMIC_CHARGER_CURRENT,
    ChargerCurrent,
    ChargerSettings,
    CircuitCurrent,
    Command,
    Ticket,
    Tickets,
    named_command,
    settings_commands,
)
from easee_load_balancer.simulation.easee.corrupt_responses import notice, spoilt
from easee_load_balancer.simulation.easee.documents import CloudSpec, Session
from easee_load_balancer.simulation.easee.observations import (
    KNOWN_IDS,
    ObservationStore,
    Value,
    observe,
    without_car,
)
from easee_load_balancer.simulation.easee.problems import Problem, invalid
from easee_load_balancer.simulation.fault_triggers import Moments
from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.plant.plant import Plant

logger = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]
Body = TypeVar("Body", bound=BaseModel)

_LOGIN = "POST /api/accounts/login"
_REFRESH = "POST /api/accounts/refresh_token"
_CHARGER = "/api/chargers/{charger}"
_CIRCUIT = "/api/sites/{site}/circuits/{circuit}"
_OBSERVATIONS = "/state/{charger}/observations"
_PUSH = f"POST {_CIRCUIT}/dynamicCurrent"
_READ = f"GET {_OBSERVATIONS}"

_LIMITS = {
    "GET /api/chargers": Limit(2),
    _READ: Limit(60),
    f"GET {_CHARGER}/sessions/ongoing": Limit(10, 3600.0),
    f"GET {_CHARGER}/sessions/latest": Limit(10, 3600.0),
    f"POST {_CHARGER}/settings": Limit(20),
}


class Cloud:
    """The API's state. `observe()` is called whenever the plant has moved on.

    Minutes in commands are real minutes, of which each is `speed` minutes in the plant.
    """

    def __init__(
        self, plant: Plant, spec: CloudSpec, faults: Faults, moments: Moments, speed: int = 1
    ) -> None:
        self.spec = spec
        self.calls: Counter[str] = Counter()
        """Calls by method and route, e.g. `GET /api/chargers/{charger}/site`."""
        self.tokens = Tokens(
            (spec.user_name, spec.password), spec.token_lifetime_s, blocks=spec.rate_limits
        )
        self.writes = 0
        """Accepted commands and settings, with or without effect."""
        self.flash_writes = 0
        """Changed settings that wear the charger's flash."""
        self._plant = plant
        self._faults = faults
        self._moments = moments
        self._speed = speed or 1
        self._store = ObservationStore(spec.cloud_delay_s)
        self._limiter = RateLimiter()
        self._tickets = Tickets()
        self._session: Session | None = None
        self.observe()

    def observe(self) -> None:
        """Let the charger report what has changed."""
        if self._faults.observations_stopped:
            return
        now, plant = self._now(), self._plant
        seen = observe(plant, self.spec.equalizer_id)
        self._store.update(seen, plant.clock_s, now)
        self._follow_session(now)

    def counts(self) -> dict[str, Any]:
        """What was called how often."""
        return {
            "calls": dict(self.calls),
            "logins": self.tokens.logins,
            "refreshes": self.tokens.refreshes,
            "writes": self.writes,
            "flash_writes": self.flash_writes,
        }

    def routes(self) -> list[Route]:
        """The API's routes; charger and site state exist no more, and say so."""
        gone = self._gone
        table: list[tuple[str, str, Handler]] = [
            ("POST", "/api/accounts/login", self._login),
            ("POST", "/api/accounts/refresh_token", self._refresh),
            ("GET", "/api/accounts/profile", self._profile),
            ("GET", "/api/accounts/products", self._products),
            ("GET", "/api/chargers", self._chargers),
            ("GET", _CHARGER, self._charger),
            ("GET", f"{_CHARGER}/site", self._charger_site),
            ("GET", f"{_CHARGER}/config", self._charger_config),
            ("GET", f"{_CHARGER}/state", gone),
            ("GET", f"{_CHARGER}/sessions/ongoing", self._ongoing_session),
            ("GET", f"{_CHARGER}/sessions/latest", self._latest_session),
            ("POST", f"{_CHARGER}/settings", self._change_settings),
            ("POST", f"{_CHARGER}/commands/set_dynamic_charger_current", self._charger_current),
            ("POST", f"{_CHARGER}/commands/{{command}}", self._command),
            ("GET", "/api/commands/{device}/{command:int}/{ticks:int}", self._ticket),
            ("GET", "/api/sites", self._sites),
            ("GET", "/api/sites/{site}", self._site),
            ("GET", "/api/sites/{site}/state", gone),
            ("GET", f"{_CIRCUIT}/settings", self._circuit_settings),
            ("GET", f"{_CIRCUIT}/dynamicCurrent", self._circuit_current),
            ("POST", f"{_CIRCUIT}/dynamicCurrent", self._set_circuit_current),
            ("GET", _OBSERVATIONS, self._observations),
        ]
        return [
            Route(path, self._guarded(f"{method} {path}", handler), methods=[method])
            for method, path, handler in table
        ]

    def _guarded(self, endpoint: str, handler: Handler) -> Handler:
        """The handler behind everything that all calls share: counts, faults, token, limit."""

        async def answer(request: Request) -> Response:
            self.calls[endpoint] += 1
            if endpoint == _READ:
                self._moments.reached("asked")
            try:
                response = await self._suffer(endpoint)
                if response is None and endpoint not in (_LOGIN, _REFRESH):
                    self._admit(endpoint, request)
                response = response or await handler(request)
                if endpoint == _PUSH and self._moments.reached("taken"):
                    response = await self._suffer(endpoint) or response
            except ValidationError as error:
                response = invalid(error).response()
            except Problem as problem:
                response = problem.response()
            response = spoilt(response, self._faults.api_body)
            response.headers["date"] = format_datetime(self._now(), usegmt=True)
            response.background = BackgroundTask(self._note_sent, endpoint)
            return response

        return answer

    async def _note_sent(self, endpoint: str) -> None:
        """An answer has been sent; a coroutine, for else it would run in a thread, and later."""
        if endpoint == _PUSH:
            self._moments.reached("pushed")
        elif endpoint == _READ:
            self._moments.was_read("observations")

    def _now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._faults.api_clock_ahead_s)

    async def _suffer(self, endpoint: str) -> Response | None:
        """Wait and fail as the faults say; an answer in place of the API's own, if any."""
        await asyncio.sleep(self._faults.api_delay_s)
        if self._faults.api_body == "html":
            return notice()
        status = self._faults.api_status
        if status is None or (endpoint == _LOGIN and status not in (403, 429)):
            return None
        wait_s = self._faults.api_retry_after_s if status == 429 else None
        raise Problem(status, "A fault of the simulation.", retry_after_s=wait_s)

    def _admit(self, endpoint: str, request: Request) -> None:
        """Check token, rate limit and whose charger, site and circuit are asked for."""
        now_s = time.monotonic()
        token = self.tokens.check(request.headers.get("authorization"), now_s)
        limit = _LIMITS.get(endpoint)
        if limit is not None and self.spec.rate_limits:
            self._limiter.check(endpoint, token, limit, now_s)
        asked, spec = request.path_params, self.spec
        known = (spec.charger_id, spec.second_charger_id)
        if asked.get("charger", spec.charger_id) not in known:
            raise Problem(404, "There is no such charger.", code=(400, "ChargerNotFound"))
        if asked.get("site", str(spec.site_id)) != str(spec.site_id):
            raise Problem(404, "There is no such site.")
        if asked.get("circuit", str(spec.circuit_id)) != str(spec.circuit_id):
            raise Problem(404, "The site has no such circuit.")

    def _seen(self) -> dict[int, Value]:
        """What the charger has reported, by observation id."""
        known = self._store.visible(self._now())
        return {id_: observation.value for id_, observation in known.items()}

    def _follow_session(self, now: datetime) -> None:
        car, visit = self._plant.car, self._session
        if car.plugged_in and (visit is None or visit.ended_at is not None):
            number = visit.id + 1 if visit else 1
            self._session = visit = Session(number, now, None, 0.0)
        if visit is not None and visit.ended_at is None:
            visit.energy_kwh = car.energy_kwh
            visit.ended_at = None if car.plugged_in else now

    def _execute(self, commands: Iterable[Command]) -> list[Ticket]:
        """Give a ticket for each command, and let it happen unless commands are ignored."""
        self.writes += 1
        ignored, plant = self._faults.commands_ignored, self._plant
        done_s = None if ignored else plant.clock_s + plant.charger.spec.command_delay_s[1]
        tickets = []
        for command in commands:
            tickets.append(self._tickets.give(self.spec.charger_id, command.id, done_s))
            if not ignored:
                command.happen()
        return tickets

    def _plant_seconds(self, minutes: int) -> int | None:
        return minutes * 60 * self._speed if minutes else None

    async def _login(self, request: Request) -> Response:
        credentials = await _body(request, Credentials)
        return JSONResponse(self.tokens.login(credentials, time.monotonic()))

    async def _refresh(self, request: Request) -> Response:
        pair = await _body(request, TokenPair)
        return JSONResponse(self.tokens.refresh(pair, time.monotonic()))

    async def _profile(self, request: Request) -> Response:
        return JSONResponse(documents.profile(self.spec))

    async def _products(self, request: Request) -> Response:
        return JSONResponse([documents.site(self.spec, self._plant, detailed=True)])

    async def _chargers(self, request: Request) -> Response:
        return JSONResponse(documents.chargers(self.spec))

    async def _charger(self, request: Request) -> Response:
        return JSONResponse(documents.charger(self.spec, request.path_params["charger"]))

    async def _charger_site(self, request: Request) -> Response:
        return JSONResponse(documents.site(self.spec, self._plant, detailed=True))

    async def _charger_config(self, request: Request) -> Response:
        return JSONResponse(documents.charger_config(self._seen()))

    async def _ongoing_session(self, request: Request) -> Response:
        visit = self._session
        if visit is None or visit.ended_at is not None:
            raise Problem(404, "There is no ongoing session.")
        return JSONResponse(documents.session(self.spec, visit, self._now()))

    async def _latest_session(self, request: Request) -> Response:
        if self._session is None:
            raise Problem(404, "There has been no session.")
        return JSONResponse(documents.session(self.spec, self._session, self._now()))

    async def _sites(self, request: Request) -> Response:
        return JSONResponse([documents.site(self.spec, self._plant, detailed=False)])

    async def _site(self, request: Request) -> Response:
        detailed = request.query_params.get("detailed", "").lower() == "true"
        return JSONResponse(documents.site(self.spec, self._plant, detailed=detailed))

    async def _circuit_settings(self, request: Request) -> Response:
        return JSONResponse(documents.circuit_settings(self._seen()))

    async def _circuit_current(self, request: Request) -> Response:
        seen = self._seen()
        return JSONResponse({"phase1": seen[111], "phase2": seen[112], "phase3": seen[113]})

    async def _set_circuit_current(self, request: Request) -> Response:
        """Answered with 200 and nothing: this write has no ticket."""
        wanted = await _body(request, CircuitCurrent)
        self.writes += 1
        if not self._faults.commands_ignored:
            amps = (wanted.phase1, wanted.phase2, wanted.phase3)
            ttl_s = self._plant_seconds(wanted.time_to_live)
            self._plant.charger.command_circuit(self._plant.clock_s, amps, ttl_s)
        return Response()

    async def _charger_current(self, request: Request) -> Response:
        wanted = await _body(request, ChargerCurrent)
        plant, ttl_s = self._plant, self._plant_seconds(wanted.minutes)

        def happen() -> None:
            plant.charger.command_charger(plant.clock_s, wanted.amps, ttl_s)

        (ticket,) = self._execute([Command(SET_DYNAMIC_CHARGER_CURRENT, happen)])
        return JSONResponse(ticket.as_json(), 202)

    async def _command(self, request: Request) -> Response:
        (ticket,) = self._execute([named_command(self._plant, request.path_params["command"])])
        return JSONResponse(ticket.as_json(), 202)

    async def _change_settings(self, request: Request) -> Response:
        """Answered with a list of tickets, empty when everything is as wanted already."""
        commands = settings_commands(self._plant, await _body(request, ChargerSettings))
        self.flash_writes += len(commands)
        tickets = self._execute(commands)
        return JSONResponse([ticket.as_json() for ticket in tickets], 202)

    async def _ticket(self, request: Request) -> Response:
        asked = request.path_params
        ticket = self._tickets.find(asked["device"], asked["command"], asked["ticks"])
        return JSONResponse(ticket.state(self._plant.clock_s))

    async def _observations(self, request: Request) -> Response:
        known = self._store.visible(self._now())
        asked = _observation_ids(request.query_params.get("ids", ""))
        if request.path_params["charger"] != self.spec.charger_id:
            known = without_car(known)
        chosen = [seen for id_, seen in known.items() if not asked or id_ in asked]
        random.Random(len(chosen)).shuffle(chosen)
        return JSONResponse({"observations": [seen.as_json() for seen in chosen]})

    async def _gone(self, request: Request) -> Response:
        raise Problem(404, "This endpoint was switched off.")


def build_app(routes: Iterable[BaseRoute]) -> Starlette:
    """An app that answers unknown paths with a problem, and redirects nowhere."""

    async def refuse(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            return Problem(error.status_code).response()
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return Problem(500).response()

    handlers = {HTTPException: refuse, Exception: refuse}
    app = Starlette(routes=list(routes), exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


async def _body(request: Request, shape: type[Body]) -> Body:
    return shape.model_validate_json(await request.body())


def _observation_ids(text: str) -> frozenset[int]:
    """The ids of a comma-separated list; empty = all. Raises Problem 400 for unknown ones."""
    parts = [part.strip() for part in text.split(",")] if text else []
    unknown = [part for part in parts if not part.isascii() or not part.isdigit()]
    unknown += [part for part in parts if part not in unknown and int(part) not in KNOWN_IDS]
    if unknown:
        wrong = [f"The value '{part}' is not an observation id." for part in unknown]
        raise Problem(400, errors={"ids": wrong})
    return frozenset(int(part) for part in parts)
