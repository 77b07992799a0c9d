"""One HTTP request to the Easee cloud; the answer is bounded, raw and unpacked."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
from pydantic import SecretStr

from easee_load_balancer.errors import ChargerUnreachable, InvalidAnswer
from easee_load_balancer.system.database_locks import UNACKNOWLEDGED_S
from easee_load_balancer.system.http import UnusableAnswer, bounded_content, tls

Method = Literal["GET", "POST"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and unpacked body."""

    status: int
    headers: httpx.Headers
    content: bytes = field(repr=False)


_OPTIONS = [(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * UNACKNOWLEDGED_S))]
"""What was given up is not delivered minutes later, when another worker is in charge."""
_NO_LIMIT = httpx.Limits(max_connections=None, max_keepalive_connections=20)
"""httpx loses a connection whose request is cancelled just as it gets it: a limit would be used up
over the years."""


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
            # not `transport`, which would ignore a proxy that is set in the environment
            mounts={
                "all://": httpx.AsyncHTTPTransport(
                    verify=tls(), limits=_NO_LIMIT, socket_options=_OPTIONS
                )
            },
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
                content = await bounded_content(response)
        except httpx.TimeoutException as error:
            raise ChargerUnreachable(f"{self._cloud} did not answer in time.") from error
        except UnusableAnswer as error:
            raise InvalidAnswer(f"{self._cloud} sent {error} to {path}.") from error
        except httpx.HTTPError as error:
            raise ChargerUnreachable(
                f"{self._cloud} cannot be reached ({type(error).__name__}). Check the internet "
                "connection."
            ) from error
        return Answer(response.status_code, response.headers, content)
