"""The Easee cloud API: a client with login, timeouts and rate limits.

Endpoints and error codes follow the vendor's public API documentation.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr, TypeAdapter

from easee_load_balancer.devices.easee.answers import BadRequest, parsed
from easee_load_balancer.devices.easee.login import Login
from easee_load_balancer.devices.easee.models import (
    Account,
    AccountCharger,
    ChargerAddress,
    EaseeSite,
    Observation,
    Observations,
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
    raise_if_throttled,
    too_soon,
)
from easee_load_balancer.devices.easee.transport import Answer, Method, Transport
from easee_load_balancer.errors import ChargerUnreachable, NotPermitted
from easee_load_balancer.measurements import ChargerState, Setpoint

_SUCCESSES = (httpx.codes.OK, httpx.codes.ACCEPTED, httpx.codes.NO_CONTENT)
_ASK_AGAIN_AFTER = timedelta(days=1)
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
        self._budget_s = budget_s
        self._login = Login(
            account,
            folder,
            lambda endpoint, path, body: self._send(endpoint, "POST", path, body=body),
        )
        self._unknown_since: dict[int, datetime] = {}
        """Observations that the cloud does not know."""
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

        `closely`: call as often without a car as with one.
        `near_fuse`: do not rely on pushed values.
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
        """The observations of these ids, without those that the cloud does not know.

        One such id makes it refuse them all; it is asked for again after a day.
        """
        path, wanted = f"/state/{address.charger_id}/observations", set(ids)
        while True:
            asked = wanted - self._unknown_ids()
            params = {"ids": ",".join(str(number) for number in sorted(asked))}
            try:
                answer = await self._call("GET", path, "observations", params=params)
            except BadRequest as error:
                unknown = asked & error.named
                if not unknown or unknown == asked:
                    raise
                self._unknown_since |= dict.fromkeys(unknown, datetime.now(UTC))
                logger.warning(
                    "%s does not know the observations %s: these values are unknown.",
                    self._cloud,
                    ", ".join(map(str, sorted(unknown))),
                )
            else:
                observed = self._parse(TypeAdapter(Observations), answer, "observations")
                return list(observed.by_our_clock(self._ahead))

    def _unknown_ids(self) -> set[int]:
        now = datetime.now(UTC)
        return {id_ for id_, at in self._unknown_since.items() if now - at < _ASK_AGAIN_AFTER}

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
                    token = await self._login.token(refused=token)
                    raise_if_throttled(self._login.session, endpoint, self.account, urgent=urgent)
                    answer = await self._send(endpoint, method, path, token, params, body)
                    if answer.status != httpx.codes.UNAUTHORIZED:
                        break
                if answer.status not in _SUCCESSES:
                    raise await self._login.record_failure(endpoint, answer)
                await self._login.record_success(endpoint)
                return answer.content
        except TimeoutError as error:
            raise ChargerUnreachable(f"{self._cloud} did not answer in time.") from error

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

    def _parse(self, model: TypeAdapter[_Model], content: bytes, endpoint: Endpoint) -> _Model:
        return parsed(model, content, endpoint, self._cloud)

    @property
    def _cloud(self) -> str:
        return cloud_of(self.account)


def _minutes(time_to_live: timedelta) -> int:
    return max(1, round(time_to_live.total_seconds() / 60))
