"""What the summaries need of the history: fast frames, stored days, and older databases."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.energy.accounting import Energy
from easee_load_balancer.energy.power_flows import COLUMNS
from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history.store import Cycle, DailyEnergy, History
from easee_load_balancer.measurements import ChargerState, InverterReading
from easee_load_balancer.periods import Period
from easee_load_balancer.reports.summary import look_into, sum_up
from tests.support.postgres import Postgres
from tests.support.simulated_day import STOCKHOLM

NOON = datetime(2026, 6, 21, 10, 0, 0, 250_000, tzinfo=UTC)
DAY = date(2026, 6, 21)
NOW = datetime(2026, 7, 1, tzinfo=UTC)


def cycle(at: datetime, pv_w: float = 5000.0, site: str = "home") -> Cycle:
    inverter = InverterReading(
        taken_at=at,
        grid_export_w=pv_w,
        battery_charge_w=0.0,
        battery_soc_pct=None,
        has_battery=False,
        pv_w=pv_w,
        inverter_ac_w=pv_w,
    )
    return Cycle.of(
        site=site,
        scheduled_at=at,
        at=at,
        run_id="run",
        mode="solar",
        inverter=inverter,
        charger=ChargerState.unknown(at),
        decision=Decision(None, push=False, reason="no car connected", state=ControllerState()),
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[History]:
    """An empty database of each kind."""
    url = f"sqlite:///{tmp_path / 'history.db'}"
    if request.param == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.empty_database()
    opened = History(url)
    yield opened
    opened.close()


@pytest.fixture
def file_history(tmp_path: Path) -> History:
    return History(f"sqlite:///{tmp_path / 'history.db'}")


def test_a_frame_has_the_cycles_of_the_site_and_time(history: History) -> None:
    later = NOON + timedelta(minutes=1)
    history.record_all([cycle(later), cycle(NOON), cycle(NOON, site="elsewhere")])
    found = history.cycles("home", NOON, later)
    assert found["at"].tolist() == [NOON]
    assert found["pv_w"].tolist() == [5000.0]
    assert found["car_w"].isna().all()
    assert found["reason"].tolist() == ["no car connected"]
    assert "memory" not in found
    assert history.cycles("home", NOON, NOW, COLUMNS).columns.tolist() == list(COLUMNS)


def test_a_frame_without_cycles_has_the_same_types(history: History) -> None:
    empty = history.cycles("home", NOON, NOW)
    history.record(cycle(NOON))
    assert empty.dtypes.equals(history.cycles("home", NOON, NOW).dtypes)


def test_the_table_of_days_has_every_account(history: History) -> None:
    accounts = {field.name for field in fields(Energy)}
    columns = set(DailyEnergy.__table__.columns.keys())
    assert columns - accounts == {"site", "day", "time_zone", "currency"}
    assert accounts <= columns


def test_a_day_stored_again_is_replaced(history: History) -> None:
    for pv_kwh in (1.0, 2.0):
        one = Energy(pv_kwh=pv_kwh, saved=None)
        history.record_days(
            [DailyEnergy(site="home", day=DAY, time_zone="UTC", currency=None, **asdict(one))]
        )
    row = history.day("home", DAY, "UTC")
    assert row is not None
    assert row.energy == Energy(pv_kwh=2.0)
    assert history.day("home", DAY, "Europe/Stockholm") is None


def test_a_day_outlives_its_cycles(file_history: History, tmp_path: Path) -> None:
    file_history.record_all(cycle(NOON + timedelta(seconds=30 * n)) for n in range(60))
    period = Period.around(DAY, "month", STOCKHOLM)
    before = sum_up(file_history, "home", period, None, NOW)
    assert next(iter(before.days)) == DAY
    with sqlite3.connect(tmp_path / "history.db") as database:
        database.execute("DELETE FROM cycles")
    after = sum_up(file_history, "home", Period.around(DAY, "day", STOCKHOLM), None, NOW)
    assert after.total == before.days[DAY]


def test_a_day_that_is_not_over_is_summed_up_so_far_and_not_stored(history: History) -> None:
    history.record_all(cycle(NOON + timedelta(seconds=30 * n)) for n in range(60))
    history.record(cycle(NOON - timedelta(days=2)))
    now = NOON + timedelta(minutes=30)
    period = Period.around(DAY, "day", STOCKHOLM)
    total = sum_up(history, "home", period, None, now).total
    # local midnight is at 22:00 UTC
    assert total.period_s == pytest.approx(12.5 * 3600 + 0.25)
    assert total.pv_kwh == pytest.approx(5 * total.measured_s / 3600)
    assert history.day("home", DAY, STOCKHOLM.key) is None


def test_the_first_day_of_all_begins_with_its_first_cycle(history: History) -> None:
    history.record_all(cycle(NOON + timedelta(seconds=30 * n)) for n in range(60))
    period = Period.around(DAY, "day", STOCKHOLM)
    total = sum_up(history, "home", period, None, NOON + timedelta(minutes=30)).total
    assert (total.cycles, total.cycles_missed) == (60, 0)
    assert total.period_s == 1800
    assert look_into(history, "home", period, NOW).start == NOON


def test_a_damaged_database_is_said_plainly(file_history: History, tmp_path: Path) -> None:
    file_history.record_all(cycle(NOON + timedelta(seconds=30 * n)) for n in range(2000))
    file_history.close()
    path = tmp_path / "history.db"
    with path.open("r+b") as file:
        file.seek(40_000)
        file.write(b"\x00\xff" * 100_000)
    with pytest.raises(HistoryError, match="could not be read"):
        file_history.cycles("home", NOON, NOW)


def test_a_database_of_an_earlier_version_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    History(f"sqlite:///{path}").close()
    with sqlite3.connect(path) as database:
        database.execute("DROP INDEX ix_cycles_site_at")
        database.execute("ALTER TABLE cycles DROP COLUMN car_phases")
        database.execute("DROP TABLE daily_energy")
    history = History(f"sqlite:///{path}")
    history.record(cycle(NOON))
    assert history.cycles("home", NOON, NOW)["car_phases"].isna().all()
    assert history.day("home", DAY, "UTC") is None
    with sqlite3.connect(path) as database:
        names = [row[1] for row in database.execute("PRAGMA index_list('cycles')")]
    assert "ix_cycles_site_at" in names
