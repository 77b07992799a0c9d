"""What a person or a summary saves is on the disk before the server says so.

SQLite writes to its log without waiting for the disk; Linux does so within half a minute. A power
cut may take the runs of that time along. For blocks, artifacts and deployments, half a
minute is too long.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from prefect.server.database import provide_database_interface
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KEPT = ("block_", "artifacts", "automations", "deployments", "variables")
"""First parts of the paths below /api/ whose changes are never lost."""
_NO_CHANGE = ("filter", "count", "get_scheduled_flow_runs", "latest")


class Durable:
    """An ASGI application that waits for the disk after changes that are never lost."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; the answer to a change waits for the disk."""

        async def after_sync(message: Message) -> None:
            if message["type"] == "http.response.start":
                await sync_log()
            await send(message)

        await self._app(scope, receive, after_sync if _is_kept(scope) else send)


def _is_kept(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
        return False
    path: str = scope["path"].removeprefix("/api/").rstrip("/")
    if scope["method"] == "PATCH" and path.startswith("artifacts"):
        return False  # a page that every cycle updates
    return path.startswith(_KEPT) and not path.endswith(_NO_CHANGE)


async def sync_log() -> None:
    """Wait until everything that SQLite has committed is on the disk."""
    engine = await provide_database_interface().engine()
    if engine.dialect.name == "sqlite" and engine.url.database:
        await asyncio.to_thread(_sync, Path(f"{engine.url.database}-wal"))


def _sync(path: Path) -> None:
    with suppress(FileNotFoundError):  # all of the log is in the database already
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
