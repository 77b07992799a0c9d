"""A Prefect server for the worker's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_WORKER_QUERY_SECONDS,
    temporary_settings,
)

from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from tests.support.paths import PROJECT
from tests.support.prefect_client import talking_to
from tests.support.prefect_servers import prepared

AUTH = "owner:long and secret"


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectStack]:
    """A Prefect server with a password."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_SERVER_API_AUTH_STRING", AUTH)
        patch.setenv("PREFECT_API_AUTH_STRING", AUTH)
        for service in ("FOREMAN", "LATE_RUNS", "TASK_RUN_RECORDER", "TRIGGERS"):
            # unused, and they contend for the server's SQLite database
            patch.setenv(f"PREFECT_SERVER_SERVICES_{service}_ENABLED", "false")
        stack = PrefectStack(prepared(tmp_path_factory.mktemp("prefect")), PROJECT)
    with stack, talking_to({PREFECT_API_URL: stack.api_url}):
        yield stack


@pytest.fixture
async def client(
    stack: PrefectStack, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PrefectClient]:
    """A client of that server; workers use the same settings."""
    monkeypatch.setenv("EASEE_BALANCER_DATA_FOLDER", str(stack.data_folder))
    settings = {
        PREFECT_API_URL: stack.api_url,
        PREFECT_API_AUTH_STRING: stack.env.get("PREFECT_API_AUTH_STRING"),
        PREFECT_WORKER_QUERY_SECONDS: 1,
    }
    with temporary_settings(settings):
        async with get_client() as client:
            yield client


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    """An empty file in which the flow `cycle` writes down what it did."""
    file = tmp_path / "diary"
    file.touch()
    return file
