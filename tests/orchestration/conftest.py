"""Fixtures of the tests of notifications."""

from tests.support.summary_fixtures import stack

__all__ = ["stack"]
