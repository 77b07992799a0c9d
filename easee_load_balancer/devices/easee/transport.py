"""One HTTP request to the Easee cloud; the answer is bounded, raw and unpacked."""

from __future__ import annotations

import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import httpx
from pydantic import SecretStr

from easee_load_balancer.errors import ChargerUnreachable, InvalidAnswer

Method = Literal["GET", "POST"]

_LARGEST_ANSWER = 1_000_000
_GZIP = zlib.MAX_WBITS | 16


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and unpacked body."""

    status: int
    headers: httpx.Headers
    content: bytes = field(repr=False)


class Transport:
    """The connections to one cloud; `cloud` is its name in messages."""

    def __init__(self, base_url: str, cloud: str, budget_s: float) -> None:
        self._cloud = cloud
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={"Accept-Encoding": "identity"},
            timeout=httpx.Timeout(0.8 * budget_s, connect=0.4 * budget_s),
            follow_redirects=False,
            verify=tls(),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(
        self,
        method: Method,
        path: str,
        token: SecretStr | None = None,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Answer:
        """The answer, whatever its status. Raises ChargerUnreachable or InvalidAnswer."""
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        try:
            async with self._http.stream(
                method, path, headers=headers, params=params, json=body
            ) as response:
                content = await self._content(response, path)
        except httpx.TimeoutException as error:
            raise ChargerUnreachable(f"{self._cloud} did not answer in time.") from error
        except zlib.error as error:
            raise InvalidAnswer(f"{self._cloud} sent a garbled answer.") from error
        except httpx.HTTPError as error:
            raise ChargerUnreachable(
                f"{self._cloud} cannot be reached ({type(error).__name__}). Check the internet "
                "connection."
            ) from error
        return Answer(response.status_code, response.headers, content)

    async def _content(self, response: httpx.Response, path: str) -> bytes:
        """The body; gzip once at most, although the request asks for none."""
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip"):
            raise InvalidAnswer(f"{self._cloud} sent an answer in an unknown encoding to {path}.")
        unpack = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
        raw_size, content = 0, bytearray()
        async for chunk in response.aiter_raw():
            raw_size += len(chunk)
            room = _LARGEST_ANSWER + 1 - len(content)
            content += unpack.decompress(chunk, room) if unpack else chunk
            if max(raw_size, len(content)) > _LARGEST_ANSWER:
                raise InvalidAnswer(f"{self._cloud} sent an answer of more than 1 MB to {path}.")
        return bytes(content)


@cache
def tls() -> ssl.SSLContext:
    """The trusted certificates, loaded once per process."""
    return httpx.create_ssl_context()
