"""The Prefect server as `prefect server start` runs it, behind a guard.

python -m easee_load_balancer.orchestration.server --host 127.0.0.1 --port 4200
"""

from __future__ import annotations

from typing import Annotated

import typer
import uvicorn
from prefect.server.api.server import create_app
from prefect.settings import get_current_settings

from easee_load_balancer.orchestration.server.durable import Durable
from easee_load_balancer.orchestration.server.guard import Guard
from easee_load_balancer.orchestration.server.light_services import look_once_a_second
from easee_load_balancer.orchestration.server.light_sqlite import WithLightSqlite
from easee_load_balancer.orchestration.server.overdue import WithoutOverdueCycles
from easee_load_balancer.orchestration.server.own_pages import WithOwnPages
from easee_load_balancer.orchestration.server.renamed import WithRenamedDeployments
from easee_load_balancer.orchestration.server.run_names import name_scheduled_runs
from easee_load_balancer.orchestration.server.tables import tables_created
from easee_load_balancer.system.hardening import harden_process
from easee_load_balancer.system.processes import HOST
from easee_load_balancer.system.settings import Settings


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = HOST,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 4200,
) -> None:
    """Run the Prefect server with its services until SIGINT or SIGTERM."""
    harden_process()
    server = get_current_settings().server
    look_once_a_second()
    name_scheduled_runs()
    app = WithRenamedDeployments(Durable(WithOwnPages(create_app(final=True))))
    prepared = WithLightSqlite(WithoutOverdueCycles(app))
    with tables_created():
        uvicorn.run(
            Guard(prepared, port, Settings().names),
            host=host,
            port=port,
            timeout_keep_alive=server.api.keepalive_timeout,
            ws_ping_interval=server.api.websocket_ping_interval,
            ws_ping_timeout=server.api.websocket_ping_timeout,
            log_level=server.logging_level.lower(),
        )


if __name__ == "__main__":
    typer.run(serve)
