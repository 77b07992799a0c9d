"""Fixtures of the tests of deploying."""

from tests.support.prefect_servers import stack

__all__ = ["stack"]
