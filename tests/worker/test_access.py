"""Who reaches the server: this machine alone, with the password, and no page of another site."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from websockets import ConnectionClosedError, Subprotocol, connect

from easee_load_balancer.processes import PrefectStack
from easee_load_balancer.worker.tokens import share_token
from tests.pages import token_of_a_page
from tests.worker.conftest import AUTH
from tests.worker.helpers import deployed, ended, working

LOGIN = httpx.BasicAuth(*AUTH.split(":"))
QUESTIONS = ("block_documents", "flow_runs", "logs", "artifacts", "deployments", "variables")


@pytest.fixture
def page(client: PrefectClient, stack: PrefectStack) -> dict[str, str]:
    """What a page of the Prefect UI sends with each question."""
    return token_of_a_page(stack.api_url, LOGIN)


def listening_on(port: int) -> set[str]:
    """Addresses on which somebody listens on that port, as in /proc/net/tcp."""
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    ends = [local.rsplit(":", 1) for _, local, _, state, *_ in lines if state == "0A"]
    return {address for address, number in ends if int(number, 16) == port}


@pytest.mark.usefixtures("client")
def test_the_server_listens_on_loopback_alone(stack: PrefectStack) -> None:
    assert listening_on(stack.port) == {"0100007F"}


@pytest.mark.parametrize("what", QUESTIONS)
def test_without_the_password_nothing_is_told(
    what: str, stack: PrefectStack, page: dict[str, str]
) -> None:
    url = f"{stack.api_url}/{what}/filter"
    for auth, status in ((None, 401), (httpx.BasicAuth("owner", "guess"), 401), (LOGIN, 200)):
        assert httpx.post(url, json={}, headers=page, auth=auth).status_code == status
    assert httpx.get(f"{stack.api_url}/csrf-token?client=a+page").status_code == 401


def test_a_page_of_another_site_is_told_nothing(stack: PrefectStack, page: dict[str, str]) -> None:
    token = f"{stack.api_url}/csrf-token?client=another"
    blocks = f"{stack.api_url}/block_documents/filter"
    for origin, allowed in (
        (stack.ui_url, True),
        (f"http://localhost:{stack.port}", True),
        ("https://evil.example", False),
        (f"http://evil.example:{stack.port}", False),
        ("null", False),
    ):
        headers = page | {"Origin": origin}
        for answer in (
            httpx.post(blocks, json={}, headers=headers, auth=LOGIN),
            httpx.get(token, headers=headers, auth=LOGIN),
        ):
            assert answer.is_success
            assert ("access-control-allow-origin" in answer.headers) is allowed, origin


BLIND = ("flows/bulk_delete", "deployments/bulk_delete", "flow_runs/bulk_delete")
"""What deletes without a body, so that a browser sends it for any page, without asking first."""


async def test_a_page_of_another_site_deletes_nothing(
    client: PrefectClient, stack: PrefectStack
) -> None:
    flow_id = await client.create_flow_from_name("kept")
    headers = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
    # with the password, as if none were asked for
    async with httpx.AsyncClient(base_url=stack.api_url, headers=headers, auth=LOGIN) as browser:
        for what in BLIND:
            assert (await browser.post(what)).status_code == 403, what
    assert (await client.read_flow(flow_id)).name == "kept"


async def test_requests_that_start_together_share_a_token(client: PrefectClient) -> None:
    async with get_client() as fresh:
        share_token(fresh)
        began_s = time.monotonic()
        await asyncio.gather(*(fresh.read_flows(limit=1) for _ in range(20)))
    assert time.monotonic() - began_s < 2  # whose token was voided waits longer


async def test_runs_that_start_together_wait_for_no_token(client: PrefectClient) -> None:
    deployment = await deployed(client, "together", "good")
    runs = [await client.create_flow_run_from_deployment(deployment) for _ in range(6)]
    async with working("together"):
        for run in runs:
            await ended(client, run)
    done = [await client.read_flow_run(run.id) for run in runs]
    ends = [run.end_time for run in done if run.end_time is not None]
    assert len(ends) == 6
    assert max(ends) - min(ends) < timedelta(seconds=2)


SOCKETS = ("events/in", "events/out", "logs/out", "task_runs/subscriptions/scheduled")


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("what", SOCKETS)
async def test_web_sockets_want_the_password(what: str, stack: PrefectStack) -> None:
    async def answer(token: str | None) -> str:
        url = f"{stack.api_url.replace('http', 'ws', 1)}/{what}"
        async with connect(url, subprotocols=[Subprotocol("prefect")]) as socket:
            await socket.send(json.dumps({"type": "auth", "token": token}))
            return str(await socket.recv())

    for guess in (None, "owner:guess"):
        with pytest.raises(ConnectionClosedError, match="1008"):
            await answer(guess)
    assert "auth_success" in await answer(AUTH)


async def test_a_worker_writes_no_core_file(client: PrefectClient) -> None:
    async with working("nothing to do") as worker, asyncio.timeout(30):
        while not worker.is_setup:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
