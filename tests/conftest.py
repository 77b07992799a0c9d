"""Shared by all tests: measured data, and houses on loopback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The measured days, register dumps and recorded answers, where they are at hand."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"measured data is not at {SHARED_DATA}")
    return SHARED_DATA
