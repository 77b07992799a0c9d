"""The Easee push stream: values and answers to commands within seconds instead of by polling.

The stream is undocumented and best effort: what it says is checked against calls
(`pushed_values`), and whatever goes wrong with it, values are polled as without it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from contextvars import Context
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import SecretStr, TypeAdapter, ValidationError
from pysignalr.exceptions import HubError
from pysignalr.messages import CloseMessage, InvocationMessage, Message
from pysignalr.protocol.json import JSONProtocol
from pysignalr.transport.websocket import WebsocketTransport
from websockets.exceptions import WebSocketException

from easee_load_balancer.devices.easee.client import EaseeClient
from easee_load_balancer.devices.easee.models import (
    Account,
    ChargerAddress,
    CommandResponse,
    Negotiation,
    Observation,
    Observations,
    PushedObservation,
)
from easee_load_balancer.devices.easee.observations import charger_state
from easee_load_balancer.devices.easee.pushed_values import (
    CHARGER_CURRENT,
    Moment,
    PushedValues,
)
from easee_load_balancer.errors import ChargerError, InvalidAnswer
from easee_load_balancer.measurements import ChargerState, Setpoint
from easee_load_balancer.system.http import tls
from easee_load_balancer.system.lasting_tasks import cancel

_HOSTS = dict.fromkeys(("api.easee.com", "api.easee.cloud"), "https://streams.easee.com")
_HUB = "/hubs/chargers"
_VALUES = ("ProductUpdate", "ChargerUpdate")
"""Both mean the same; the second is the older name."""
ALIVE_S = 20.0
"""The hub sends something at least every 15 s."""
_OPEN_S, _SILENT_S = 15.0, 45.0
"""A connection that does not open, or is silent for this long, is given up."""
FIRST_WAIT_S, MORE_WAIT_S, LONGEST_WAIT_S = 30.0, 30.0, 300.0
"""The vendor asks clients not to reconnect every few seconds."""
_PROVEN_S = 600.0
"""A connection that lasts this long ends growing waits."""
_WARN_AFTER_S, _WARN_EVERY_S, _NAME_EVERY_S = 900.0, 6 * 3600.0, 3600.0
_LARGEST_FRAME = 1_000_000
_BROKEN = (
    *(HubError, WebSocketException, OSError, RuntimeError, NotImplementedError),
    *(ValueError, TypeError, LookupError, AttributeError),
)
"""What pysignalr raises for lost connections and for frames that it cannot read."""
_COMMANDS = {22: "the circuit's current", 48: "the charger's current"}

logger = logging.getLogger(__name__)
# With DEBUG on, they would log headers, with the token.
logging.getLogger("pysignalr").setLevel(logging.CRITICAL)


class _Ended(Exception):
    """The connection has ended; why is the message."""


class StreamingClient(EaseeClient):
    """A client that holds the push stream of the chargers that it reads."""

    def __init__(self, account: Account, folder: Path, budget_s: float = 10.0) -> None:
        super().__init__(account, folder, budget_s)
        self.stream = PushStream(hub_url(account.base_url), self._negotiate)

    async def close(self) -> None:
        """End the stream and close the connections."""
        await self.stream.close()
        await super().close()

    async def recent_state(
        self, charger: ChargerAddress, *, closely: bool = False, near_fuse: bool = False
    ) -> ChargerState:
        """The charger's state as pushed, where that can be trusted; else from a call."""
        values, now = await self.stream.values_of(charger.charger_id), datetime.now(UTC)
        self.stream.name_others(charger.charger_id)
        if near_fuse or not self.stream.usable(values):
            check = self.stream.alive and values.replayed
            return await super().recent_state(charger, closely=closely or check)
        pushed = charger_state(values.newest(), now)
        self._last[charger.charger_id] = pushed
        return pushed

    async def set_circuit_current(
        self,
        charger: ChargerAddress,
        setpoint: Setpoint,
        time_to_live: timedelta,
        *,
        urgent: bool = False,
    ) -> None:
        """Set the circuit's dynamic current; the stream confirms it."""
        (await self.stream.values_of(charger.charger_id)).command_sent(_now())
        await super().set_circuit_current(charger, setpoint, time_to_live, urgent=urgent)

    async def set_charger_current(
        self,
        charger: ChargerAddress,
        current_a: int,
        time_to_live: timedelta,
        *,
        urgent: bool = False,
    ) -> None:
        """Set the charger's own dynamic current; the stream confirms it."""
        values = await self.stream.values_of(charger.charger_id)
        values.command_sent(_now(), CHARGER_CURRENT)
        await super().set_charger_current(charger, current_a, time_to_live, urgent=urgent)

    def leave(self, charger_id: str) -> None:
        """Another process looks after that charger: its commands are no other controller's."""
        super().leave(charger_id)
        self.stream.leave(charger_id)

    async def _observe(self, address: ChargerAddress, ids: Iterable[int]) -> list[Observation]:
        observed = await super()._observe(address, ids)
        self.stream.ahead = self._ahead
        self.stream.compare(address.charger_id, observed)
        return observed

    async def _negotiate(self) -> tuple[SecretStr, SecretStr]:
        """The address of one connection, and the access token for it. Raises ChargerError."""
        hub = hub_url(self.account.base_url)
        answer = await self._call("POST", f"{hub}/negotiate?negotiateVersion=1", "stream")
        negotiated = self._parse(TypeAdapter(Negotiation), answer, "stream")
        connection = negotiated.connection_token or negotiated.connection_id
        access = self._login.session.usable()
        if connection is None or access is None:
            raise InvalidAnswer(f"{self._cloud} did not permit a connection to its push stream.")
        address = f"ws{hub.removeprefix('http')}?id={quote(connection.get_secret_value())}"
        return SecretStr(address), access


