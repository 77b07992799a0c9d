"""The automations on a real server, with a webhook on this machine."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import uvicorn
import yaml
from prefect import flow, get_client
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.integrations.snapshot import Snapshot
from easee_load_balancer.measurements import ReasonForNoCurrent
from easee_load_balancer.orchestration.notifications import FOLDER, create_automations
from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from easee_load_balancer.system.processes import HOST, free_port
from tasks import alerts
from tasks.alerts import send_alerts
from tasks.run import Run
from tests.support.control_readings import NOW, charger
from tests.support.paths import PROJECT
from tests.support.snapshots import snapshot
from tests.support.waiting import LONGEST_S

SHORTEST_S = 10
"""Prefect accepts no shorter time for the absence of something."""


class Webhook:
    """What was sent to it, oldest first."""

    def __init__(self) -> None:
        self.port = free_port()
        self.told: list[dict[str, Any]] = []
        self._news = asyncio.Condition()

    async def take(self, request: Request) -> Response:
        async with self._news:
            self.told.append(await request.json())
            self._news.notify_all()
        return Response()

    def subjects(self) -> list[str]:
        return [one["subject"] for one in self.told]

    async def hears(self, subject: str, timeout_s: float = LONGEST_S) -> dict[str, Any]:
        """Wait for a message."""
        async with asyncio.timeout(timeout_s), self._news:
            await self._news.wait_for(lambda: subject in self.subjects())
        return self.told[self.subjects().index(subject)]


@pytest.fixture
async def webhook() -> AsyncIterator[Webhook]:
    hook = Webhook()
    app = Starlette(routes=[Route("/", hook.take, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, host=HOST, port=hook.port, log_level="critical"))
    task = asyncio.create_task(server.serve())
    try:
        yield hook
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def automations(stack: PrefectStack, webhook: Webhook, tmp_path: Path) -> Path:
    """The project's automations, as fast as they can be, sent to the webhook."""
    block = CustomWebhookNotificationBlock(
        name="phone",
        url=f"http://{HOST}:{webhook.port}/",
        json_data={"subject": "{{subject}}", "body": "{{body}}"},
    )
    await block.asave("phone", overwrite=True)
    folder = tmp_path / "automations"
    shutil.copytree(PROJECT / FOLDER, folder)
    file = folder / "balancing-fails.yaml"
    described = yaml.safe_load(file.read_text())
    described["trigger"]["within"] = SHORTEST_S
    file.write_text(yaml.safe_dump(described))
    names = await create_automations(folder, "custom-webhook/phone")
    assert names == [
        "Balancing fails",
        "Balancing works again",
        "Daily headline",
        "Limited by another controller",
        "Needs attention",
        "Not charging in spite of surplus",
    ]
    return folder


@flow(name="balance")
def a_cycle() -> None:
    """Stands for the real one: only its name and how it ends matter."""


@flow(name="daily_summary")
def a_summary() -> None:
    """Stands for the real one."""


async def ends(one: Any, state: State[None], *tags: str) -> None:
    """A run of the flow that ends so, as a worker would report it."""
    async with get_client() as client:
        run = await client.create_flow_run(one, tags=tags)
        await client.set_flow_run_state(run.id, state, force=True)


async def test_failure_recovery_and_the_headline_are_sent_once(
    automations: Path, webhook: Webhook
) -> None:
    await ends(a_cycle, Completed(message="9 A x 3"))
    failing = asyncio.create_task(every_second(lambda: Failed(message="no answer"), SHORTEST_S + 2))
    told = await webhook.hears("Balancing fails")
    assert "No cycle has worked since 20" in told["body"]
    # it goes on failing for longer than it takes to be told
    await failing
    await ends(a_cycle, Completed(name="Attention", message="7 A x 3: surplus 5.0 kW"))
    # and works for longer than all that follows may take
    working = asyncio.create_task(every_second(lambda: Completed(name="Asleep"), int(LONGEST_S)))
    told = await webhook.hears("Balancing works again")
    assert told["body"] == "7 A x 3: surplus 5.0 kW"
    await ends(a_summary, Completed(message="by hand"))
    await ends(a_summary, Completed(message="18.4 of the car's 20.1 kWh"), "auto-scheduled")
    told = await webhook.hears("Yesterday's solar charging")
    assert told["body"] == "18.4 of the car's 20.1 kWh"
    working.cancel()
    assert webhook.subjects() == [
        "Balancing fails",
        "Balancing works again",
        "Yesterday's solar charging",
    ]


async def every_second(state: Callable[[], State[None]], times: int) -> None:
    """Cycles that end so."""
    for _ in range(times):
        await ends(a_cycle, state())
        await asyncio.sleep(1)


WARNINGS: dict[str, tuple[Snapshot, str]] = {
    "Charging needs attention": (
        snapshot(
            decision=replace(snapshot().decision, attention="drawing too much"),
            reason="10 A x 3: drawing too much",
        ),
        "10 A x 3: drawing too much",
    ),
    "The car does not charge in spite of surplus": (
        snapshot(
            charger=charger(0),
            decision=replace(snapshot().decision, setpoint=None),
            reason="charger waits for its own schedule",
        ),
        "charger waits for its own schedule",
    ),
    "Another controller limits the car": (
        snapshot(charger=charger(8, reason_for_no_current=ReasonForNoCurrent.LIMITED_BY_EQUALIZER)),
        "The Equalizer allows 8 A: 10 A x 3: surplus 4.0 kW",
    ),
}


def tell_of_each_warning() -> None:
    """For a process of its own: events go where the first one of a process went."""
    run = Run(id=uuid4(), scheduled_at=NOW, started_at=NOW)
    for number, (cycle, _) in enumerate(WARNINGS.values()):
        for minutes in range(0, 20, 2):  # long enough for a report
            alerts._KNOWN.clear()  # each in a process of its own
            send_alerts(replace(cycle, at=NOW + timedelta(hours=number, minutes=minutes)), run)


async def test_each_warning_is_sent_once(
    stack: PrefectStack, automations: Path, webhook: Webhook, tmp_path: Path
) -> None:
    environment = {"PREFECT_API_URL": stack.api_url, "EASEE_BALANCER_DATA_FOLDER": str(tmp_path)}
    code = f"from {__name__} import tell_of_each_warning; tell_of_each_warning()"
    await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=os.environ | {"PYTHONPATH": ".:flows"} | environment,
        check=True,
    )
    for subject, (_, body) in WARNINGS.items():
        assert (await webhook.hears(subject))["body"] == body
    assert sorted(webhook.subjects()) == sorted(WARNINGS)


async def test_creating_automations_again_replaces_them(automations: Path) -> None:
    await create_automations(automations, "custom-webhook/phone")
    async with get_client() as client:
        names = [one.name for one in await client.read_automations()]
    assert len(names) == len(set(names)) == 6


async def test_an_unknown_block_is_an_error(stack: PrefectStack) -> None:
    with pytest.raises(ConfigurationError, match="no notification block 'slack-webhook/nobody'"):
        await create_automations(PROJECT / FOLDER, "slack-webhook/nobody")


async def test_a_folder_without_automations_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no automations"):
        await create_automations(tmp_path, "slack-webhook/family")
