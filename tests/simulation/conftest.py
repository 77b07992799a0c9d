"""Fixtures for tests of the simulated house."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.simulated_house import Running, logged_in


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    """A house with a stopped clock, and a client with a token."""
    async with logged_in() as both:
        yield both