class PushStream:
    """One connection to the hub, renewed for ever, and what it has delivered."""

    def __init__(
        self, hub: str, negotiate: Callable[[], Awaitable[tuple[SecretStr, SecretStr]]]
    ) -> None:
        self.ahead = timedelta()
        """How far our clock is ahead of the cloud's."""
        self._tls = hub.startswith("https://")
        self._negotiate = negotiate
        self._values: dict[str, PushedValues] = {}
        self.heard_of_others: dict[str, str] = {}
        """Commands of other controllers, to be named with the next reading of their charger: by
        then it is known whether another worker of the pool has sent them."""
        self._task: asyncio.Task[None] | None = None
        self._transport: WebsocketTransport | None = None
        self._limit: asyncio.Timeout | None = None
        self._opened_s: float | None = None
        self._heard_s = float("-inf")
        self._end_reason = ""
        self._log = _Log()

    @property
    def alive(self) -> bool:
        """Whether something was heard of the hub lately."""
        return monotonic() - self._heard_s <= ALIVE_S

    async def values_of(self, charger_id: str) -> PushedValues:
        """That charger's values; the first call for a charger subscribes to them."""
        known = self._values.get(charger_id)
        if known is not None:
            return known
        new = self._values[charger_id] = PushedValues()
        if self._task is None:
            # Without the context of the flow run in which it happens to begin.
            self._task = asyncio.create_task(self._run(), name="push stream", context=Context())
        elif self._transport is not None and self.alive:
            with suppress(WebSocketException, RuntimeError):  # the next connection subscribes
                await self._subscribe(self._transport, charger_id)
        return new

    def usable(self, values: PushedValues) -> bool:
        """Whether these values need no call."""
        return self.alive and values.usable(_now())

    def compare(self, charger_id: str, observed: Iterable[Observation]) -> None:
        """Compare a charger's values with those of a call; a stream that misses some ends."""
        values = self._values.get(charger_id)
        missed = values.compare(observed, _now()) if values else []
        if missed:
            self._end(f"it did not deliver {', '.join(missed)}")

    def name_others(self, charger_id: str) -> None:
        """Say that another controller has commanded this charger, if one has."""
        if charger_id in self.heard_of_others:
            self._log.hourly(self.heard_of_others.pop(charger_id))

    def leave(self, charger_id: str) -> None:
        """Ignore what is pushed of a charger, until its values are asked for again."""
        self._values.pop(charger_id, None)
        self.heard_of_others.pop(charger_id, None)

    async def close(self) -> None:
        """End the connection for good."""
        if self._task is not None:
            await cancel([self._task])

    async def _run(self) -> None:
        wait_s = FIRST_WAIT_S
        while True:
            why = await self._hold_connection()
            if self._proven:
                wait_s = FIRST_WAIT_S
            self._opened_s = None
            self._log.down(why)
            await asyncio.sleep(wait_s * random.uniform(1.0, 1.25))
            wait_s = min(wait_s + MORE_WAIT_S, LONGEST_WAIT_S)

    async def _hold_connection(self) -> str:
        """Hold one connection until it ends; returns why, without secrets."""
        try:
            address, access = await self._negotiate()
            self._transport = transport = self._new_transport(address, access)
            async with asyncio.timeout(_OPEN_S) as self._limit:
                await transport.run()
        except TimeoutError:
            return self._end_reason or "it was silent"
        except (ChargerError, _Ended) as end:
            return str(end)
        except _BROKEN as error:  # their messages may contain the address
            return type(error).__name__
        finally:
            self._transport = self._limit = None
            self._heard_s, self._end_reason = float("-inf"), ""
            for values in self._values.values():
                values.disconnected()
        return "it ended"

    def _new_transport(self, address: SecretStr, access: SecretStr) -> WebsocketTransport:
        """One attempt at one connection: waiting and negotiating again is ours."""
        transport = WebsocketTransport(
            url=address.get_secret_value(),
            protocol=JSONProtocol(),
            callback=self._on_message,
            headers={"Authorization": f"Bearer {access.get_secret_value()}"},
            skip_negotiation=True,
            retry_count=1,
            max_size=_LARGEST_FRAME,
            ssl=tls() if self._tls else None,
        )
        transport.on_open(self._on_open)
        transport.on_close(self._on_close)
        return transport

    async def _on_open(self) -> None:
        self._opened_s = monotonic()
        self._heard()
        if self._transport is not None:
            await self._subscribe(self._transport, *self._values)

    async def _on_close(self) -> None:
        raise _Ended("the connection was lost")

    async def _subscribe(self, transport: WebsocketTransport, *charger_ids: str) -> None:
        for charger_id in charger_ids:
            arguments = [charger_id, True]
            await transport.send(InvocationMessage(None, "SubscribeWithCurrentState", arguments))

    async def _on_message(self, message: Message) -> None:
        self._heard()
        if isinstance(message, CloseMessage):
            raise _Ended("the cloud closed it")
        if isinstance(message, InvocationMessage):
            for argument in message.arguments or ():
                self._take(message.target, argument)

    def _heard(self) -> None:
        self._heard_s = monotonic()
        if self._limit is not None and not self._end_reason:
            self._limit.reschedule(asyncio.get_running_loop().time() + _SILENT_S)
        if self._proven:
            self._log.up()

    def _take(self, target: str, argument: Any) -> None:
        """Take what was pushed; what is unknown, of other chargers or unreadable is ignored."""
        try:
            if target in _VALUES:
                pushed = PushedObservation.model_validate(argument)
                if pushed.mid in self._values:
                    (ours,) = Observations(observations=(pushed,)).by_our_clock(self.ahead)
                    self._values[pushed.mid].push(ours, _now())
            elif target == "CommandResponse":
                self._take_answer(CommandResponse.model_validate(argument))
        except ValidationError:
            return

    def _take_answer(self, response: CommandResponse) -> None:
        charger_id = response.serial_number
        values = self._values.get(charger_id)
        meaning = values.answer(response, _now()) if values else "confirmed"
        what = _COMMANDS.get(response.id, f"command {response.id}")
        if meaning == "foreign":
            sentence = f"Another controller has set {what} of charger {charger_id}."
            self.heard_of_others[charger_id] = sentence
        elif meaning == "refused":
            self._log.hourly(f"Charger {charger_id} has refused to set {what}.")

    def _end(self, why: str) -> None:
        """End the present connection; the next one begins after a wait."""
        if self._limit is not None and not self._end_reason:
            self._end_reason = why
            self._limit.reschedule(asyncio.get_running_loop().time())

    @property
    def _proven(self) -> bool:
        return self._opened_s is not None and monotonic() - self._opened_s >= _PROVEN_S


