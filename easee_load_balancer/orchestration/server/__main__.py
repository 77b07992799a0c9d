"""The Prefect server as `prefect server start` runs it, behind a guard.

python -m easee_load_balancer.orchestration.server --host 127.0.0.1 --port 4200

Where several API servers share a database and Redis, its parts run apart (docs/fleet.md): `--only
tables` once, `--only services` in one process, `--only api` in as many as it takes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
import uvicorn
from prefect.server.api.server import create_app
from prefect.settings import get_current_settings
from starlette.types import ASGIApp

from easee_load_balancer.orchestration.server.durable import Durable
from easee_load_balancer.orchestration.server.guard import Guard
from easee_load_balancer.orchestration.server.light_services import look_once_a_second, run_services
from easee_load_balancer.orchestration.server.light_sqlite import WithLightSqlite
from easee_load_balancer.orchestration.server.overdue import WithoutOverdueCycles
from easee_load_balancer.orchestration.server.own_pages import WithOwnPages
from easee_load_balancer.orchestration.server.renamed import WithRenamedDeployments
from easee_load_balancer.orchestration.server.run_names import name_scheduled_runs
from easee_load_balancer.orchestration.server.tables import create_tables, tables_left_alone
from easee_load_balancer.system.hardening import harden_process
from easee_load_balancer.system.processes import HOST
from easee_load_balancer.system.settings import Settings


class Part(StrEnum):
    """What a process does that is not the whole server."""

    TABLES = "tables"
    """Creates or updates the tables, and ends."""
    SERVICES = "services"
    API = "api"


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = HOST,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 4200,
    only: Annotated[
        Part | None, typer.Option(help="This part alone, where several servers share the work.")
    ] = None,
) -> None:
    """Run the Prefect server with its services until SIGINT or SIGTERM."""
    harden_process()
    look_once_a_second()
    name_scheduled_runs()
    if only in (None, Part.TABLES):
        create_tables()
    if only is Part.SERVICES:
        run_services()
    elif only is not Part.TABLES:
        with tables_left_alone():
            _listen(_app(only), host, port)


def _app(only: Part | None) -> ASGIApp:
    prefect = create_app(final=True, webserver_only=only is Part.API)
    app = WithRenamedDeployments(Durable(WithOwnPages(prefect)))
    if only is Part.API:  # the workers may have just been given cycles by another server
        return app
    return WithLightSqlite(WithoutOverdueCycles(app))


def _listen(app: ASGIApp, host: str, port: int) -> None:
    server = get_current_settings().server
    uvicorn.run(
        Guard(app, port, Settings().names),
        host=host,
        port=port,
        timeout_keep_alive=server.api.keepalive_timeout,
        ws_ping_interval=server.api.websocket_ping_interval,
        ws_ping_timeout=server.api.websocket_ping_timeout,
        log_level=server.logging_level.lower(),
    )


if __name__ == "__main__":
    typer.run(serve)
