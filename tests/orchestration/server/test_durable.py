"""What a person saves is on the disk before the answer; runs do not wait for the disk."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from prefect.server.database.dependencies import temporary_database_config
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, temporary_settings
from starlette.types import Message, Receive, Scope, Send

from easee_load_balancer.orchestration.server.durable import Durable

CASES = {
    "a block is saved": ("POST", "/api/block_documents/", True),
    "a block is changed": ("PATCH", "/api/block_documents/1234", True),
    "a block is deleted": ("DELETE", "/api/block_documents/1234", True),
    "a summary is published": ("POST", "/api/artifacts/", True),
    "a schedule is paused": ("PATCH", "/api/deployments/1234/schedules/5678", True),
    "an automation is saved": ("PUT", "/api/automations/1234", True),
    "a variable is saved": ("POST", "/api/variables/", True),
    "blocks are read": ("POST", "/api/block_documents/filter", False),
    "a block is read": ("GET", "/api/block_documents/1234", False),
    "a run changes its state": ("POST", "/api/flow_runs/1234/set_state", False),
    "a run is logged": ("POST", "/api/logs/", False),
    "the worker asks for runs": ("POST", "/api/deployments/get_scheduled_flow_runs", False),
}


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 201, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(("method", "path", "waits"), CASES.values(), ids=CASES)
def test_waits_for_the_disk(
    method: str, path: str, waits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "prefect.db-wal"
    log.write_bytes(b"frames")
    events: list[str] = []

    def fsync(file: int) -> None:
        assert os.path.samestat(os.fstat(file), log.stat())
        events.append("on the disk")

    async def send(message: Message) -> None:
        events.append(message["type"])

    async def receive() -> Message:
        return {"type": "http.request"}

    monkeypatch.setattr(os, "fsync", fsync)
    url = f"sqlite+aiosqlite:///{tmp_path}/prefect.db"
    database = {PREFECT_API_DATABASE_CONNECTION_URL: url}
    with temporary_settings(database), temporary_database_config(None):
        scope = {"type": "http", "method": method, "path": path}
        asyncio.run(Durable(_answer)(scope, receive, send))
    answer = ["http.response.start", "http.response.body"]
    assert events == (["on the disk", *answer] if waits else answer)
