"""Short addresses of what an owner looks for, and the page of settings: beside Prefect's own UI.

Prefect's addresses contain ids, and the page of an artifact's key shows no content. `/now` leads
to the page of now, `/yesterday` to the newest daily summary, `/plan` to the plan, `/decisions` to
the cycles; a further site has `/now/cabin`, all have `/overview`. Blocks link to `/help/settings`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa
from markdown_it import MarkdownIt
from prefect.server.api.server import UI_VERSION_COOKIE_NAME
from prefect.server.database import provide_database_interface
from prefect.settings import get_current_settings
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from easee_load_balancer.orchestration.own_addresses import HOME, LOGO, SETTINGS, anchor
from easee_load_balancer.orchestration.worker.run_states import CYCLE_TAG

_SETTINGS = Path(__file__).parents[3] / "docs" / "settings.md"
_AGAIN_S = 5
_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 sans-serif; max-width: 60rem; margin: 1rem auto; padding: 0 1rem }
td, th { border-top: 1px solid gray; padding: .3rem .6rem .3rem 0; text-align: left;
  vertical-align: top }
"""
_LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 48 48">'
    '<rect width="48" height="48" rx="10" fill="#12161f"/>'
    '<circle cx="24" cy="24" r="15" fill="none" stroke="#f6c445" stroke-width="5"/>'
    '<path d="M27 8 15 27h8l-2 13 12-19h-8z" fill="#46c487"/></svg>'
)

Find = Callable[[str], Awaitable[UUID | None]]


class WithOwnPages:
    """An ASGI application with this project's addresses in front of the server's."""

    def __init__(self, app: ASGIApp) -> None:
        async def other(scope: Scope, receive: Receive, send: Send) -> None:
            await app(scope, receive, send)

        self._app = app
        routes = [Route(SETTINGS, _settings), Route(LOGO, _logo)]
        for name, (path, find) in _PAGES.items():
            routes += [Route(f"/{name}{site}", _leads(path, find)) for site in ("", "/{site}")]
        self._own = Router(routes, default=other)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the own addresses, pass everything else on."""
        await (self._own if scope["type"] == "http" else self._app)(scope, receive, send)


def _leads(path: str, find: Find) -> Callable[[Request], Awaitable[Response]]:
    async def lead(request: Request) -> Response:
        found = await find(request.path_params.get("site", HOME))
        if found is None:
            return PlainTextResponse(
                "This page is not there yet: the first cycle or summary makes it.\n",
                404,
                {"Refresh": str(_AGAIN_S)},
            )
        address = f"{_ui(request)}{path}/{found}"
        return RedirectResponse(address, headers={"Cache-Control": "no-store"})

    return lead


def _ui(request: Request) -> str:
    """Where the UI is that this browser has chosen, or that the settings choose."""
    ui = get_current_settings().server.ui
    chosen = request.cookies.get(UI_VERSION_COOKIE_NAME, "v2" if ui.v2_enabled else "v1")
    return ui.serve_base.rstrip("/") + ("/v2" if chosen == "v2" else "")


async def _artifact(key: str) -> UUID | None:
    database = provide_database_interface()
    query = sa.select(database.ArtifactCollection.latest_id).filter_by(key=key)
    async with database.session_context() as session:
        found: UUID | None = await session.scalar(query)
        return found


async def _of_now(site: str) -> UUID | None:
    return await _artifact(f"now-{site}")


async def _of_all(_: str) -> UUID | None:
    return await _artifact("overview")


async def _of_yesterday(site: str) -> UUID | None:
    return await _artifact(f"energy-{site}")


async def _of_plan(site: str) -> UUID | None:
    return await _artifact(f"plan-{site}")


async def _of_cycles(site: str) -> UUID | None:
    deployments = provide_database_interface().Deployment
    query = sa.select(deployments.id, deployments.parameters, deployments.tags)
    async with provide_database_interface().session_context() as session:
        cycles = [row for row in await session.execute(query) if CYCLE_TAG in row.tags]
    in_group = [row.id for row in cycles if site in row.parameters.get("sites", ())]
    own = [row.id for row in cycles if row.parameters.get("site") == site]
    return next((UUID(str(found)) for found in (*in_group, *own)), None)


_PAGES: Mapping[str, tuple[str, Find]] = {
    "now": ("/artifacts/artifact", _of_now),
    "yesterday": ("/artifacts/artifact", _of_yesterday),
    "plan": ("/artifacts/artifact", _of_plan),
    "overview": ("/artifacts/artifact", _of_all),
    "decisions": ("/deployments/deployment", _of_cycles),
}
"""Where a short address leads in the UI, and how the id is found that follows."""


async def _settings(request: Request) -> Response:
    body = MarkdownIt().enable("table").render(_SETTINGS.read_text())
    body = re.sub(r"<h3>(.*?)</h3>", lambda one: f'<h3 id="{anchor(one[1])}">{one[1]}</h3>', body)
    head = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return HTMLResponse(f"<title>Settings</title>{head}<style>{_STYLE}</style>{body}")


async def _logo(request: Request) -> Response:
    return Response(_LOGO, media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})
