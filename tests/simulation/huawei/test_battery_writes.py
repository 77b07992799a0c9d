"""The battery's writable registers: what is taken, what is refused, and what it does."""

from __future__ import annotations

import struct

import pytest

from easee_load_balancer.simulation.faults import BatteryWriteFault, Faults
from easee_load_balancer.simulation.huawei.battery_writes import BatteryWrites
from easee_load_balancer.simulation.plant.battery_controls import BatteryControls
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.simulation.plant.plant import HouseSpec, Plant

MAX_W = 5000


def single(register: int, value: int) -> bytes:
    return struct.pack(">BHH", 6, register, value)


def double(register: int, value: int) -> bytes:
    return struct.pack(">BHHBI", 16, register, 2, 4, value)


def writes(fault: BatteryWriteFault | None = None) -> tuple[BatteryControls, BatteryWrites]:
    controls = BatteryControls(MAX_W)
    return controls, BatteryWrites(controls, Faults(battery_writes=fault), (0.5, 3.0))


@pytest.mark.parametrize(
    ("pdu", "fault", "code"),
    [
        pytest.param(double(47077, 0), None, None, id="limit"),
        pytest.param(double(47077, MAX_W), None, None, id="highest limit"),
        pytest.param(double(47077, MAX_W + 1), None, 3, id="more than the battery can"),
        pytest.param(single(47077, 0), None, 3, id="half of a 32-bit value"),
        pytest.param(double(47100, 2), None, 3, id="two words for one"),
        pytest.param(single(47100, 3), None, 3, id="no such command"),
        pytest.param(single(43006, 60), None, 0x80, id="a register that needs a login"),
        pytest.param(single(47087, 0), None, None, id="no charging from the grid"),
        pytest.param(single(47083, 2), "refused", 4, id="refused"),
        pytest.param(double(47077, 0), "refused_lifting", None, id="limiting is taken"),
        pytest.param(double(47077, 4000), "refused_lifting", 4, id="lifting is not"),
    ],
)
def test_writes(pdu: bytes, fault: BatteryWriteFault | None, code: int | None) -> None:
    answer = writes(fault)[1].write(pdu)
    assert answer == (pdu[:5] if code is None else bytes((pdu[0] | 0x80, code)))


def test_a_house_without_a_battery_has_nothing_to_write() -> None:
    without = BatteryWrites(None, Faults(), (0.5, 3.0))
    assert without.words() == {}
    assert without.write(single(47100, 2)) == bytes((0x86, 0x80))


def test_what_was_written_is_read_unless_it_was_ignored() -> None:
    cases: list[tuple[BatteryWriteFault | None, int]]
    cases = [("ignored", MAX_W), ("unanswered", 70), (None, 70)]
    for fault, limit_w in cases:
        controls, battery = writes(fault)
        assert (battery.write(double(47077, 70)) is None) == (fault == "unanswered")
        words = battery.words()
        assert words[47077] << 16 | words[47078] == limit_w == controls.discharge_limit_w


def test_writes_take_half_a_second_to_three() -> None:
    battery = writes()[1]
    taken_s = [battery.next_takes_s() for _ in range(50)]
    assert 0.5 <= min(taken_s) < 1 < 2.5 < max(taken_s) <= 3


@pytest.mark.parametrize(("ends_by", "held_s"), [(0, 120), (1, 600)], ids=["time", "never"])
def test_a_forced_command_ends_by_time_only_if_it_is_told_to(ends_by: int, held_s: int) -> None:
    controls, battery = writes()
    for pdu in (double(47249, 0), single(47246, ends_by), single(47083, 2), single(47100, 2)):
        assert battery.write(pdu)
    powers_w = [controls.power_w(-1000.0) for _ in range(600)]
    assert powers_w.count(0.0) == held_s
    assert powers_w[-1] == (0.0 if ends_by else -1000.0)


def test_limits_leave_the_other_direction_free() -> None:
    controls, battery = writes()
    battery.write(double(47077, 0))
    assert [controls.power_w(watts) for watts in (-2000.0, 0.0, 2000.0)] == [0.0, 0.0, 2000.0]
    battery.write(double(47075, 500))
    assert controls.power_w(2000.0) == 500.0


@pytest.mark.parametrize(("allowed", "charge_w"), [(1, 3000), (0, 0)])
def test_forced_charging_at_night_takes_from_the_grid_where_it_may(
    allowed: int, charge_w: float
) -> None:
    plant = Plant(Day("night", (0.0,) * 1440, (400.0,) * 1440), HouseSpec())
    assert plant.battery is not None
    plant.car.unplug()
    battery = BatteryWrites(plant.battery.controls, Faults(), (0.5, 3.0))
    for pdu in (single(47087, allowed), double(47247, 3000), single(47100, 1)):
        assert battery.write(pdu) == pdu[:5]
    for _ in range(60):
        plant.step()
    assert plant.battery_charge_w == pytest.approx(charge_w, abs=1)
    assert plant.grid_export_w == pytest.approx(-400 - charge_w, abs=1)
