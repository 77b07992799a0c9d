"""The totals of a day against the simulated house's true energies, with all kinds of faults."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from easee_load_balancer.energy.day_so_far import DaySoFar, Sample
from easee_load_balancer.energy.totals import Energy
from easee_load_balancer.history.store import History
from easee_load_balancer.periods import Period
from easee_load_balancer.reports.summary import day_detail, sum_up
from easee_load_balancer.simulation.plant.plant import BatterySpec
from tests.support.history import insert
from tests.support.simulated_day import STOCKHOLM, Troubles, Watched, watch_day

HOUR = 3600
NOW = datetime(2027, 1, 1, tzinfo=UTC)

TROUBLES = Troubles(
    no_cycles=((11 * HOUR + 600, 11 * HOUR + 2400), (15 * HOUR, 15 * HOUR + 180)),
    inverter_unknown=((13 * HOUR, 13 * HOUR + 300),),
    charger_unknown=((14 * HOUR, 14 * HOUR + 600),),
    reboots=(12 * HOUR,),
    trips=((9 * HOUR + 1800, 10 * HOUR + 720),),
    lost_share=0.02,
)


@dataclass(frozen=True)
class SummedDay:
    """A simulated day and its totals."""

    watched: Watched
    energy: Energy
    truth: dict[str, float]
    stretches: int
    """Parts of the day between gaps."""
    samples: list[Sample]


def summed_day(folder: Path, watched: Watched, day: date) -> SummedDay:
    url = f"sqlite:///{folder / 'history.db'}"
    insert(url, watched.cycles)
    history = History(url)
    period = Period.around(day, "day", STOCKHOLM)
    energy = sum_up(history, "home", period, None, NOW).total
    detail = day_detail(history, "home", period, NOW)
    rows = history.values("home", watched.start, watched.end, Sample._fields)
    history.close()
    truth, stretches = watched.truth(detail.flows), len(detail.gaps) + 1
    return SummedDay(watched, energy, truth, stretches, [Sample(*row) for row in rows])


@pytest.fixture(scope="module")
def autumn(tmp_path_factory: pytest.TempPathFactory) -> SummedDay:
    """25 hours with passing clouds, a battery, and all faults."""
    day = date(2026, 10, 25)
    watched = watch_day(day, battery=BatterySpec(), troubles=TROUBLES, interval_s=10)
    return summed_day(tmp_path_factory.mktemp("autumn"), watched, day)


@pytest.fixture(scope="module")
def spring(tmp_path_factory: pytest.TempPathFactory) -> SummedDay:
    """23 hours with a clear sky and without a battery: the inverter sleeps at night."""
    day = date(2026, 3, 29)
    watched = watch_day(day, "clear", battery=None, troubles=TROUBLES, interval_s=30)
    return summed_day(tmp_path_factory.mktemp("spring"), watched, day)


@pytest.mark.parametrize("season", ["autumn", "spring"])
def test_totals_match_the_true_energies(season: str, request: pytest.FixtureRequest) -> None:
    summed: SummedDay = request.getfixturevalue(season)
    # a counter gives the energy between two gaps to its step of 0.01 kWh
    resolution = 0.01 * math.sqrt(summed.stretches)
    allowed = {
        name: max((0.02 if name.startswith("car_from") else 0.01) * kwh, resolution)
        for name, kwh in summed.truth.items()
    }
    print(f"\n{season}: kWh{'':18}here    house")
    for name, kwh in summed.truth.items():
        ours = getattr(summed.energy, name)
        print(f"{name:22} {ours:9.3f} {kwh:9.3f} {ours - kwh:+9.3f} of {allowed[name]:.3f}")
    for name, kwh in summed.truth.items():
        assert getattr(summed.energy, name) == pytest.approx(kwh, abs=allowed[name]), name


def test_measured_time_and_gaps_add_up_to_the_counters_of_the_day(autumn: SummedDay) -> None:
    energy, watched = autumn.energy, autumn.watched
    for real, name in (
        ("imported_kwh", "meter_import"),
        ("exported_kwh", "meter_export"),
        ("charged_kwh", "battery_charged"),
        ("discharged_kwh", "battery_discharged"),
    ):
        day = watched.counted(real, watched.start, watched.end)
        counted = getattr(energy, f"{name}_kwh") + getattr(energy, f"{name}_gaps_kwh")
        assert counted == pytest.approx(day, rel=0.01, abs=0.02), name


@pytest.mark.parametrize(("season", "hours"), [("autumn", 25), ("spring", 23)])
def test_length_of_the_day_and_its_gaps_are_known(
    season: str, hours: int, request: pytest.FixtureRequest
) -> None:
    summed: SummedDay = request.getfixturevalue(season)
    energy = summed.energy
    assert energy.period_s == hours * HOUR
    assert 1800 <= energy.longest_gap_s <= 1920
    # 30 min and 3 min without cycles, 5 min without the inverter
    assert 2280 <= energy.unmeasured_s <= 2280 + 200
    assert 600 <= energy.car_unknown_s <= 700
    interval_s = 10 if season == "autumn" else 30
    assert energy.cycles + energy.cycles_missed == hours * HOUR / interval_s
    assert (energy.grid_unknown_s > 6 * HOUR) == (season == "spring")


@pytest.mark.parametrize("season", ["autumn", "spring"])
def test_starts_match_the_charger(season: str, request: pytest.FixtureRequest) -> None:
    summed: SummedDay = request.getfixturevalue(season)
    assert summed.watched.starts >= 2
    # those in the gaps cannot be seen
    assert 0.8 * summed.watched.starts <= summed.energy.starts <= summed.watched.starts
    assert 0 < summed.energy.phase_changes <= summed.watched.phase_changes


@pytest.mark.parametrize("season", ["autumn", "spring"])
def test_samples_agree_with_counters(season: str, request: pytest.FixtureRequest) -> None:
    energy = request.getfixturevalue(season).energy
    assert energy.meter_export_kwh == pytest.approx(energy.export_sampled_kwh, rel=0.02)
    assert energy.charger_session_kwh == pytest.approx(energy.car_kwh, rel=0.02)
    assert energy.meter_import_kwh == pytest.approx(energy.import_sampled_kwh, abs=0.1)
    assert energy.meter_export_gaps_kwh > 0


@pytest.mark.parametrize("season", ["autumn", "spring"])
def test_the_day_so_far_is_near_the_summary(season: str, request: pytest.FixtureRequest) -> None:
    """Without counters and with missing values held: within 3 % or 0.15 kWh."""
    summed: SummedDay = request.getfixturevalue(season)
    watched, energy = summed.watched, summed.energy
    day = DaySoFar(watched.start, watched.end)
    for sample in summed.samples:
        day.add(sample, gain=0.2)
    so_far = {
        "pv_kwh": day.total.pv,
        "house_kwh": day.total.house,
        "car_from_solar_kwh": day.total.car_from_solar,
        "car_from_grid_kwh": day.total.car_from_grid,
        "car_from_battery_kwh": day.total.car_from_battery,
        "import_kwh": day.total.imported,
        "export_kwh": day.total.exported,
    }
    for name, watt_seconds in so_far.items():
        expected = pytest.approx(getattr(energy, name), rel=0.03, abs=0.15)
        assert watt_seconds / 3.6e6 == expected, name
    assert day.saved == pytest.approx(day.total.car_from_solar / 3.6e6 * 0.2)
    assert day.bin_count == {"autumn": 100, "spring": 92}[season]
