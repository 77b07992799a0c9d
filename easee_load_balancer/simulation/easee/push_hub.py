"""The simulated push stream: a SignalR hub (JSON protocol) over a WebSocket.

Frames are made and read here by hand: a client's library would hide its own mistakes.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from easee_load_balancer.simulation.easee.observations import Value, as_json
from easee_load_balancer.simulation.easee.problems import Problem
from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.plant.cloud_lag import Reported

HUB = "/hubs/chargers"
NEGOTIATE = f"POST {HUB}/negotiate"
PING_S = 15.0
SILENT_S = 30.0
"""A client that sends nothing for this long, not even a ping, is disconnected."""
_END = "\x1e"
_PING, _CLOSE, _INVOCATION = 6, 7, 1
_LATE_FRAMES = 4
"""A frame out of order comes after at most this many others."""

Seen = Callable[[str], Mapping[int, Reported]]
CheckToken = Callable[[str | None, float], str]


@dataclass(slots=True)
class _Connection:
    socket: WebSocket
    faults: Faults
    sent: dict[tuple[str, int], Reported] = field(default_factory=dict)
    """The last value sent, by charger and observation."""
    chargers: list[str] = field(default_factory=list)
    held_back: list[str] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(1))

    async def send(self, frame: Mapping[str, Any] | str) -> None:
        """Send a frame, or what a fault makes of it."""
        text = frame if isinstance(frame, str) else json.dumps(frame)
        fault = self.faults.stream
        is_value = '"target"' in text
        if fault == "silent" or (fault == "mute" and is_value):
            return
        if fault == "disorder" and is_value:
            self.held_back += [text, text]
            self.chance.shuffle(self.held_back)
            if len(self.held_back) <= _LATE_FRAMES:
                return
            text = self.held_back.pop()
        elif self.held_back:
            held, self.held_back = self.held_back, []
            text = _END.join([*held, text])
        if fault == "garbage" and is_value:
            text = '{"type":1,"target":"ProductUpdate","arguments":[{"mid":'
        await self.socket.send_text(text + _END)


class PushHub:
    """Who is connected, and what they have been sent. `seen` returns a charger's values."""

    def __init__(self, check_token: CheckToken, seen: Seen, faults: Faults) -> None:
        self.negotiations = 0
        self.connections = 0
        """Accepted so far."""
        self._check_token = check_token
        self._seen = seen
        self._faults = faults
        self._permitted: set[str] = set()
        self._open: list[_Connection] = []
        self._news = asyncio.Event()

    @property
    def open(self) -> int:
        """Connections at this moment."""
        return len(self._open)

    def routes(self) -> list[BaseRoute]:
        """Negotiation and the socket."""
        return [
            Route(f"{HUB}/negotiate", self._negotiate, methods=["POST"]),
            WebSocketRoute(HUB, self._connect),
        ]

    def notify(self) -> None:
        """Values may have changed: send them."""
        self._news.set()

    async def answer_command(
        self, charger_id: str, command_id: int, ticks: int, *, accepted: bool = True
    ) -> None:
        """Tell all subscribers that a charger has answered a command."""
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        response = {
            "serialNumber": charger_id,
            "id": command_id,
            "timestamp": now,
            "deliveredAt": now,
            "wasAccepted": accepted,
            "resultCode": 0 if accepted else 1,
            "comment": None,
            "ticks": ticks,
        }
        for connection in list(self._open):
            if charger_id in connection.chargers:
                with suppress(WebSocketDisconnect, RuntimeError):
                    await connection.send(_invocation("CommandResponse", response))

    async def disconnect(self, *, said: bool = False) -> None:
        """End all connections; `said`: with a close frame of the hub before."""
        for connection in list(self._open):
            with suppress(WebSocketDisconnect, RuntimeError):
                if said:
                    await connection.send({"type": _CLOSE, "error": "Server is shutting down."})
                await connection.socket.close(1001)

    async def _negotiate(self, request: Request) -> Response:
        """Permit a connection. Before version 1 its id is the token that proves it."""
        self.negotiations += 1
        status = self._faults.stream_status
        try:
            if status is not None:
                wait_s = self._faults.api_retry_after_s if status == 429 else None
                raise Problem(status, "A fault of the simulation.", retry_after_s=wait_s)
            self._check_token(request.headers.get("authorization"), time.monotonic())
        except Problem as problem:
            return problem.response()
        token = secrets.token_urlsafe(16)
        self._permitted.add(token)
        answer: dict[str, Any] = {
            "availableTransports": [
                {"transport": "WebSockets", "transferFormats": ["Text", "Binary"]},
                {"transport": "LongPolling", "transferFormats": ["Text", "Binary"]},
            ],
        }
        if request.query_params.get("negotiateVersion", "0") == "0":
            answer |= {"negotiateVersion": 0, "connectionId": token}
        else:
            named = {"connectionId": secrets.token_urlsafe(16), "connectionToken": token}
            answer |= {"negotiateVersion": 1, **named}
        return JSONResponse(answer)

    async def _connect(self, socket: WebSocket) -> None:
        """One connection; its token works once."""
        token = socket.query_params.get("id", "")
        try:
            self._check_token(socket.headers.get("authorization"), time.monotonic())
            if token not in self._permitted:
                raise Problem(404, "There is no such connection.")
        except Problem as problem:
            await socket.send_denial_response(problem.response())
            return
        self._permitted.discard(token)
        await socket.accept()
        self.connections += 1
        connection = _Connection(socket, self._faults)
        self._open.append(connection)
        tasks = [
            asyncio.create_task(self._push(connection)),
            asyncio.create_task(_ping(connection)),
        ]
        try:
            await self._listen(connection)
        except (WebSocketDisconnect, RuntimeError):
            pass
        except TimeoutError:
            with suppress(WebSocketDisconnect, RuntimeError):
                await connection.send({"type": _CLOSE, "error": "The client was silent."})
                await socket.close()
        finally:
            self._open.remove(connection)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, connection: _Connection) -> None:
        """Answer what the client sends. Raises TimeoutError when it falls silent."""
        greeted = False
        while True:
            async with asyncio.timeout(SILENT_S):
                received = await connection.socket.receive_text()
            for text in _frames(received):
                frame = json.loads(text)
                if not greeted:
                    greeted = frame == {"protocol": "json", "version": 1}
                    await connection.send("{}" if greeted else '{"error":"unknown protocol"}')
                elif frame.get("target") == "SubscribeWithCurrentState":
                    await self._subscribe(connection, *frame["arguments"])

    async def _subscribe(self, connection: _Connection, charger_id: str, current: bool) -> None:
        """Acknowledge, and replay the current values in no particular order."""
        await connection.send(_invocation("SubscribeToMyProduct", charger_id))
        replay = list(self._seen(charger_id).items()) if current else []
        connection.chance.shuffle(replay)
        for id_, seen in replay:
            await self._send_value(connection, charger_id, id_, seen)
        connection.chargers.append(charger_id)

    async def _push(self, connection: _Connection) -> None:
        """Send what changes; values that are under way arrive by themselves."""
        while True:
            for charger_id in connection.chargers:
                for id_, seen in list(self._seen(charger_id).items()):
                    if connection.sent.get((charger_id, id_)) != seen:
                        await self._send_value(connection, charger_id, id_, seen)
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await self._news.wait()

    async def _send_value(
        self, connection: _Connection, charger_id: str, id_: int, seen: Reported
    ) -> None:
        connection.sent[charger_id, id_] = seen
        shown = as_json(id_, seen)
        update = {"mid": charger_id, **shown, "value": _text(shown["value"])}
        await connection.send(_invocation("ProductUpdate", update))


async def _ping(connection: _Connection) -> None:
    while True:
        await asyncio.sleep(PING_S)
        await connection.send({"type": _PING})


def _invocation(target: str, argument: Any) -> dict[str, Any]:
    return {"type": _INVOCATION, "target": target, "arguments": [argument]}


def _text(value: Value) -> str:
    """Values are pushed as text, booleans as 1 and 0."""
    return str(int(value) if isinstance(value, bool) else value)


def _frames(text: str) -> Iterator[str]:
    return (frame for frame in text.split(_END) if frame)
