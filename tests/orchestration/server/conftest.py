"""Fixtures of the tests of the server."""

from tests.support.prefect_servers import stack

__all__ = ["stack"]
