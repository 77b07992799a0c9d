"""Fixtures for tests of the device clients."""

from tests.support.easee_cloud import client, cloud, easee, house

__all__ = ["client", "cloud", "easee", "house"]
