"""Fixtures of the history tests."""

from tests.support.history import history, sqlite_url, url

__all__ = ["history", "sqlite_url", "url"]
