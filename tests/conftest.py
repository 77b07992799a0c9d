"""Shared by all tests: measured data, and houses on loopback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.local_server import NotInstalled
from tests.support.mosquitto import Mosquitto, running_mosquitto
from tests.support.paths import PROJECT, SHARED_DATA
from tests.support.postgres import Postgres, running_postgres

os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
for authorities in ("PREFECT_API_SSL_CERT_FILE", "SSL_CERT_FILE"):
    # one instead of 140: reading them for each new client took a fifth of the tests' CPU time
    os.environ[authorities] = str(PROJECT / "tests" / "support" / "authority.pem")

settings.register_profile("test", derandomize=True, deadline=None)
settings.register_profile("fuzz", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files with the longest waits first: as the last ones, they would run alone."""
    items.sort(key=lambda item: "orchestration" not in item.path.parts)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The measured days, register dumps and recorded answers; skips where there are none."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"measured data is not at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, where one is installed."""
    try:
        with running_postgres() as server:
            yield server
    except NotInstalled as missing:
        pytest.skip(str(missing))


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    """An MQTT broker for each test, where one is installed."""
    try:
        with running_mosquitto() as server:
            yield server
    except NotInstalled as missing:
        pytest.skip(str(missing))
