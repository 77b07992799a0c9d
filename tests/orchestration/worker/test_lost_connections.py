"""A client goes on after many of its requests were given up at once."""

from __future__ import annotations

import asyncio

from prefect.client.orchestration import PrefectClient

from easee_load_balancer.orchestration.worker.lost_connections import without_limit
from tests.support.given_up import give_up
from tests.support.waiting import LONGEST_S

AT_ONCE = 20


async def test_a_client_goes_on_after_many_requests_were_given_up_at_once(
    client: PrefectClient,
) -> None:
    without_limit(client)
    await give_up(client.hello, AT_ONCE)
    async with asyncio.timeout(LONGEST_S):
        assert (await client.hello()).is_success
