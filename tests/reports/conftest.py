"""Fixtures of the report tests."""

from tests.support.history import history, sqlite_url, url
from tests.support.prefect_servers import stack

__all__ = ["history", "sqlite_url", "stack", "url"]
