"""Holding the battery, over Modbus, at an inverter that does not always obey."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from easee_load_balancer.devices.huawei.hold_record import HoldRecord
from easee_load_balancer.errors import HoldFailed, HoldImpossible, InverterUnreachable
from easee_load_balancer.measurements import BatteryHold
from easee_load_balancer.simulation.faults import BatteryWriteFault
from easee_load_balancer.simulation.huawei.units import PlantKind
from tests.support.battery import MAX_W, HeldHouse, held_house

FREE, COMMAND, LIMIT = BatteryHold.FREE, BatteryHold.COMMAND, BatteryHold.LIMIT


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[HeldHouse]:
    async with held_house(tmp_path) as running:
        yield running


async def apply(house: HeldHouse, wanted: BatteryHold) -> str:
    """What the control says to that."""
    try:
        await house.control.apply(wanted, house.now)
    except (HoldFailed, HoldImpossible) as error:
        return str(error)
    return ""


async def test_a_battery_that_is_free_is_asked_nothing(house: HeldHouse) -> None:
    await house.control.apply(FREE, house.now)
    assert (house.server.requests, house.record.exists()) == (0, False)


async def test_a_limit_is_stored_set_and_restored(house: HeldHouse) -> None:
    house.battery.discharge_limit_w = 3500
    assert house.discharges()
    await house.control.apply(LIMIT, house.now)
    assert HoldRecord.load(house.record).restore_w == 3500
    assert house.battery.discharge_limit_w == 0
    assert not house.discharges()
    asked = house.server.requests
    house.pass_time(240)
    await house.control.apply(LIMIT, house.now)
    assert house.server.requests == asked
    await house.control.apply(FREE, house.now)
    assert HoldRecord.load(house.record).restore_w is None
    assert house.battery.discharge_limit_w == 3500
    assert house.discharges()


async def test_a_command_is_renewed_and_ends_by_itself(house: HeldHouse) -> None:
    for _ in range(20):  # ten minutes of cycles
        await house.control.apply(COMMAND, house.now)
        house.pass_time(15)
        assert not house.discharges()
    writes = house.server.battery_writes.done
    assert [one for one in writes if one != (47100, 2)] == [(47246, 0), (47083, 2)]
    assert writes.count((47100, 2)) == 10
    house.pass_time(120)
    assert house.discharges()


async def test_releasing_a_command_stops_it_at_once(house: HeldHouse) -> None:
    await house.control.apply(COMMAND, house.now)
    assert not house.discharges()
    await house.control.apply(FREE, house.now)
    assert house.discharges()


async def test_by_day_the_battery_still_charges(tmp_path: Path) -> None:
    async with held_house(tmp_path, pv_w=3000.0) as house:
        await house.control.apply(LIMIT, house.now)
        house.pass_time(15)
        assert house.plant.battery_charge_w == pytest.approx(2000, abs=20)


async def test_night_falls_and_day_breaks_during_a_hold(house: HeldHouse) -> None:
    for wanted, limit_w, forced in ((LIMIT, 0, 0), (COMMAND, MAX_W, 2), (LIMIT, 0, 0)):
        await house.control.apply(wanted, house.now)
        assert (house.battery.discharge_limit_w, house.battery.forced) == (limit_w, forced)
        assert not house.discharges()


REFUSED = "refuses to have register"


@pytest.mark.parametrize(
    ("fault", "wanted", "said"),
    [
        ("refused", LIMIT, REFUSED),
        ("refused", COMMAND, REFUSED),
        ("ignored", LIMIT, "still shows 5000"),
        ("ignored", COMMAND, "still shows 1"),
    ],
)
async def test_refusals_are_said_and_tried_again_at_growing_intervals(
    house: HeldHouse, fault: BatteryWriteFault, wanted: BatteryHold, said: str
) -> None:
    house.faults.battery_writes = fault
    tried_min: list[int] = []
    for minute in range(40):
        asked = house.server.requests
        message = await apply(house, wanted)
        assert message.startswith("The battery is not held. ")
        assert said in message
        if house.server.requests > asked:
            tried_min.append(minute)
        house.pass_time(60)
    assert tried_min == [0, 1, 3, 7, 15, 30]
    assert house.discharges()
    house.faults.battery_writes = None
    assert await apply(house, FREE) == ""
    assert HoldRecord.load(house.record).restore_w is None
    house.pass_time(900)
    assert await apply(house, wanted) == ""
    assert not house.discharges()


async def test_a_refused_lifting_is_said_and_repeated_until_it_works(house: HeldHouse) -> None:
    await house.control.apply(LIMIT, house.now)
    house.faults.battery_writes = "refused_lifting"
    assert (await apply(house, FREE)).startswith("The battery is still held. ")
    house.restart()
    assert (await apply(house, FREE)).startswith("The battery is still held. ")
    assert "Next attempt" in await apply(house, FREE)
    house.faults.battery_writes = None
    house.pass_time(60)
    assert await apply(house, FREE) == ""
    assert house.battery.discharge_limit_w == MAX_W
    assert house.discharges()


async def test_an_unanswered_write_counts_as_done_or_not(
    house: HeldHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next cycle reads what is true, and goes on from there."""
    monkeypatch.setattr("easee_load_balancer.devices.huawei.battery_control._LONGEST_S", 2.0)
    house.faults.battery_writes = "unanswered"
    with pytest.raises(InverterUnreachable):
        await house.control.apply(LIMIT, house.now)
    assert HoldRecord.load(house.record).restore_w == MAX_W
    with pytest.raises(InverterUnreachable):
        await house.control.apply(FREE, house.now)
    house.faults.battery_writes = None
    assert await apply(house, FREE) == ""
    assert (house.battery.discharge_limit_w, len(house.server.battery_writes.done)) == (MAX_W, 2)


