"""The simulated Easee cloud: the REST API for one account with one site."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from easee_load_balancer.simulation.easee import documents
from easee_load_balancer.simulation.easee.auth import (
    Credentials,
    Limit,
    RateLimiter,
    TokenIssuer,
    TokenPair,
)
from easee_load_balancer.simulation.easee.commands import read_body
from easee_load_balancer.simulation.easee.corrupt_responses import corrupted, interposed_page
from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.simulation.easee.observations import (
    KNOWN_IDS,
    Value,
    as_json,
    cloud_copy,
    observe,
    without_car,
)
from easee_load_balancer.simulation.easee.problems import Problem, invalid
from easee_load_balancer.simulation.easee.push_hub import PushHub
from easee_load_balancer.simulation.easee.sessions import Sessions
from easee_load_balancer.simulation.easee.writes import (
    CHARGER,
    CIRCUIT,
    COMMANDS,
    SET_CIRCUIT_CURRENT,
    Handler,
    Writes,
)
from easee_load_balancer.simulation.fault_triggers import FaultTriggers
from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.plant.cloud_lag import Reported
from easee_load_balancer.simulation.plant.other_chargers import ChargingPoint
from easee_load_balancer.simulation.plant.plant import Plant

logger = logging.getLogger(__name__)

_LOGIN = "POST /api/accounts/login"
_REFRESH = "POST /api/accounts/refresh_token"
_OBSERVATIONS = "/state/{charger}/observations"
_READ = f"GET {_OBSERVATIONS}"

_HOUR_S = 3600.0
_LIMITS = {
    "GET /api/chargers": Limit(2),
    _READ: Limit(60),
    f"POST {CHARGER}/settings": Limit(20),
    f"POST {CIRCUIT}/settings": Limit(20),
    f"GET {CHARGER}/sessions/ongoing": Limit(10, _HOUR_S),
    f"GET {CHARGER}/sessions/latest": Limit(10, _HOUR_S),
}


class SimulatedCloud:
    """The API's state. Call `observe()` after the plant has moved on."""

    def __init__(
        self, plant: Plant, spec: CloudSpec, faults: Faults, triggers: FaultTriggers, speed: int = 1
    ) -> None:
        self.spec = spec
        self.calls: Counter[str] = Counter()
        """Calls by method and route, e.g. `GET /api/chargers/{charger}/site`."""
        self.tokens = TokenIssuer(
            (spec.user_name, spec.password), spec.token_lifetime_s, blocks=spec.rate_limits
        )
        self._plant = plant
        self._faults = faults
        self._triggers = triggers
        self._points: dict[str, ChargingPoint] = {spec.charger_id: plant}
        for number, other in enumerate(plant.others):
            self._points[documents.other_id(number)] = other
        self._copies = {
            id_: cloud_copy(point, spec.cloud_delay_s, self._now(), spec.equalizer_id)
            for id_, point in self._points.items()
        }
        self._writes = Writes(plant, spec, self._points, faults, speed or 1)
        self._sessions = {id_: Sessions() for id_ in self._points}
        self._limiter = RateLimiter()
        self.hub = PushHub(self.tokens.check, self._pushed, faults)
        self.observe()

    @property
    def writes(self) -> int:
        """Accepted commands, with or without effect."""
        return self._writes.count

    def observe(self) -> None:
        """Let the charger report changes."""
        if self._faults.observations_stopped:
            return
        now = self._now()
        for id_, point in self._points.items():
            seen = observe(point, self.spec.equalizer_id)
            self._copies[id_].update(seen, point.clock_s, now)
            self._sessions[id_].note(point, now)
        self.hub.notify()

    def counts(self) -> dict[str, Any]:
        """Calls, logins, refreshes and writes so far."""
        return {
            "calls": dict(self.calls),
            "logins": self.tokens.logins,
            "refreshes": self.tokens.refreshes,
            "writes": self.writes,
        }

    def routes(self) -> list[BaseRoute]:
        """API and push stream; charger state and site state were switched off and answer 404."""
        gone = self._gone
        table: list[tuple[str, str, Handler]] = [
            ("POST", "/api/accounts/login", self._login),
            ("POST", "/api/accounts/refresh_token", self._refresh),
            ("GET", "/api/chargers", self._chargers),
            ("GET", CHARGER, self._charger),
            ("GET", f"{CHARGER}/site", self._charger_site),
            ("GET", f"{CHARGER}/config", self._charger_config),
            ("GET", f"{CHARGER}/state", gone),
            ("GET", f"{CHARGER}/sessions/ongoing", self._ongoing_session),
            ("GET", f"{CHARGER}/sessions/latest", self._latest_session),
            ("GET", "/api/accounts/products", self._products),
            ("GET", "/api/sites", self._sites),
            ("GET", "/api/sites/{site}", self._site),
            ("GET", "/api/sites/{site}/state", gone),
            ("GET", f"{CIRCUIT}/settings", self._circuit_settings),
            ("GET", _OBSERVATIONS, self._observations),
            *self._writes.routes(),
        ]
        api = [
            Route(path, self._guarded(f"{method} {path}", handler), methods=[method])
            for method, path, handler in table
        ]
        return [*api, *self.hub.routes()]

    def _guarded(self, endpoint: str, handler: Handler) -> Handler:
        """The handler behind what all calls share: counts, faults, token, rate limit."""

        async def answer(request: Request) -> Response:
            """The handler's answer, or that of a fault, a missing token or a limit."""
            self.calls[endpoint] += 1
            if endpoint == _READ:
                self._triggers.fire("asked")
            try:
                response = await self._apply_faults(endpoint)
                if response is None and endpoint not in (_LOGIN, _REFRESH):
                    self._admit(endpoint, request)
                response = response or await handler(request)
                if endpoint == SET_CIRCUIT_CURRENT and self._triggers.fire("taken"):
                    response = await self._apply_faults(endpoint) or response
            except ValidationError as error:
                response = invalid(error).response()
            except Problem as problem:
                response = problem.response()
            response = corrupted(response, self._faults.api_body)
            response.headers["date"] = format_datetime(self._now(), usegmt=True)
            taken = getattr(request.state, "taken", ())
            response.background = BackgroundTask(self._note_sent, endpoint, taken)
            return response

        return answer

    async def _note_sent(self, endpoint: str, taken: Iterable[tuple[str, int, int]]) -> None:
        """An answer has been sent. A plain function would run in a thread, and later.

        The chargers confirm the commands that they have `taken` a moment later.
        """
        if endpoint == SET_CIRCUIT_CURRENT:
            self._triggers.fire("pushed")
        elif endpoint == _READ:
            self._triggers.note_read("observations")
        if taken:
            await asyncio.sleep(self.spec.cloud_delay_s / 2)
        for charger_id, command, ticks in taken:
            await self.hub.answer_command(charger_id, command, ticks)

    def _now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._faults.api_clock_ahead_s)

    async def _apply_faults(self, endpoint: str) -> Response | None:
        """Delay or fail as the faults say; returns an answer that replaces the API's own."""
        await asyncio.sleep(self._faults.api_delay_s)
        if self._faults.api_body == "html":
            return interposed_page()
        if self._faults.api_command_status and endpoint in COMMANDS:
            raise _refused_command(self._faults.api_command_status)
        status = self._faults.api_status
        if status is None or (endpoint == _LOGIN and status not in (403, 429)):
            return None
        wait_s = self._faults.api_retry_after_s if status == 429 else None
        raise Problem(status, "A fault of the simulation.", retry_after_s=wait_s)

    def _admit(self, endpoint: str, request: Request) -> None:
        """Check token, rate limit, and the ids of charger, site and circuit."""
        now_s = time.monotonic()
        token = self.tokens.check(request.headers.get("authorization"), now_s)
        limit = _LIMITS.get(endpoint)
        if limit is not None and self.spec.rate_limits:
            self._limiter.check(endpoint, token, limit, now_s)
        asked, spec = request.path_params, self.spec
        known = documents.circuits(spec, self._plant)
        chargers = {id_ for ids in known.values() for id_ in ids}
        if asked.get("charger", spec.charger_id) not in chargers:
            raise Problem(404, "There is no such charger.", code=(400, "ChargerNotFound"))
        if asked.get("site", str(spec.site_id)) != str(spec.site_id):
            raise Problem(404, "There is no such site.")
        if asked.get("circuit", str(spec.circuit_id)) not in map(str, known):
            raise Problem(404, "The site has no such circuit.")

    def _seen(self, charger_id: str) -> dict[int, Value]:
        """What the charger has reported, by observation id."""
        copy = self._copies.get(charger_id) or self._copies[self.spec.charger_id]
        return {id_: seen.value for id_, seen in copy.shown(self._now()).items()}

    async def _login(self, request: Request) -> Response:
        credentials = await read_body(request, Credentials)
        return JSONResponse(self.tokens.login(credentials, time.monotonic()))

    async def _refresh(self, request: Request) -> Response:
        pair = await read_body(request, TokenPair)
        return JSONResponse(self.tokens.refresh(pair, time.monotonic()))

    async def _chargers(self, request: Request) -> Response:
        return JSONResponse(documents.chargers(self.spec, self._plant))

    async def _charger(self, request: Request) -> Response:
        return JSONResponse(documents.charger(self.spec, request.path_params["charger"]))

    async def _charger_site(self, request: Request) -> Response:
        return JSONResponse(documents.site(self.spec, self._plant, detailed=True))

    async def _charger_config(self, request: Request) -> Response:
        return JSONResponse(documents.charger_config(self._seen(request.path_params["charger"])))

    async def _sites(self, request: Request) -> Response:
        return JSONResponse([documents.site(self.spec, self._plant, detailed=False)])

    async def _site(self, request: Request) -> Response:
        detailed = request.query_params.get("detailed", "").lower() == "true"
        return JSONResponse(documents.site(self.spec, self._plant, detailed=detailed))

    async def _products(self, request: Request) -> Response:
        return JSONResponse([documents.site(self.spec, self._plant, detailed=True)])

    async def _circuit_settings(self, request: Request) -> Response:
        circuit_id = int(request.path_params["circuit"])
        first = documents.chargers_with_cars(self.spec, self._plant, circuit_id)[0]
        return JSONResponse(documents.circuit_settings(self._seen(first)))

    async def _ongoing_session(self, request: Request) -> Response:
        return _found(self._sessions_of(request).ongoing)

    async def _latest_session(self, request: Request) -> Response:
        return _found(self._sessions_of(request).latest)

    def _sessions_of(self, request: Request) -> Sessions:
        """Those of the charger; one that never has a car has none."""
        return self._sessions.get(request.path_params["charger"], Sessions())

    async def _observations(self, request: Request) -> Response:
        known = self._reported(request.path_params["charger"])
        asked = _observation_ids(request.query_params.get("ids", ""))
        chosen = [as_json(id_, seen) for id_, seen in known.items() if not asked or id_ in asked]
        random.Random(len(chosen)).shuffle(chosen)
        return JSONResponse({"observations": chosen})

    def _reported(self, charger_id: str) -> dict[int, Reported]:
        """What that charger has reported, with times by its own clock."""
        copy = self._copies.get(charger_id)
        if copy is None:
            known = without_car(self._copies[self.spec.charger_id].shown(self._now()))
        else:
            known = dict(copy.shown(self._now()))
        ahead = timedelta(seconds=self._faults.charger_clock_ahead_s)
        return {
            id_: replace(seen, observed_at=seen.observed_at + ahead) for id_, seen in known.items()
        }

    def _pushed(self, charger_id: str) -> dict[int, Reported]:
        """The same for subscribers; nothing for a charger of another account."""
        ours = (*self._points, self.spec.second_charger_id)
        return self._reported(charger_id) if charger_id in ours else {}

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


def _found(document: dict[str, Any] | None) -> Response:
    if document is None:
        raise Problem(404, "There is no such session.")
    return JSONResponse(document)


def _refused_command(status: int) -> Problem:
    if status == 403:
        return Problem(403)
    return Problem(400, "[Empty in production]", code=(410, "ChargerDisconnected"))


def _observation_ids(text: str) -> frozenset[int]:
    """The ids of a comma-separated list; empty = all. Raises Problem 400 for unknown ones."""
    parts = [part.strip() for part in text.split(",")] if text else []
    unknown = [part for part in parts if not part.isascii() or not part.isdigit()]
    unknown += [part for part in parts if part not in unknown and int(part) not in KNOWN_IDS]
    if unknown:
        wrong = [f"The value '{part}' is not an observation id." for part in unknown]
        raise Problem(400, errors={"ids": wrong})
    return frozenset(int(part) for part in parts)
