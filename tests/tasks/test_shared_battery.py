"""A battery that one machine limits and another goes on with, with a real database and Modbus."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.devices.connections import Connections
from easee_load_balancer.devices.huawei.hold_record import SharedHold, record_path
from easee_load_balancer.errors import HoldFailed
from easee_load_balancer.measurements import BatteryHold
from easee_load_balancer.orchestration.worker.offline import offline
from easee_load_balancer.system.database_locks import DATABASE_LOCKS
from easee_load_balancer.system.settings import Settings
from tasks import battery
from tests.support.battery import MAX_W, HeldHouse, held_house
from tests.support.control_readings import inverter
from tests.support.postgres import Postgres


class Machine:
    """A worker's connections and data folder."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.connections = Connections()
        self._folder, self._patch = folder, patch
        folder.mkdir()

    async def cycle(self, house: HeldHouse, hold: BatteryHold) -> None:
        """What a cycle here does to the battery."""
        self._patch.setattr(battery, "CONNECTIONS", self.connections)
        self._patch.setenv("EASEE_BALANCER_DATA_FOLDER", str(self._folder))
        reading = replace(inverter(), taken_at=house.now)
        decision = Decision(None, False, "", ControllerState(hold=hold))
        with offline(house.now):
            await battery.keep_battery(house.address, "home", reading, decision)
        assert not record_path(Settings().folder, "home").exists()


@pytest.fixture
def url(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database of the workers that share a pool."""
    url = postgres.empty_database()
    monkeypatch.setenv("EASEE_BALANCER_HISTORY_URL", url)
    monkeypatch.setenv("EASEE_BALANCER_SHARED_POOL", "true")
    return url


async def test_the_next_machine_lifts_the_limit_of_one_that_was_lost(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with held_house(tmp_path) as house:
        house.battery.discharge_limit_w = 3500
        lost, other = (Machine(tmp_path / name, monkeypatch) for name in ("one", "two"))
        await other.cycle(house, BatteryHold.FREE)
        await other.connections.leave(house.address)
        await lost.cycle(house, BatteryHold.LIMIT)
        assert (await SharedHold(url, "home").load()).restore_w == 3500
        assert (await SharedHold(url, "cabin").load()).restore_w is None
        assert house.battery.discharge_limit_w == 0
        await other.cycle(house, BatteryHold.FREE)
        assert house.battery.discharge_limit_w == 3500
        asked = house.server.requests
        await other.cycle(house, BatteryHold.FREE)
        assert house.server.requests == asked


async def test_a_record_that_cannot_be_read_fails_as_the_file_does(url: str) -> None:
    await DATABASE_LOCKS.keep_note(url, "battery of home", "{")
    with pytest.raises(HoldFailed, match=r"The battery of home in the table 'notes' .*FusionSolar"):
        await SharedHold(url, "home").load()


async def test_nothing_is_limited_while_the_database_cannot_note_it(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASEE_BALANCER_HISTORY_URL", postgres.url.replace("127.0.0.1", "127.0.0.9"))
    monkeypatch.setenv("EASEE_BALANCER_SHARED_POOL", "true")
    async with held_house(tmp_path) as house:
        machine = Machine(tmp_path / "one", monkeypatch)
        for hold in (BatteryHold.LIMIT, BatteryHold.FREE):
            with pytest.raises(HoldFailed, match=r"record cannot be read\. The database"):
                await machine.cycle(house, hold)
        assert house.battery.discharge_limit_w == MAX_W
