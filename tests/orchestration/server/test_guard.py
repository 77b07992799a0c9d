"""What the server answers to its own pages and programs, and to pages of other web sites."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from prefect import get_client
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from websockets import InvalidStatus, Subprotocol, connect

from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from easee_load_balancer.orchestration.server.guard import Guard
from easee_load_balancer.system.processes import HOST, free_port
from easee_load_balancer.system.settings import Settings
from tests.support.browser import browser, missing

SOCKETS = ("events/in", "events/out", "logs/out", "task_runs/subscriptions/scheduled")
LINK = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FRAME = LINK | {"Sec-Fetch-Dest": "iframe"}
FOREIGN: dict[str, Mapping[str, str]] = {
    "other site": {"Origin": "https://evil.example"},
    "other port": {"Origin": "http://127.0.0.1:1"},
    "sandbox or file": {"Origin": "null"},
    "extension": {"Origin": "chrome-extension://abcdefgh"},
    "own name as user": {"Origin": "http://127.0.0.1:{port}@evil.example"},
    "longer name": {"Origin": "http://127.0.0.1.evil.example:{port}"},
    "DNS rebinding": {"Host": "evil.example:{port}", "Origin": "http://evil.example:{port}"},
    "DNS rebinding, GET": {"Host": "evil.example:{port}", "Sec-Fetch-Site": "same-origin"},
    "image": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    "image of another port": {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    "frame": {"Sec-Fetch-Site": "cross-site"} | FRAME,
    "form": {"Sec-Fetch-Site": "cross-site"} | LINK,
}
OWN: dict[str, Mapping[str, str]] = {
    "program": {},
    "UI": {"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"},
    "UI on localhost": {"Origin": "http://localhost:{port}", "Sec-Fetch-Site": "cross-site"},
    "UI through a tunnel": {"Host": "localhost:8080", "Origin": "http://localhost:8080"},
    "UI on IPv6": {"Host": "[::1]:{port}", "Origin": "http://[::1]:{port}"},
    "UI, GET": {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
    "address typed": {"Sec-Fetch-Site": "none"} | LINK,
}


def headers(given: Mapping[str, str], stack: PrefectStack) -> dict[str, str]:
    return {name: value.format(port=stack.port) for name, value in given.items()}


@pytest.mark.parametrize("case", FOREIGN)
def test_requests_of_foreign_pages_are_refused(case: str, stack: PrefectStack) -> None:
    sent = headers(FOREIGN[case], stack)
    answer = httpx.post(f"{stack.api_url}/flows/filter", content=b"{}", headers=sent)
    assert (answer.status_code, answer.text[:8]) == (403, "Refused:")


@pytest.mark.parametrize("case", OWN)
def test_requests_of_own_pages_and_programs_are_answered(case: str, stack: PrefectStack) -> None:
    sent = headers(OWN[case], stack)
    answer = httpx.post(f"{stack.api_url}/flows/filter", content=b"{}", headers=sent)
    assert answer.status_code == 200


def test_a_link_on_another_site_opens_the_ui_but_not_in_a_frame(stack: PrefectStack) -> None:
    cross = {"Sec-Fetch-Site": "cross-site"}
    opened = httpx.get(stack.ui_url, headers=cross | LINK, follow_redirects=True)
    assert opened.status_code == 200
    assert httpx.get(stack.ui_url, headers=cross | FRAME).status_code == 403


@pytest.mark.parametrize("what", SOCKETS)
async def test_web_sockets_open_for_own_pages_and_programs_only(
    what: str, stack: PrefectStack
) -> None:
    async def opens(given: Mapping[str, str]) -> bool:
        sent = headers(given, stack)
        url = f"{stack.api_url.replace('http', 'ws', 1)}/{what}"
        try:
            async with connect(
                url, additional_headers=sent, subprotocols=[Subprotocol("prefect")]
            ) as socket:
                await socket.send(json.dumps({"type": "auth", "token": None}))
                return "auth_success" in str(await socket.recv())
        except InvalidStatus as refused:
            return refused.response.status_code != 403

    for case, given in FOREIGN.items():
        if "Origin" in given and "Host" not in given:  # `connect` would send a second Host
            assert not await opens(given), case
    for case in ("program", "UI", "UI on localhost"):
        assert await opens(OWN[case]), case


PAGE = """<script>
async function attack(api, flow_id) {
  const read = await fetch(`${api}/flows/filter`, {method: 'POST', body: '{}'}).then(
    answer => answer.text(), () => 'blocked');
  const step = {'prefect.deployments.steps.run_shell_script': {script: 'id > /tmp/owned'}};
  const deployment = {name: 'owned', flow_id, pull_steps: [step]};
  await fetch(`${api}/deployments/`, {
    method: 'POST', mode: 'no-cors', body: new Blob([JSON.stringify(deployment)])}).catch(() => 0);
  const socket = await new Promise(resolve => {
    const socket = new WebSocket(`${api.replace('http', 'ws')}/events/out`, ['prefect']);
    socket.onopen = () => socket.send(JSON.stringify({type: 'auth', token: null}));
    socket.onmessage = message => resolve(message.data);
    socket.onerror = () => resolve('blocked');
  });
  window.result = {read, socket};
}
</script>"""


@asynccontextmanager
async def other_site() -> AsyncIterator[int]:
    """A web server on another port, with a page that attacks; its port."""
    port = free_port()
    app = Starlette(routes=[Route("/", lambda _: HTMLResponse(PAGE))])
    server = uvicorn.Server(uvicorn.Config(app, host=HOST, port=port, log_level="critical"))
    task = asyncio.create_task(server.serve())
    try:
        yield port
    finally:
        server.should_exit = True
        await task


@pytest.mark.skipif(missing() is not None, reason=missing() or "")
@pytest.mark.parametrize("name", ["evil.example", "localhost"])
async def test_a_page_of_another_site_in_chromium_can_do_nothing(
    name: str, stack: PrefectStack, tmp_path: Path
) -> None:
    async with get_client() as client:
        flow_id = await client.create_flow_from_name("balance")

        async def deployed() -> list[str]:
            return [one.name for one in await client.read_deployments()]

        def attack(port: int) -> dict[str, str]:
            with browser(tmp_path, "--host-resolver-rules=MAP *.example 127.0.0.1") as window:
                window.open(f"http://{name}:{port}/")
                window.run(f"attack({stack.api_url!r}, {str(flow_id)!r})")
                result: dict[str, str] = window.wait_for("return window.result")
                return result

        async with other_site() as port:
            result = await asyncio.to_thread(attack, port)
        assert result == {"read": "blocked", "socket": "blocked"}
        assert "owned" not in await deployed()


@pytest.mark.skipif(missing() is not None, reason=missing() or "")
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_both_uis_work(name: str, stack: PrefectStack, tmp_path: Path) -> None:
    async with get_client() as client:
        await client.create_flow_from_name("a flow to show")

    def show() -> None:
        with browser(tmp_path) as window:
            for ui in ("", "v2/"):
                window.open(f"http://{name}:{stack.port}/{ui}flows")
                window.wait_for("return document.body.innerText.includes('a flow to show')")

    await asyncio.to_thread(show)


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("homeserver.lan:4200", "http://homeserver.lan:4200", 200),
        ("HomeServer.lan:4200", "http://homeserver.lan:4200", 200),
        ("balancer.lan", "https://balancer.lan", 200),
        ("homeserver.lan:4200", "http://homeserver.lan", 403),
        ("homeserver.lan.evil.example:4200", "http://homeserver.lan:4200", 403),
        ("homeserver.lan:4200 ", "http://evil.example", 403),
    ],
)
async def test_names_of_the_server_are_a_setting(
    host: str, origin: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASEE_BALANCER_SERVER_NAMES", "homeserver.lan, Balancer.lan")
    guard = Guard(PlainTextResponse("hello"), 4200, Settings().names)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(guard)) as client:
        sent = {"Host": host, "Origin": origin}
        answer = await client.get("http://homeserver.lan:4200/", headers=sent)
    assert answer.status_code == status
