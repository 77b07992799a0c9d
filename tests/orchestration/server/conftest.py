"""Fixtures of the tests of the server."""

from tests.support.summary_fixtures import stack

__all__ = ["stack"]
