"""The daily summary as a flow: from cycles in the history to an artifact in the UI."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from daily_summary import daily_summary
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from tests.support.home import SITE, a_home


async def test_the_day_is_summed_up_as_an_artifact() -> None:
    async with a_home() as home:
        for _ in range(2):
            await home.cycle()
    energy: Any = await daily_summary(SITE, day=datetime.now(UTC).date(), time_zone="UTC")
    assert energy.pv_kwh > 0
    assert energy.cycles == 2
    key = ArtifactFilterKey(any_=[f"energy-{SITE}"])
    async with get_client() as client:
        (artifact,) = await client.read_artifacts(artifact_filter=ArtifactFilter(key=key))
    text = str(artifact.data)
    assert text.startswith("# ")
    assert "](data:image/png;base64," in text
    assert "| Cycles | 2 |" in text
    assert "| observations | 2 |" in text
