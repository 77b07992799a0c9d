"""The Easee cloud API: one client with the session, the time-outs and the manners.

Endpoints and error codes follow the vendor's public API documentation.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx
from pydantic import SecretStr, TypeAdapter, ValidationError

from easee_load_balancer.devices.easee.models import (
    CHARGER_ID,
    CONTROL_IDS,
    OBSERVATION_IDS,
    Account,
    Charger,
    ChargerAddress,
    ChargerConfig,
    Controls,
    Observation,
    Observations,
    Problem,
    Site,
    Token,
    charger_state,
    controls,
)
from easee_load_balancer.devices.easee.rate_limits import (
    Endpoint,
    clock_ahead,
    cloud_of,
    note_refusal,
    refrain,
    too_soon,
    turned_away,
)
from easee_load_balancer.devices.easee.token_store import Session, SessionFile, Tokens
from easee_load_balancer.devices.sanitize import plain
from easee_load_balancer.errors import (
    ChargerError,
    ChargerUnknown,
    ChargerUnreachable,
    InvalidAnswer,
)
from easee_load_balancer.measurements import ChargerState, Setpoint

_LARGEST_ANSWER = 1_000_000
_LONGEST_TOKEN_S = 7 * 24 * 3600.0

logger = logging.getLogger(__name__)

_Method = Literal["GET", "POST"]
_Model = TypeVar("_Model")


class Easee:
    """A logged-in client; its session survives in `folder` for the next process.

    A call takes `budget_s` at most, with logging in and all.
    Every method raises a ChargerError: ChargerUnreachable, ChargerUnknown, BadCredentials,
    RateLimited, Blocked or InvalidAnswer.
    """

    def __init__(self, account: Account, folder: Path, budget_s: float = 10.0) -> None:
        self.account = account
        self.calls: Counter[str] = Counter()
        """How often the cloud was asked, successful or not; who stores that may subtract it."""
        self._last: dict[str, ChargerState] = {}
        self._folder = folder
        self._budget_s = budget_s
        self._file = SessionFile(folder, account)
        self._session = Session()
        self._unsaved = False
        self._ahead = timedelta()
        """How far our clock is ahead of the cloud's."""
        self._http = httpx.AsyncClient(
            base_url=account.base_url,
            timeout=httpx.Timeout(0.8 * budget_s, connect=0.4 * budget_s),
            follow_redirects=False,
            verify=_tls(),
        )

    async def close(self) -> None:
        """Close the connections; the session stays on disk."""
        await self._http.aclose()

    async def chargers(self) -> tuple[Charger, ...]:
        """All chargers of the account (at most 2 calls a minute)."""
        answer = await self._call("GET", "/api/chargers", "chargers")
        return self._parse(TypeAdapter(tuple[Charger, ...]), answer, "chargers")

    async def site_of(self, charger_id: str) -> Site:
        """The site with the circuits, one of which holds the charger."""
        answer = await self._call("GET", f"/api/chargers/{_known(charger_id)}/site", "site")
        return self._parse(TypeAdapter(Site), answer, "site")

    async def config(self, charger_id: str) -> ChargerConfig:
        """The charger's settings."""
        answer = await self._call("GET", f"/api/chargers/{_known(charger_id)}/config", "config")
        return self._parse(TypeAdapter(ChargerConfig), answer, "config")

    async def state(self, charger: ChargerAddress) -> ChargerState:
        """The charger's state from one observations call, each value with its own time."""
        observed = await self._observe(charger, OBSERVATION_IDS.values())
        return charger_state(observed, datetime.now(UTC))

    async def state_and_controls(self, charger: ChargerAddress) -> tuple[ChargerState, Controls]:
        """The charger's state, and who else decides over it, from one observations call."""
        observed = await self._observe(charger, (*OBSERVATION_IDS.values(), *CONTROL_IDS.values()))
        return charger_state(observed, datetime.now(UTC)), controls(observed)

    async def recent_state(self, charger: ChargerAddress) -> ChargerState:
        """The charger's state, the last one again where it is too soon to ask the cloud."""
        last = self._last.get(charger.charger_id)
        if last is None or not too_soon(last, datetime.now(UTC)):
            last = self._last[charger.charger_id] = await self.state(charger)
        return last

    async def set_circuit_current(
        self, charger: ChargerAddress, setpoint: Setpoint, time_to_live: timedelta
    ) -> None:
        """Set the circuit's dynamic current (volatile: no flash wear); accepted is not yet done."""
        l1, l2, l3 = setpoint.circuit_current_a
        answer = await self._call(
            "POST",
            f"/api/sites/{charger.site_id}/circuits/{charger.circuit_id}/dynamicCurrent",
            "dynamicCurrent",
            body={
                "phase1": l1,
                "phase2": l2,
                "phase3": l3,
                "timeToLive": max(1, round(time_to_live.total_seconds() / 60)),
            },
        )
        if answer.strip():  # a page of something in between is no acceptance
            self._parse(TypeAdapter(Any), answer, "dynamicCurrent")

    async def _observe(self, address: ChargerAddress, ids: Iterable[int]) -> list[Observation]:
        asked = {"ids": ",".join(str(number) for number in sorted(ids))}
        path = f"/state/{address.charger_id}/observations"
        answer = await self._call("GET", path, "observations", params=asked)
        observed = self._parse(TypeAdapter(Observations), answer, "observations")
        return list(observed.by_our_clock(self._ahead))

    async def _call(
        self,
        method: _Method,
        path: str,
        endpoint: Endpoint,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> bytes:
        """One API call within the time budget, with one more try after a 401."""
        try:
            async with asyncio.timeout(self._budget_s):
                return await self._call_with_token(method, path, endpoint, params, body)
        except TimeoutError as error:
            raise ChargerUnreachable(f"{self._cloud} did not answer in time.") from error

    async def _call_with_token(
        self,
        method: _Method,
        path: str,
        endpoint: Endpoint,
        params: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
    ) -> bytes:
        token = await self._token()
        refrain(self._session, endpoint, self.account)
        answer = await self._send(endpoint, method, path, token, params, body)
        if answer.status == httpx.codes.UNAUTHORIZED:
            token = await self._token(refused=token)
            answer = await self._send(endpoint, method, path, token, params, body)
        if answer.status not in (httpx.codes.OK, httpx.codes.ACCEPTED, httpx.codes.NO_CONTENT):
            await self._remember_refusal(endpoint, answer)
            raise self._error(endpoint, answer)
        if self._session.blocked_s or self._session.refused_s:
            async with self._change() as session:
                session.blocked_s, session.blocked_until = 0.0, None
                session.refused_s = 0.0
        return answer.content

    async def _send(
        self,
        endpoint: Endpoint,
        method: _Method,
        path: str,
        token: SecretStr | None = None,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> _Answer:
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        content = bytearray()
        self.calls[endpoint] += 1
        try:
            async with self._http.stream(
                method, path, headers=headers, params=params, json=body
            ) as response:
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > _LARGEST_ANSWER:
                        raise InvalidAnswer(f"{self._cloud} sent an endless answer to {path}.")
        except httpx.TimeoutException as error:
            raise ChargerUnreachable(f"{self._cloud} did not answer in time.") from error
        except httpx.DecodingError as error:
            raise InvalidAnswer(f"{self._cloud} sent an answer that is garbled.") from error
        except httpx.HTTPError as error:
            raise ChargerUnreachable(
                f"{self._cloud} cannot be reached ({type(error).__name__}): is the internet "
                "connection up?"
            ) from error
        self._ahead = clock_ahead(response.headers)
        return _Answer(response.status_code, response.headers, bytes(content))

    async def _token(self, refused: SecretStr | None = None) -> SecretStr:
        """A valid access token, other than the refused one; one log-in or refresh at a time."""
        token, fresh = self._session.usable(refused), self._session.tokens is None
        if token is not None:
            return token
        async with self._change() as session:
            token = session.usable(refused)  # another process may have been faster
            if token is None:
                await self._forgive(session)
                if fresh:
                    self._check_room(session)
                session.tokens = await self._refresh(session) or await self._log_in(session)
                token = session.tokens.access
        return token

    async def _forgive(self, session: Session) -> None:
        """Whoever saves the credentials after they were refused wants them tried once more."""
        if session.rejected_at is not None:
            saved_at = await self.account.saved_at()
            if saved_at is not None and saved_at > session.rejected_at:
                session.rejected_at = None

    async def _refresh(self, session: Session) -> Tokens | None:
        """New tokens, or None when the refresh token is not accepted: it is single-use."""
        if session.tokens is None:
            return None
        refrain(session, "refresh", self.account)
        body = {
            "accessToken": session.tokens.access.get_secret_value(),
            "refreshToken": session.tokens.refresh.get_secret_value(),
        }
        answer = await self._send("refresh", "POST", "/api/accounts/refresh_token", body=body)
        if answer.status == httpx.codes.OK:
            return self._tokens(answer.content, "refresh")
        if turned_away(answer.status):
            note_refusal(session, "refresh", answer.status, answer.headers)
            raise self._error("refresh", answer)
        return None

    async def _log_in(self, session: Session) -> Tokens:
        refrain(session, "login", self.account)
        body = {
            "userName": self.account.user_name,
            "password": self.account.password.get_secret_value(),
        }
        answer = await self._send("login", "POST", "/api/accounts/login", body=body)
        if answer.status == httpx.codes.OK:
            return self._tokens(answer.content, "login")
        if answer.status in (httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED):
            session.rejected_at = datetime.now(UTC)
            refrain(session, "login", self.account)
        note_refusal(session, "login", answer.status, answer.headers)
        raise self._error("login", answer)

    @asynccontextmanager
    async def _change(self) -> AsyncIterator[Session]:
        """The stored session, saved with what is changed in it, also when that ends in an error.

        Where it cannot be saved, this process goes on with what it has.
        """
        try:
            async with self._file.locked():
                if not self._unsaved:
                    self._session = self._file.load()
                session = self._session
                before = session.to_json()
                try:
                    yield session
                finally:
                    if self._unsaved or session.to_json() != before:
                        self._save(session)
        except OSError as error:
            raise ChargerError(
                f"The Easee session in {self._folder} cannot be used ({error.strerror}). "
                "Is the disk full, or the folder somebody else's?"
            ) from error

    def _check_room(self, session: Session) -> None:
        """Raise OSError where nothing can be saved: each process to come would log in as well."""
        self._session = Session()
        self._file.save(session)
        self._session = session

    def _save(self, session: Session) -> None:
        try:
            self._file.save(session)
        except OSError as error:
            self._unsaved = True
            logger.warning(
                "The Easee session in %s cannot be saved (%s): it ends with this process.",
                self._folder,
                error.strerror,
            )
        else:
            self._unsaved = False

    async def _remember_refusal(self, endpoint: Endpoint, answer: _Answer) -> None:
        async with self._change() as session:
            note_refusal(session, endpoint, answer.status, answer.headers)

    def _error(self, endpoint: Endpoint, answer: _Answer) -> ChargerError:
        """The error for an answer that is not a success."""
        if turned_away(answer.status):
            try:
                refrain(self._session, endpoint, self.account)
            except ChargerError as error:
                return error
        problem = _problem(answer.content)
        said = plain(f"{problem.title or ''} {problem.detail or ''}") or "no explanation"
        answers = f"{self._cloud} answers {answer.status} to '{endpoint}' ({said})."
        if answer.status == httpx.codes.NOT_FOUND:
            return ChargerUnknown(
                f"{answers} It does not know this charger, site or circuit: check the block "
                "'Easee charger'."
            )
        if answer.status >= httpx.codes.INTERNAL_SERVER_ERROR:
            return ChargerUnreachable(f"{answers} This usually passes within minutes.")
        return ChargerError(f"{answers} If this goes on, check the account in the Easee app.")

    def _tokens(self, content: bytes, endpoint: Endpoint) -> Tokens:
        token, now = self._parse(TypeAdapter(Token), content, endpoint), datetime.now(UTC)
        return Tokens(
            access=token.access_token,
            refresh=token.refresh_token,
            issued_at=now,
            expires_at=now + timedelta(seconds=min(token.expires_in, _LONGEST_TOKEN_S)),
        )

    def _parse(self, model: TypeAdapter[_Model], content: bytes, endpoint: Endpoint) -> _Model:
        try:
            return model.validate_json(content)
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in problem["loc"]) or "the whole answer"
            raise InvalidAnswer(
                f"{self._cloud} sent something unexpected to '{endpoint}' ({where}: "
                f"{problem['msg']}). Tried again at the next cycle."
            ) from None

    @property
    def _cloud(self) -> str:
        return cloud_of(self.account)


def _known(charger_id: str) -> str:
    """The id, as it is put into a path. Raises ChargerUnknown for what cannot be one."""
    if not re.fullmatch(CHARGER_ID, charger_id):
        raise ChargerUnknown(f"'{plain(charger_id)}' cannot be the id of a charger.")
    return charger_id


@cache
def _tls() -> ssl.SSLContext:
    """The trusted certificates, loaded once per process."""
    return httpx.create_ssl_context()


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: httpx.Headers
    content: bytes = field(repr=False)


def _problem(content: bytes) -> Problem:
    try:
        return Problem.model_validate_json(content)
    except ValidationError:
        return Problem()
