"""One request to a source of prices or forecasts, with a bounded answer and clear errors."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from easee_load_balancer.devices.sanitize import plain
from easee_load_balancer.errors import ForecastError
from easee_load_balancer.system.http import UnusableAnswer, bounded_content, tls

_TIMEOUT = httpx.Timeout(15.0, connect=6.0)
_MEANINGS = {
    400: "does not understand the request",
    401: "refuses the token",
    403: "refuses access",
    404: "has no such data",
    422: "does not understand the request",
    429: "got too many requests",
}


class _NoAddresses(logging.Filter):
    """Drops the log lines that name the whole address of a request: it may hold a token."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log the record."""
        return not record.getMessage().startswith("HTTP Request: GET")


logging.getLogger("httpx").addFilter(_NoAddresses())


@dataclass(frozen=True, slots=True)
class Source:
    """A web service: its name in messages, and where it is."""

    name: str
    base_url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def title(self) -> str:
        """The name, and the host if known, without what may be secret in the address."""
        host = urlsplit(self.base_url).hostname
        return f"{self.name} ({plain(host)})" if host else self.name

    async def get(self, path: str = "", params: Mapping[str, str] | None = None) -> bytes:
        """The body of the answer; nothing for "no content". Raises ForecastError."""
        headers = {"Accept-Encoding": "identity", **self.headers}
        try:
            async with (
                httpx.AsyncClient(timeout=_TIMEOUT, verify=tls(), follow_redirects=False) as client,
                client.stream(
                    "GET", f"{self.base_url}{path}", params=params, headers=headers
                ) as response,
            ):
                if response.status_code == httpx.codes.NO_CONTENT:
                    return b""
                if response.status_code != httpx.codes.OK:
                    raise self.error(_meaning(response.status_code))
                return await bounded_content(response)
        except httpx.TimeoutException:
            raise self.error("did not answer in time") from None
        except UnusableAnswer as unusable:
            raise self.error(f"sent {unusable}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self.error(f"cannot be reached: {type(error).__name__}") from None

    async def get_json(self, path: str = "", params: Mapping[str, str] | None = None) -> Any:
        """The answer as JSON; None for "no content". Raises ForecastError."""
        content = await self.get(path, params)
        return self.parsed(content) if content else None

    def parsed(self, content: bytes) -> Any:
        """The JSON. Raises ForecastError."""
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise self.error("sent no JSON") from None

    def error(self, what: str) -> ForecastError:
        """What the source did wrong."""
        return ForecastError(f"{self.title} {what}.")


def _meaning(status: int) -> str:
    if status >= 500:
        return f"has an outage (status {status})"
    return f"{_MEANINGS.get(status, 'answers otherwise than expected')} (status {status})"
