"""Fixtures of the tests of notifications."""

from tests.support.prefect_servers import stack

__all__ = ["stack"]
