"""A client goes on after many of its requests were given up at once."""

from __future__ import annotations

import asyncio

from prefect.client.orchestration import PrefectClient

from easee_load_balancer.orchestration.worker.lost_connections import without_limit

AT_ONCE = 20
LONGEST_START = 30
"""Steps of the event loop; one of them is the moment in which a request gets its connection."""
ANSWERS_S = 60


async def test_a_client_goes_on_after_many_requests_were_given_up_at_once(
    client: PrefectClient,
) -> None:
    without_limit(client)
    for steps in range(LONGEST_START):
        requests = [asyncio.create_task(client.hello()) for _ in range(AT_ONCE)]
        for _ in range(steps):
            await asyncio.sleep(0)
        for request in requests:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)
    async with asyncio.timeout(ANSWERS_S):
        assert (await client.hello()).is_success
