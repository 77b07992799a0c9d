"""The Easee cloud API: a client with login, timeouts and rate limits.

Endpoints and error codes follow the vendor's public API documentation.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr, TypeAdapter, ValidationError

from easee_load_balancer.devices.easee.models import (
    Account,
    AccountCharger,
    ChargerAddress,
    EaseeSite,
    Observation,
    Observations,
    ProblemDetails,
    TokenAnswer,
    valid_charger_id,
)
from easee_load_balancer.devices.easee.observations import (
    CONTROL_IDS,
    OBSERVATION_IDS,
    Controls,
    charger_state,
    controls,
)
from easee_load_balancer.devices.easee.rate_limits import (
    Endpoint,
    clock_ahead,
    cloud_of,
    is_throttled,
    raise_if_throttled,
    record_refusal,
    too_soon,
)
from easee_load_balancer.devices.easee.token_store import (
    CLOUD,
    SavedSession,
    Tokens,
    TokenStore,
)
from easee_load_balancer.devices.easee.transport import Answer, Method, Transport
from easee_load_balancer.errors import (
    ChargerDisconnected,
    ChargerError,
    ChargerUnknown,
    ChargerUnreachable,
    InvalidAnswer,
    NotPermitted,
    problems,
)
from easee_load_balancer.measurements import ChargerState, Setpoint

_CHARGER_DISCONNECTED = 410
"""`errorCode` of a 400 (ChargerDisconnected)."""
logger = logging.getLogger(__name__)
_Model = TypeVar("_Model")


class EaseeClient:
    """A client of one account that logs in by itself; its session is saved in `folder`.

    A call takes at most `budget_s`, login included.
    Every method raises a ChargerError: ChargerUnreachable, ChargerUnknown, BadCredentials,
    RateLimited, Blocked, NotPermitted, ChargerDisconnected or InvalidAnswer.
    """

    def __init__(self, account: Account, folder: Path, budget_s: float = 10.0) -> None:
        self.account = account
        self.calls: Counter[str] = Counter()
        """Requests by endpoint, successful or not; subtract what has been stored."""
        self._last: dict[str, ChargerState] = {}
        self._folder = folder
        self._budget_s = budget_s
        self._file = TokenStore(folder, account)
        self._session = SavedSession()
        self._unsaved = False
        self._worked_at: dict[str, datetime] = {}
        """Last success by endpoint."""
        self._ahead = timedelta()
        """How far our clock is ahead of the cloud's."""
        self._transport = Transport(account.base_url, self._cloud, budget_s)

    async def close(self) -> None:
        """Close the connections; the session stays on disk."""
        await self._transport.close()

    async def chargers(self) -> tuple[AccountCharger, ...]:
        """All chargers of the account (at most 2 calls a minute)."""
        answer = await self._call("GET", "/api/chargers", "chargers")
        return self._parse(TypeAdapter(tuple[AccountCharger, ...]), answer, "chargers")

    async def site_of(self, charger_id: str) -> EaseeSite:
        """The charger's site with its circuits."""
        path = f"/api/chargers/{valid_charger_id(charger_id)}/site"
        answer = await self._call("GET", path, "site")
        return self._parse(TypeAdapter(EaseeSite), answer, "site")

    async def state(self, charger: ChargerAddress) -> ChargerState:
        """The charger's state from one observations call, each value with its own time."""
        observed = await self._observe(charger, OBSERVATION_IDS.values())
        return charger_state(observed, datetime.now(UTC))

    async def state_and_controls(self, charger: ChargerAddress) -> tuple[ChargerState, Controls]:
        """The charger's state, and what else controls it, from one observations call."""
        observed = await self._observe(charger, (*OBSERVATION_IDS.values(), *CONTROL_IDS.values()))
        return charger_state(observed, datetime.now(UTC)), controls(observed)

    async def recent_state(
        self, charger: ChargerAddress, *, closely: bool = False, near_fuse: bool = False
    ) -> ChargerState:
        """The charger's state; the last one again while it is too soon for another call.

        `closely`: call as often without a car as with one. `near_fuse`: pushed values do not do.
        """
        last = self._last.get(charger.charger_id)
        if last is None or not too_soon(last, datetime.now(UTC), closely=closely):
            last = self._last[charger.charger_id] = await self.state(charger)
        return last

    def leave(self, charger_id: str) -> None:
        """Another process looks after that charger: what is known of it grows old."""
        self._last.pop(charger_id, None)

    async def set_circuit_current(
        self,
        charger: ChargerAddress,
        setpoint: Setpoint,
        time_to_live: timedelta,
        *,
        urgent: bool = False,
    ) -> None:
        """Set the circuit's dynamic current (volatile: no flash wear).

        The call returns when the cloud has accepted it; observations show when it is done.
        `urgent`: do not wait longer than a minute after the login was refused.
        """
        await self._set_circuit(charger, setpoint.circuit_current_a, time_to_live, urgent=urgent)

    async def set_charger_current(
        self,
        charger: ChargerAddress,
        current_a: int,
        time_to_live: timedelta,
        *,
        urgent: bool = False,
    ) -> None:
        """Set the charger's own dynamic current: its share of a circuit; a plug-in resets it."""
        answer = await self._call(
            "POST",
            f"/api/chargers/{charger.charger_id}/commands/set_dynamic_charger_current",
            "dynamicChargerCurrent",
            body={"amps": current_a, "minutes": _minutes(time_to_live)},
            urgent=urgent,
        )
        self._check_accepted(answer, "dynamicChargerCurrent")

    async def may_command(
        self, charger: ChargerAddress, state: ChargerState, time_to_live: timedelta
    ) -> bool | None:
        """Whether this login's role allows commands; None where `state` is no help.

        The API does not say, so this sends the circuit's present current once more.
        """
        l1, l2, l3 = state.circuit_current_a
        if l1 is None or l2 is None or l3 is None:
            return None
        try:
            await self._set_circuit(charger, (l1, l2, l3), time_to_live)
        except NotPermitted:
            return False
        return True

    async def _set_circuit(
        self,
        charger: ChargerAddress,
        current_a: tuple[float, float, float],
        time_to_live: timedelta,
        *,
        urgent: bool = False,
    ) -> None:
        """Amperes for L1, L2, L3."""
        answer = await self._call(
            "POST",
            f"/api/sites/{charger.site_id}/circuits/{charger.circuit_id}/dynamicCurrent",
            "dynamicCurrent",
            body={
                **{f"phase{number}": amps for number, amps in enumerate(current_a, 1)},
                "timeToLive": _minutes(time_to_live),
            },
            urgent=urgent,
        )
        self._check_accepted(answer, "dynamicCurrent")

    def _check_accepted(self, answer: bytes, endpoint: Endpoint) -> None:
        if answer.strip():  # an HTML page from a proxy is no acceptance
            self._parse(TypeAdapter(Any), answer, endpoint)

    async def _observe(self, address: ChargerAddress, ids: Iterable[int]) -> list[Observation]:
        asked = {"ids": ",".join(str(number) for number in sorted(ids))}
        path = f"/state/{address.charger_id}/observations"
        answer = await self._call("GET", path, "observations", params=asked)
        observed = self._parse(TypeAdapter(Observations), answer, "observations")
        return list(observed.by_our_clock(self._ahead))

    async def _call(
        self,
        method: Method,
        path: str,
        endpoint: Endpoint,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        urgent: bool = False,
    ) -> bytes:
        """One API call within the time budget, with one more attempt after a 401."""
        try:
            async with asyncio.timeout(self._budget_s):
                token: SecretStr | None = None
                for _ in range(2):
                    token = await self._token(refused=token)
                    raise_if_throttled(self._session, endpoint, self.account, urgent=urgent)
                    answer = await self._send(endpoint, method, path, token, params, body)
                    if answer.status != httpx.codes.UNAUTHORIZED:
                        break
                await self._check(endpoint, answer)
                return answer.content
        except TimeoutError as error:
            raise ChargerUnreachable(f"{self._cloud} did not answer in time.") from error

    async def _check(self, endpoint: Endpoint, answer: Answer) -> None:
        """Record a refusal and raise its error; a success ends growing waits."""
        if answer.status not in (httpx.codes.OK, httpx.codes.ACCEPTED, httpx.codes.NO_CONTENT):
            async with self._change() as session:
                self._record_refusal(session, endpoint, answer)
            raise self._error(endpoint, answer)
        self._worked_at[endpoint] = datetime.now(UTC)
        if {endpoint, CLOUD} & self._session.refusals.keys():
            async with self._change() as session:
                session.accept(endpoint, CLOUD)

    def _record_refusal(self, session: SavedSession, endpoint: Endpoint, answer: Answer) -> None:
        record_refusal(session, endpoint, answer.status, answer.headers, self._worked_at)

    async def _send(
        self,
        endpoint: Endpoint,
        method: Method,
        path: str,
        token: SecretStr | None = None,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Answer:
        self.calls[endpoint] += 1
        answer = await self._transport.send(method, path, token, params, body)
        self._ahead = clock_ahead(answer.headers)
        return answer

    async def _token(self, refused: SecretStr | None = None) -> SecretStr:
        """A valid access token other than the refused one; one login or refresh at a time."""
        token = self._session.usable(refused)
        if token is not None:
            return token
        async with self._change() as session:
            token = session.usable(refused)  # another process may have been faster
            if token is None:
                await self._retry_credentials(session)
                session.tokens = await self._refresh(session) or await self._log_in(session)
                session.accept("login", "refresh")
                token = session.tokens.access
        return token

    async def _retry_credentials(self, session: SavedSession) -> None:
        """Try rejected credentials once more after a person has saved them again."""
        if session.rejected_at is not None:
            saved_at = await self.account.saved_at()
            if saved_at is not None and saved_at > session.rejected_at:
                session.rejected_at = None

    async def _refresh(self, session: SavedSession) -> Tokens | None:
        """New tokens, or None when the single-use refresh token is not accepted."""
        if session.tokens is None:
            return None
        raise_if_throttled(session, "refresh", self.account)
        body = {
            "accessToken": session.tokens.access.get_secret_value(),
            "refreshToken": session.tokens.refresh.get_secret_value(),
        }
        answer = await self._send("refresh", "POST", "/api/accounts/refresh_token", body=body)
        if answer.status == httpx.codes.OK:
            return self._tokens(answer.content, "refresh")
        if is_throttled(answer.status):
            self._record_refusal(session, "refresh", answer)
            raise self._error("refresh", answer)
        return None

    async def _log_in(self, session: SavedSession) -> Tokens:
        raise_if_throttled(session, "login", self.account)
        body = {
            "userName": self.account.user_name,
            "password": self.account.password.get_secret_value(),
        }
        answer = await self._send("login", "POST", "/api/accounts/login", body=body)
        if answer.status == httpx.codes.OK:
            return self._tokens(answer.content, "login")
        if answer.status in (httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED):
            session.rejected_at = datetime.now(UTC)
            raise_if_throttled(session, "login", self.account)
        self._record_refusal(session, "login", answer)
        raise self._error("login", answer)

    @asynccontextmanager
    async def _change(self) -> AsyncIterator[SavedSession]:
        """The session, saved after changes, also when the block ends in an error.

        Where it cannot be saved, this process continues with its copy in memory.
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
                "Check disk space and folder ownership."
            ) from error

    def _save(self, session: SavedSession) -> None:
        try:
            self._file.save(session)
        except OSError as error:
            self._unsaved = True
            logger.warning(
                "The Easee session in %s cannot be saved (%s); it is lost when this process ends.",
                self._folder,
                error.strerror,
            )
        else:
            self._unsaved = False

    def _error(self, endpoint: Endpoint, answer: Answer) -> ChargerError:
        """The error for an unsuccessful answer."""
        if is_throttled(answer.status):
            try:
                raise_if_throttled(self._session, endpoint, self.account)
            except ChargerError as error:
                return error
        problem = ProblemDetails.of(answer.content)
        if problem.error_code == _CHARGER_DISCONNECTED:
            return ChargerDisconnected(
                f"{self._cloud} did not carry out '{endpoint}': it has no connection to the "
                "charger, or no car is plugged in. The next cycle tries again."
            )
        answers = f"{self._cloud} answers {answer.status} to '{endpoint}' ({problem.said})."
        if answer.status == httpx.codes.NOT_FOUND:
            return ChargerUnknown(
                f"{answers} Unknown charger, site or circuit: check the block 'Easee charger'."
            )
        if answer.status >= httpx.codes.INTERNAL_SERVER_ERROR:
            return ChargerUnreachable(f"{answers} This usually passes within minutes.")
        return ChargerError(f"{answers} If this persists, check the account in the Easee app.")

    def _tokens(self, content: bytes, endpoint: Endpoint) -> Tokens:
        answer, now = self._parse(TypeAdapter(TokenAnswer), content, endpoint), datetime.now(UTC)
        return Tokens.of(answer, now)

    def _parse(self, model: TypeAdapter[_Model], content: bytes, endpoint: Endpoint) -> _Model:
        try:
            return model.validate_json(content)
        except ValidationError as error:
            raise InvalidAnswer(
                f"{self._cloud} sent an unexpected answer to '{endpoint}' ({problems(error)}). "
                "The next cycle tries again."
            ) from None

    @property
    def _cloud(self) -> str:
        return cloud_of(self.account)


def _minutes(time_to_live: timedelta) -> int:
    return max(1, round(time_to_live.total_seconds() / 60))
