"""Fixtures of the report tests."""

from tests.support.summary_fixtures import stack, summer_day

__all__ = ["stack", "summer_day"]
