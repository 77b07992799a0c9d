"""Fixtures of the fault campaign."""

from tests.flows.home import data_folder, prefect_server

__all__ = ["data_folder", "prefect_server"]