class _Log:
    """Says little, however often the stream comes and goes."""

    def __init__(self) -> None:
        self._down_since_s: float | None = None
        self._warned_s = float("-inf")
        self._said_s: dict[str, float] = {}

    def down(self, why: str) -> None:
        """There is no connection, or only short ones."""
        now_s = monotonic()
        if self._down_since_s is None:
            self._down_since_s = now_s
        lasting = now_s - self._down_since_s >= _WARN_AFTER_S
        if lasting and now_s - self._warned_s >= _WARN_EVERY_S:
            self._warned_s = now_s
            logger.warning(
                "No push stream from the Easee cloud for a while (%s). Values are polled instead.",
                why.rstrip("."),
            )

    def up(self) -> None:
        """The connection has lasted."""
        self._down_since_s = None

    def hourly(self, sentence: str) -> None:
        """Say it, unless it was said within the last hour."""
        if monotonic() - self._said_s.get(sentence, float("-inf")) >= _NAME_EVERY_S:
            self._said_s[sentence] = monotonic()
            logger.warning("%s", sentence)


def hub_url(base_url: str) -> str:
    """The address of the push stream that belongs to an API."""
    return _HOSTS.get(urlsplit(base_url).hostname or "", base_url) + _HUB


def _now() -> Moment:
    return Moment(datetime.now(UTC), monotonic())
