"""Only this server's own pages and programs get an answer; pages of other web sites do not.

Prefect's server has no password by default, takes commands from any page that the browser shows,
also over web sockets, and serves any host name (DNS rebinding). Browsers name the page that sends a
request in `Origin` and `Sec-Fetch-Site`, and the host name that they looked up in `Host`:
https://fetch.spec.whatwg.org/#origin-header, https://www.w3.org/TR/fetch-metadata/.
Prefect's clients send neither of the first two.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>\d{1,5}))?")
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<host>.+)")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_POLICY_VIOLATION = 1008


class Guard:
    """An ASGI application in front of the server's."""

    def __init__(self, app: ASGIApp, port: int, names: Collection[str] = ()) -> None:
        """`port` is where the server listens, `names` are its host names besides loopback's."""
        self._app = app
        self._port = str(port)
        self._names = LOOPBACK_NAMES | {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it with 403."""
        reason = None if scope["type"] == "lifespan" else self._why_refused(scope)
        if reason is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": reason})
        else:
            await PlainTextResponse(reason + "\n", 403)(scope, receive, send)

    def _why_refused(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_own_name(hosts[0]):
            return (
                "Refused: this is not a known name of this server. Add it to "
                "EASEE_BALANCER_SERVER_NAMES where the server starts."
            )
        origins = headers.getlist("origin")
        if not all(self._is_own_page(origin, hosts[0]) for origin in origins):
            return "Refused: the request comes from a page of another web site."
        site = headers.get("sec-fetch-site", "none")
        if origins or site in ("same-origin", "none") or _is_link(scope, headers):
            return None
        return "Refused: the request comes from a page of another web site."

    def _is_own_name(self, host: str) -> bool:
        match = _HOST.fullmatch(host.lower())
        return match is not None and match["name"] in self._names

    def _is_own_page(self, origin: str, host: str) -> bool:
        """Whether the page has the address of the request, or another name of this server."""
        page = _ORIGIN.fullmatch(origin.lower())
        if page is None:  # also "null", which is what sandboxed pages and files send
            return False
        if page["host"] == host.lower():
            return True
        match = _HOST.fullmatch(page["host"])
        if match is None:
            return False
        port = match["port"] or _DEFAULT_PORTS[page["scheme"]]
        return match["name"] in self._names and port == self._port


def _is_link(scope: Scope, headers: Headers) -> bool:
    """Whether somebody followed a link to one of the server's pages in a window of its own."""
    wanted = (scope.get("method"), headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest"))
    return wanted == ("GET", "navigate", "document")
