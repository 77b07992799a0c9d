"""Pages under Artifacts that are updated in place, with one address for as long as they exist.

In a worker that outlives its cycles none waits for them: a task sends the newest page. In a process
that ends with its run, the run waits a second at most. What a server that is away misses is lost.
Prefect's own way creates a new version each time, and its client sends an event for each
update.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import UUID

import httpx
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from easee_load_balancer.system.lasting_tasks import LastingTasks

logger = logging.getLogger("prefect.pages")
"""Prefect shows its lines in the worker's log."""

FACTS = "facts"
"""The name of a page's facts in the artifact's metadata."""
_LONGEST_S = 1.0
"""How long a run waits that is the last of its process."""


class Page(NamedTuple):
    """A page and its description in the list of artifacts, both markdown."""

    text: str
    description: str
    facts: str = ""
    """What other programs read of it, at most 500 characters."""


class LivePages(LastingTasks):
    """The pages of this process by key."""

    def __init__(self) -> None:
        super().__init__()
        self._newest: dict[str, Page] = {}
        self._ids: dict[str, UUID] = {}
        self._sending: asyncio.Task[None] | None = None
        self._failing = False

    async def show(self, key: str, page: Page) -> None:
        """Show this page under the key: at once in a worker, within a second elsewhere."""
        self._newest[key] = page
        if not self.kept:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST_S):
                    await self._send()
        elif self._sending is None or self._sending.done():
            self._sending = self._start(self._send())

    def _take_all(self) -> list[asyncio.Task[None]]:
        return [] if self._sending is None else [self._sending]

    async def _send(self) -> None:
        while self._newest:
            key = next(iter(self._newest))  # the page that has waited longest
            page = self._newest.pop(key)
            try:
                async with get_client() as client:
                    await self.update(client, key, page)
                self._failing = False
            except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError while it connects
                if not self._failing:
                    logger.warning("The page %s is not updated: %r. Cycles go on.", key, error)
                self._failing = True

    async def update(self, client: PrefectClient, key: str, page: Page) -> None:
        """Show this page under the key now. Raises as the client does."""
        known = self._ids.get(key) or await _newest_id(client, key)
        change: dict[str, Any] = {"data": page.text, "description": page.description}
        if page.facts:
            change["metadata_"] = {FACTS: page.facts}
        if known is not None:
            self._ids[key] = known
            try:
                await client.request("PATCH", f"/artifacts/{known}", json=change)  # type: ignore[arg-type]
                return
            except httpx.HTTPStatusError as error:
                if error.response.status_code != httpx.codes.NOT_FOUND:
                    raise
        created = await client.create_artifact(ArtifactCreate(key=key, type="markdown", **change))
        self._ids[key] = created.id


async def _newest_id(client: PrefectClient, key: str) -> UUID | None:
    pages = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
    found = await client.read_artifacts(artifact_filter=pages, limit=1)
    return found[0].id if found else None


LIVE_PAGES = LivePages()
"""Those of this process."""
