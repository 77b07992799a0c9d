"""The accounts of several chargers of a home."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from easee_load_balancer.history.store import History
from easee_load_balancer.history.tables import Cycle
from easee_load_balancer.periods import Period
from easee_load_balancer.reports.by_charger import ChargerEnergy, as_charger_table, by_charger
from easee_load_balancer.reports.summary import sum_up
from tests.support.history import HOUR, cycle, opened

KEYS = {"Carport": "home/EH1", "Garage": "home/EH2"}
DAY = Period.around(date(2026, 6, 21), "day", ZoneInfo("UTC"))


def an_hour() -> Iterator[Cycle]:
    """From noon: 5 kW of PV, 1 kW of house, 4 kW and 2 kW of cars, so 2 kW from the grid."""
    house = {"pv_w": 5000.0, "inverter_ac_w": 5000.0, "grid_export_w": -2000.0}
    house |= {"battery_charge_w": 0.0, "car_age_s": 0.0, "car_phases": 3}
    for half_minute in range(121):
        for site, car_w in (("home/EH1", 4000.0), ("home/EH2", 2000.0), ("home", 6000.0)):
            yield cycle(half_minute / 2, site=site, car_w=car_w, **house)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with opened(f"sqlite:///{tmp_path}/history.db") as one:
        one.record(*an_hour())
        yield one


def test_each_chargers_energy_is_its_part_of_the_homes(history: History) -> None:
    now = next(an_hour()).at + HOUR
    found = by_charger(history, "home", KEYS, DAY, now)
    assert found["Carport"].car_kwh == pytest.approx(4.0, rel=0.01)
    assert found["Carport"].car_from_grid_kwh == pytest.approx(2.0 * 4 / 6, rel=0.01)
    assert found["Garage"].car_from_solar_kwh == pytest.approx(2.0 * 4 / 6, rel=0.01)
    whole = sum_up(history, "home", DAY, None, now).total
    together = sum(found.values(), ChargerEnergy())
    assert together.car_kwh == pytest.approx(whole.car_kwh)
    assert together.car_from_solar_kwh == pytest.approx(whole.car_from_solar_kwh)


def test_the_first_seconds_of_a_start_belong_to_the_charger_that_started(tmp_path: Path) -> None:
    house = {"pv_w": 9000.0, "inverter_ac_w": 9000.0, "grid_export_w": 3000.0}
    house |= {"battery_charge_w": 0.0, "car_phases": 3}
    with opened(f"sqlite:///{tmp_path}/history.db") as one:
        for half_minute in range(20):
            for site in ("home/EH1", "home/EH2", "home"):
                # the first car starts 20 s before the tenth sample
                draws = half_minute >= 10 and site != "home/EH2"
                car = {"car_w": 6000.0 if draws else 0.0, "car_age_s": 20.0 if draws else 600.0}
                one.record(cycle(half_minute / 2, site=site, **house, **car))
        now = cycle(11).at
        found = by_charger(one, "home", KEYS, DAY, now)
        whole = sum_up(one, "home", DAY, None, now).total
    assert found["Garage"].car_kwh == 0.0
    assert found["Carport"].car_kwh == pytest.approx(whole.car_kwh)
    assert whole.car_kwh == pytest.approx(6.0 * (20 + 9 * 30) / 3600, abs=0.01)


def test_only_a_home_with_several_chargers_has_parts(history: History) -> None:
    assert history.parts("home") == ["home/EH1", "home/EH2"]
    assert history.parts("ho") == history.parts("home/EH1") == []


def test_the_table_has_a_row_for_each_charger() -> None:
    table = as_charger_table(
        {"Carport": ChargerEnergy(4.0, 3.0, 0.0, 1.0), "Garage": ChargerEnergy()}
    )
    assert "| Carport | 4.0 | 3.0 | 0.0 | 1.0 | 75 % |" in table
    assert table.count("\n") == 3