async def test_an_inverter_lost_while_holding_is_released_when_it_is_back(
    house: HeldHouse,
) -> None:
    await house.control.apply(LIMIT, house.now)
    house.faults.modbus = "reset"
    with pytest.raises(InverterUnreachable):
        await house.control.apply(FREE, house.now)
    assert HoldRecord.load(house.record).restore_w == MAX_W
    house.faults.modbus = None
    await house.control.apply(FREE, house.now)
    assert house.discharges()


async def test_a_limit_above_what_the_battery_can_now_is_lowered_to_that(house: HeldHouse) -> None:
    HoldRecord(restore_w=MAX_W + 2000).save(house.record)
    house.battery.discharge_limit_w = 0
    assert await apply(house, FREE) == ""
    assert house.battery.discharge_limit_w == MAX_W


async def test_another_program_has_its_way(house: HeldHouse) -> None:
    """A limit of 0 W that is not ours, a forced charge, and a limit changed during the hold."""
    house.battery.discharge_limit_w = 0
    await house.control.apply(LIMIT, house.now)
    await house.control.apply(FREE, house.now)
    assert house.battery.discharge_limit_w == 0
    house.battery.discharge_limit_w, house.battery.forced = MAX_W, 1
    assert "Another program charges" in await apply(house, COMMAND)
    assert house.battery.forced == 1
    house.battery.forced = 0
    await house.control.apply(LIMIT, house.now)
    house.battery.discharge_limit_w = 2000
    await house.control.apply(FREE, house.now)
    assert house.battery.discharge_limit_w == 2000


async def test_settings_are_written_no_more_than_twelve_times_an_hour(house: HeldHouse) -> None:
    """Also by a worker that is killed again and again; what is limited can still be lifted."""
    failed = ""
    for minute in range(55):
        house.restart()
        failed = await apply(house, (LIMIT, FREE)[minute % 2]) or failed
        await house.control.inverter.close()
        house.pass_time(60)
    assert len(house.server.battery_writes.done) == 10
    assert "10 times in the last hour" in failed
    assert (house.battery.discharge_limit_w, house.discharges()) == (MAX_W, True)


async def test_nothing_is_limited_that_cannot_be_stored(house: HeldHouse) -> None:
    house.record.write_text("{")
    with pytest.raises(HoldFailed, match="cannot be read"):
        await house.control.is_due(FREE, house.now)
    house.record.unlink()
    house.folder.rmdir()
    assert "cannot be stored" in await apply(house, LIMIT)
    assert house.discharges()


@pytest.mark.parametrize("known_as", ["single", "emma"])
async def test_behind_an_emma_nothing_is_written(known_as: PlantKind, tmp_path: Path) -> None:
    async with held_house(tmp_path, behind="emma") as house:
        house.address = house.address.model_copy(update={"unit_id": 0, "plant": known_as})
        house.restart()
        for wanted in (COMMAND, LIMIT):
            assert "not possible here" in await apply(house, wanted)
        assert house.server.battery_writes.done == []


async def test_slow_writes_go_on_in_the_next_cycle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("easee_load_balancer.devices.huawei.battery_control._BUDGET_S", 0.0)
    async with held_house(tmp_path) as house:
        for writes in (1, 2, 3):
            assert house.battery.forced == 0
            await house.control.apply(COMMAND, house.now)
            assert len(house.server.battery_writes.done) == writes
        assert house.battery.forced == 2


async def test_a_clock_that_is_set_back_delays_nothing(house: HeldHouse) -> None:
    await house.control.apply(COMMAND, house.now)
    house.battery.force(0)
    await house.control.apply(COMMAND, house.now - timedelta(hours=1))
    assert house.battery.forced == 2
