"""A worker that starts finds the battery as a killed one left it."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.client.orchestration import PrefectClient

from easee_load_balancer.devices.huawei.hold_record import HoldRecord
from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from tests.support.battery import MAX_W, held_house
from tests.support.waiting import until
from tests.support.worker import deployed, working


async def test_a_starting_worker_lifts_the_limit_although_no_cycle_runs(
    client: PrefectClient, stack: PrefectStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The inverter does not answer at first."""
    monkeypatch.setattr(
        "easee_load_balancer.orchestration.worker.flow_runner._RESTORE_AGAIN_S", 0.2
    )
    await deployed(client, "battery", "good")
    async with held_house(tmp_path) as house:
        house.battery.discharge_limit_w, house.faults.modbus = 0, "reset"
        record = Path(stack.data_folder) / "battery-left.json"
        HoldRecord(restore_w=MAX_W, address=house.address).save(record)
        async with working("battery"):
            await until(lambda: house.server.requests)
            house.faults.modbus = None
            await until(lambda: HoldRecord.load(record).restore_w is None)
        assert house.battery.discharge_limit_w == MAX_W
        record.unlink()
