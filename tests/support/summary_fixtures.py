"""A Prefect server of our own with this project's settings, and a history of one day."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from easee_load_balancer.simulation.plant.plant import BatterySpec
from tests.support.prefect_servers import a_server
from tests.support.simulated_day import DAY, Troubles, Watched, watch_day

HOUR = 3600


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectStack]:
    """A running server; this process talks to it as long as the fixture lives."""
    often = {"PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S"}
    with a_server(tmp_path_factory.mktemp("prefect"), **often) as running:
        yield running


@pytest.fixture(scope="session")
def summer_day() -> Watched:
    """A day with passing clouds, a battery, a gap of half an hour and a car that was away."""
    troubles = Troubles(
        no_cycles=((11 * HOUR + 600, 11 * HOUR + 2400),),
        trips=((8 * HOUR, 9 * HOUR),),
        lost_share=0.001,
    )
    return watch_day(DAY, "variable", battery=BatterySpec(), troubles=troubles)
