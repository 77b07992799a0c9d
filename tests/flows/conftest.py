"""Fixtures of the flow tests."""

from tests.support.home import data_folder, prefect_server

__all__ = ["data_folder", "prefect_server"]
