"""Fixtures of the report tests."""

from tests.support.history import history, sqlite_url, url
from tests.support.summary_fixtures import stack, summer_day

__all__ = ["history", "sqlite_url", "stack", "summer_day", "url"]
