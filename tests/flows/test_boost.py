"""A boost as a flow, with the cycles that obey it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from balance import balance
from boost import boost
from prefect import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ParameterTypeError
from prefect.states import Cancelling

from easee_load_balancer.history.store import open_history
from easee_load_balancer.history.tables import BoostRow
from easee_load_balancer.orchestration.worker.offline import offline
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.system.settings import Settings
from tests.support.home import Home, a_home, in_hours
from tests.support.site import SITE
from tests.support.waiting import LONGEST_S, until

DARK = Day("dark", pv_w=(50.0,) * 1440, load_w=(500.0,) * 1440)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boosts read the history more often than usual."""
    monkeypatch.setattr("tasks.requests._LOOK_EVERY_S", 0.05)


@asynccontextmanager
async def dark_home() -> AsyncIterator[Home]:
    """A home without surplus, where only a boost charges the car."""
    async with a_home(DARK, mode="solar") as home:
        home.house.plant.charger.dynamic_circuit_current_a = (0.0, 0.0, 0.0)
        await home.cycle()
        assert home.circuit_current_a == (0, 0, 0)
        yield home


def under_way() -> BoostRow | None:
    return open_history(Settings().database_url).boosts.under_way(SITE)


async def begun(**wish: Any) -> tuple[asyncio.Task[State[Any]], BoostRow]:
    """A boost that has just started, and the task of its run."""
    known = under_way()
    before = known.run_id if known else None
    run: Any = boost(site=SITE, **wish, return_state=True)
    task = asyncio.ensure_future(run)

    def new_row() -> BoostRow | None:
        assert not task.done(), task
        row = under_way()
        return row if row is not None and row.run_id != before else None

    return task, await until(new_row)


async def name_of(row: BoostRow, end: str) -> str:
    """The name of the boost's run, once it ends like that."""
    async with get_client() as client:

        async def name() -> str | None:
            run = await client.read_flow_run(UUID(row.run_id))
            return run.name if run.name.endswith(end) else None

        return str(await until(name))


async def test_cycles_obey_a_boost_until_its_energy_is_reached() -> None:
    async with dark_home() as home:
        run, row = await begun(current_a=10, until="0.5 kWh")
        assert await name_of(row, "cycle") == "boost 10 A until 0.5 kWh: begins with the next cycle"
        state = await home.cycle()
        assert (state.message or "").startswith("boost until 0.5 kWh: 10 A x 3: fast; surplus ")
        assert home.circuit_current_a == (10, 10, 10)
        assert home.last_cycle().mode == "boost"
        assert await name_of(row, "so far") == "boost 10 A until 0.5 kWh: 0.0 kWh so far"
        for _ in range(4):  # the charger's counter moves every five minutes, by 0.6 kWh
            home.house.advance(300)
            await home.cycle()
        assert home.last_cycle().mode == "solar"
        ended = await asyncio.wait_for(run, LONGEST_S)
        assert ended.is_completed()
        assert ended.message is not None
        assert re.fullmatch(
            r"boost 10 A until 0\.5 kWh: \d\.\d kWh, the energy is in the car", ended.message
        )
        assert await name_of(row, ended.message) == ended.message


async def test_another_boost_or_cancelling_the_run_ends_it() -> None:
    async with dark_home() as home, get_client() as client:
        first, _ = await begun(current_a=10)
        await home.cycle()
        second, row = await begun(current_a=8, until=in_hours(12), time_zone="UTC")
        ended = await asyncio.wait_for(first, LONGEST_S)
        assert (ended.type, ended.name) == (StateType.CANCELLED, "Superseded")
        assert ended.message == "boost 10 A until unplugged: 0.0 kWh, another boost began"
        state = await home.cycle()
        end = row.request.until
        assert f"{end:%H:%M}: 8 A x 3: fast" in (state.message or "")
        await client.set_flow_run_state(UUID(row.run_id), Cancelling(), force=True)
        await home.cycle()
        assert home.last_cycle().mode == "solar"
        ended = await asyncio.wait_for(second, LONGEST_S)
        assert (ended.type, ended.name) == (StateType.CANCELLED, "Cancelled")
        assert (ended.message or "").endswith(" kWh, cancelled")


async def test_it_continues_when_its_run_is_killed_or_the_server_is_down() -> None:
    """Then it ends by itself, or when the run is deleted."""
    async with dark_home() as home, get_client() as client:
        run, row = await begun(current_a=8)
        await home.cycle()
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        killed = await client.read_flow_run(UUID(row.run_id))
        assert killed.state_type is StateType.CRASHED
        state = await home.cycle()
        assert (state.message or "").startswith("boost until unplugged: 8 A x 3: fast")
        with offline(datetime.now(UTC)):
            state = await balance.fn(SITE)
        assert (state.message or "").startswith("boost until unplugged: 8 A x 3: fast")
        await client.delete_flow_run(UUID(row.run_id))
        await home.cycle()
        assert home.last_cycle().mode == "solar"


async def test_it_ends_in_time_without_cycles_and_when_the_car_is_unplugged() -> None:
    async with dark_home() as home:
        run, row = await begun(current_a=8, until=in_hours(12), time_zone="UTC")
        over = row.request.model_copy(update={"until": datetime.now(UTC)})
        open_history(Settings().database_url).boosts.record(row.run_id, over)
        ended = await asyncio.wait_for(run, LONGEST_S)
        assert ended.is_completed()
        assert (ended.message or "").endswith(": 0.0 kWh, its time is up")
        run, _ = await begun(current_a=8)
        await home.cycle()
        home.house.plant.car.unplug()
        assert "no car connected" in ((await home.cycle()).message or "")
        ended = await asyncio.wait_for(run, LONGEST_S)
        assert (ended.message or "").endswith(" kWh, the car was unplugged")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"until": "half past five"}, "'half past five' is not a time such as 17:30"),
    ({"current_a": 20}, "The policy allows 16 A at most"),
    ({"site": "cottage"}, "There is no block"),
]


async def test_an_impossible_boost_fails_with_a_message() -> None:
    async with a_home():
        run: Any = boost
        for wish, told in WRONG:
            state = await run(**({"site": SITE} | wish), return_state=True)
            assert state.is_failed()
            assert told in (state.message or "")
            assert under_way() is None


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"current_a": 5}, "greater than or equal to 6"),
        ({"current_a": 33}, "less than or equal to 32"),
    ],
)
def test_the_form_refuses_currents_outside_its_range(wish: dict[str, Any], told: str) -> None:
    with pytest.raises(ParameterTypeError, match=told):
        boost.validate_parameters(wish)
