"""Access to the Prefect server: only from this machine, and with the password if there is one."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import httpx
import pytest
from prefect.client.orchestration import PrefectClient
from websockets import ConnectionClosedError, Subprotocol, connect

from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from tests.orchestration.worker.conftest import AUTH
from tests.support.waiting import until
from tests.support.worker import working

LOGIN = httpx.BasicAuth(*AUTH.split(":"))
RESOURCES = ("block_documents", "flow_runs", "logs", "artifacts", "deployments", "variables")


def listening_on(port: int) -> set[str]:
    """Addresses with a listener on that port, as in /proc/net/tcp."""
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    ends = [local.rsplit(":", 1) for _, local, _, state, *_ in lines if state == "0A"]
    return {address for address, number in ends if int(number, 16) == port}


@pytest.mark.usefixtures("client")
def test_the_server_listens_only_on_loopback(stack: PrefectStack) -> None:
    assert listening_on(stack.port) == {"0100007F"}


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("what", RESOURCES)
def test_requests_need_the_password(what: str, stack: PrefectStack) -> None:
    url = f"{stack.api_url}/{what}/filter"
    assert httpx.post(url, json={}).status_code == 401
    assert httpx.post(url, json={}, auth=("owner", "guess")).status_code == 401
    assert httpx.post(url, json={}, auth=LOGIN).status_code == 200


SOCKETS = ("events/in", "events/out", "logs/out", "task_runs/subscriptions/scheduled")


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("what", SOCKETS)
async def test_web_sockets_need_the_password(what: str, stack: PrefectStack) -> None:
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
    async with working("nothing to do") as worker:
        await until(lambda: worker.is_setup)
        assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
