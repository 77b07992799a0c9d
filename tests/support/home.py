"""A Prefect server for all flow tests, and a home whose blocks point at a simulated house."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from balance import balance
from prefect import get_client
from prefect.client.schemas.objects import FlowRun, State

from easee_load_balancer.history.store import open_history
from easee_load_balancer.history.tables import Cycle
from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.simulation.huawei.units import InverterSpec
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.charger import ChargerSpec
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.simulation.plant.other_chargers import OtherSpec
from easee_load_balancer.simulation.plant.plant import BatterySpec, HouseSpec
from easee_load_balancer.simulation.server import RunSpec, SimulatedHouse, running_house
from easee_load_balancer.system.settings import Settings
from tests.support.prefect_servers import UNUSED_SERVICES, a_server
from tests.support.simulated_house import SUNNY
from tests.support.site import SITE, site_of


@pytest.fixture(scope="package", autouse=True)
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectStack]:
    """One server for all flow tests; it takes seconds to start."""
    with a_server(tmp_path_factory.mktemp("prefect"), **UNUSED_SERVICES) as stack:
        yield stack


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder for each test."""
    monkeypatch.setenv("EASEE_BALANCER_DATA_FOLDER", str(tmp_path / "data"))
    return tmp_path / "data"


@dataclass(frozen=True, slots=True)
class Home:
    """A house and the home that is balanced with it."""

    house: SimulatedHouse
    cloud: CloudSpec
    timeout_s: float

    async def cycle(self, **parameters: Any) -> State[Any]:
        """One ad-hoc run of `balance`, after a minute in which the house goes on."""
        self.house.advance(60)
        state: State[Any] = await balance(SITE, **parameters, return_state=True)
        return state

    @property
    def circuit_current_a(self) -> tuple[float, float, float]:
        """What the charger holds, once commands have had their time to arrive."""
        self.house.advance(10)
        return self.house.plant.charger.dynamic_circuit_current_a

    @property
    def writes(self) -> int:
        """How often anything was written to the charger."""
        return self.house.cloud.writes

    def last_cycle(self) -> Cycle:
        """The newest row of the history."""
        row = open_history(Settings().database_url).last_cycle(SITE)
        assert row is not None
        return row

    async def save(self, **changes: Any) -> None:
        """Save the blocks of this house, with changes to any of their fields."""
        usual = {"settle_time_s": 0.1, "timeout_s": self.timeout_s, "mode": "fast", "phases": "3"}
        await site_of(self.house, **(usual | changes)).save()


@asynccontextmanager
async def a_home(
    day: Day = SUNNY,
    start_s: int = 12 * 3600,
    battery: BatterySpec | None = None,
    cloud: CloudSpec | None = None,
    car: CarSpec | None = None,
    charger: ChargerSpec | None = None,
    others: tuple[OtherSpec, ...] = (),
    timeout_s: float = 3.0,
    **changes: Any,
) -> AsyncIterator[Home]:
    """A home in a house whose clock moves only with `Home.cycle`; `changes` are block fields.

    It charges fast unless told otherwise: charging on sun would wait for a minute of sun. The
    inverter answers at once even on a busy machine; one that is to be silent needs a short
    `timeout_s`.
    """
    cloud = replace(cloud or CloudSpec(), cloud_delay_s=0, rate_limits=False)
    spec = RunSpec(
        day=day,
        speed=0,
        start_s=start_s,
        house=HouseSpec(
            battery=battery,
            car=car or CarSpec(),
            charger=charger or ChargerSpec(),
            others=others,
        ),
        cloud=cloud,
        inverter=InverterSpec(settle_s=0.0, latency_s=0.001, write_s=(0.0, 0.0)),
    )
    async with running_house(spec) as running:
        home = Home(running, cloud, timeout_s)
        await home.save(**changes)
        yield home


def in_hours(hours: float) -> str:
    """The time of day that many hours from now, in UTC, as a form takes it."""
    return f"{datetime.now(UTC) + timedelta(hours=hours):%H:%M}"


async def last_run() -> FlowRun:
    """The newest flow run that the server knows."""
    async with get_client() as client:
        runs = await client.read_flow_runs(limit=200)
    return max(runs, key=lambda run: run.created.timestamp() if run.created else 0.0)
