"""The environment of server and worker; Prefect reads it when it is imported."""

from __future__ import annotations

from pathlib import Path

from easee_load_balancer.system.processes import HOST


def api_url(port: int) -> str:
    """The URL of the API of a server on this machine."""
    return f"http://{HOST}:{port}/api"


def stack_environment(folder: Path, port: int, data_folder: Path) -> dict[str, str]:
    """The variables of a stack with its Prefect database in `folder`."""
    api = api_url(port)
    return {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": api,
        "PREFECT_SERVER_UI_API_URL": api,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://{HOST}:{port},http://localhost:{port}",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_CLI_PROMPT": "false",
        "EASEE_BALANCER_DATA_FOLDER": str(data_folder),
        "PYTHONUNBUFFERED": "1",
        "MALLOC_ARENA_MAX": "2",  # else short-lived threads leave memory allocated
    }
