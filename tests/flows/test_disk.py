"""Cycles with a data folder that cannot be written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from easee_load_balancer.orchestration.blocks import ChargingPlan, Tariff
from easee_load_balancer.simulation.server import SimulatedHouse
from tests.support.disk import disk, fill, set_read_only
from tests.support.home import a_home
from tests.support.price_house import tariff
from tests.support.site import SITE

__all__ = ["disk"]


def make_full(folder: Path) -> None:
    fill(folder)


def make_read_only(folder: Path) -> None:
    set_read_only(folder, True)


@asynccontextmanager
async def planned_with_day_ahead_prices(house: SimulatedHouse) -> AsyncIterator[None]:
    """The home asks the history for prices and a plan, too."""
    await Tariff(**dict(tariff(house))).asave(SITE, overwrite=True)
    await ChargingPlan(departures=["07:00 5 kWh"]).asave(SITE, overwrite=True)
    yield
    await Tariff.adelete(SITE)
    await ChargingPlan.adelete(SITE)


@pytest.mark.parametrize("spoil", [make_full, make_read_only])
async def test_balancing_goes_on_in_memory_where_a_new_data_folder_cannot_be_written(
    disk: Path, spoil: Callable[[Path], None]
) -> None:
    """No lock, no session and no history are there; every run is a new process to the cloud."""
    async with a_home() as home, planned_with_day_ahead_prices(home.house):
        spoil(disk)
        for _ in range(3):
            state = await home.cycle()
            assert state.is_failed(), "the history is missing, and the run says so"
            assert "history" in str(state.message)
            assert "session" not in str(state.message)
        assert home.circuit_current_a == (16.0, 16.0, 16.0)
        assert home.house.cloud.tokens.logins == 1
        assert home.writes == 1
        set_read_only(disk, False)
        (disk / "ballast").unlink(missing_ok=True)
        assert (await home.cycle()).is_completed()
        assert home.house.cloud.tokens.logins == 1
