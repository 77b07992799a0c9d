"""Fixtures of the tests of deploying."""

from tests.support.summary_fixtures import stack

__all__ = ["stack"]
