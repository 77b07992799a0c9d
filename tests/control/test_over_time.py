"""The control law against the simulated house in simulated time."""

from __future__ import annotations

from itertools import pairwise

import pytest

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.closed_loop import QUICK, SLOW, Link, run_day
from easee_load_balancer.simulation.plant.day import Day, generate_day
from easee_load_balancer.simulation.plant.plant import BatterySpec, HouseSpec, Plant, Visit
from tests.benchmarks.laws import Evcc, Ours, value_eur
from tests.support.control_readings import VOLTS

FLAT = Day("flat", (6000.0,) * 1440, (600.0,) * 1440)
ENDLESS = CarSpec(energy_needed_kwh=1000.0)


def play(
    law: Ours, steps: dict[int, tuple[float, float, float]], minutes: int, link: Link
) -> tuple[list[float], Plant]:
    """Car power of each second; `steps` adds loads to the phases from a second on."""
    power_w: list[float] = []
    plants: list[Plant] = []

    def each_second(plant: Plant) -> None:
        plant.extra_load_w = steps.get(plant.clock_s, plant.extra_load_w)
        power_w.append(plant.car_w)
        plants[:] = [plant]

    spec = HouseSpec(car=ENDLESS)
    run_day(law, FLAT, link, spec=spec, hours=minutes / 60, each_second=each_second)
    return power_w, plants[0]


@pytest.mark.parametrize("interval_s", [10, 30])
@pytest.mark.parametrize("step_w", [3000.0, -3000.0])
def test_a_step_of_the_sun_settles(step_w: float, interval_s: int) -> None:
    """With the cloud 20 s and the meter 5 s behind; more sun is less load."""
    step_s = 20 * 60
    third_w = -step_w / 3
    law = Ours(Policy(phases="3", max_current_a=16), interval_s=interval_s)
    power_w, _ = play(law, {step_s: (third_w, third_w, third_w)}, minutes=30, link=SLOW)
    before_w, after_w = power_w[step_s], power_w[-1]
    expected_w = min(5400.0 + step_w, 15.7 * 3 * VOLTS)
    if step_w > 0:
        assert after_w == pytest.approx(expected_w, abs=400)
    assert before_w == pytest.approx(5400, abs=400)
    assert len(set(power_w[-300:])) == 1
    turns = _turns([round(watts) for watts in power_w[step_s:]])
    assert turns <= 1


def _turns(values: list[int]) -> int:
    """How often a series changes its direction."""
    signs = [b > a for a, b in pairwise(values) if a != b]
    return sum(a != b for a, b in pairwise(signs))


@pytest.mark.parametrize("link", [QUICK, SLOW], ids=lambda link: link.name)
def test_an_overload_ends_within_25_s(link: Link) -> None:
    """Another 20 A on one phase while the car charges with 16 A."""
    law = Ours(Policy(mode="fast"))
    power_w, plant = play(law, {600: (20 * VOLTS, 0.0, 0.0)}, minutes=15, link=link)
    assert plant.counters.car_kwh > 0.5
    assert 0 < plant.counters.over_fuse_s < 25
    assert plant.car_w < power_w[600]


def test_a_variable_day_earns_more_than_evcc() -> None:
    day = generate_day("variable")
    ours = run_day(Ours(), day)
    evcc = run_day(Evcc(), day)
    assert value_eur(ours.solar_kwh, ours.grid_kwh) > value_eur(evcc.solar_kwh, evcc.grid_kwh)
    assert ours.writes < 300
    assert ours.over_fuse_min == 0


@pytest.mark.parametrize("battery", [None, BatterySpec()], ids=["no battery", "battery"])
@pytest.mark.parametrize("interval_s", [10, 30])
@pytest.mark.parametrize("link", [QUICK, SLOW], ids=lambda link: link.name)
def test_plugging_in_at_little_surplus_takes_less_than_20_wh_from_grid_or_battery(
    link: Link, interval_s: int, battery: BatterySpec | None
) -> None:
    """1.5 kW of surplus; before the car came, the law has set what it may begin with."""
    plugged_in_s, taken_kwh = 30 * 60, []

    def each_second(plant: Plant) -> None:
        counters = plant.counters
        if plugged_in_s <= plant.clock_s <= plugged_in_s + 240:
            taken_kwh.append(counters.car_from_grid_kwh + counters.car_from_battery_kwh)

    visit = Visit(plugged_in_s, 3600, ENDLESS)
    little = Day("little", (2100.0,) * 1440, (600.0,) * 1440)
    law = Ours(interval_s=interval_s)
    run_day(
        law, little, link, battery, spec=HouseSpec(visits=(visit,)), hours=0.7,
        each_second=each_second,
    )  # fmt: skip
    assert taken_kwh[-1] - taken_kwh[0] < 0.020


@pytest.mark.parametrize(("lends_kwh", "most_kwh"), [(0.0, 0.2), (0.5, 0.5)])
def test_the_battery_does_not_drive_the_car(lends_kwh: float, most_kwh: float) -> None:
    law = Ours(Policy(battery_lends_kwh=lends_kwh))
    outcome = run_day(law, generate_day("clear"), SLOW, BatterySpec(), hours=16)
    assert outcome.solar_kwh > 20
    assert outcome.battery_kwh < most_kwh
