"""The CSRF token that Prefect's server wants with each change."""

from __future__ import annotations

import asyncio

import httpx
from prefect.client.base import PrefectHttpxAsyncClient
from prefect.client.orchestration import PrefectClient


def share_token(client: PrefectClient) -> None:
    """Let requests that start together ask for their token once.

    As Prefect's client comes, each asks for its own, which voids those before; who sent a void one
    waits for seconds. This wraps a method of the client that is no promised interface.
    """
    http = client._client
    assert isinstance(http, PrefectHttpxAsyncClient)
    add_token, in_turn = http._add_csrf_headers, asyncio.Lock()

    async def add_shared_token(request: httpx.Request) -> None:
        async with in_turn:
            await add_token(request)

    http._add_csrf_headers = add_shared_token  # type: ignore[method-assign]
