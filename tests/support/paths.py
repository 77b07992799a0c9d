"""Where the project and the measured data are."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).parents[2]
SHARED_DATA = PROJECT.parent / "shared" / "data"
