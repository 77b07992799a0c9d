"""A Prefect server for the worker's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

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

AUTH = "owner:long and secret"


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectStack]:
    """A Prefect server of the tests' own, which asks for a password."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_SERVER_API_AUTH_STRING", AUTH)
        patch.setenv("PREFECT_API_AUTH_STRING", AUTH)
        stack = PrefectStack(tmp_path_factory.mktemp("prefect"), PROJECT)
    with stack:
        yield stack


@pytest.fixture
async def client(
    stack: PrefectStack, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PrefectClient]:
    """A client of that server; the worker's settings are those of the server."""
    monkeypatch.setenv("EASEE_BALANCER_DATA_FOLDER", str(stack.data_folder))
    settings = {
        PREFECT_API_URL: stack.api_url,
        PREFECT_API_AUTH_STRING: stack.env.get("PREFECT_API_AUTH_STRING"),
        PREFECT_WORKER_QUERY_SECONDS: 1,
    }
    with temporary_settings(settings):
        async with get_client() as client:
            yield client
