"""The history in SQLite and in PostgreSQL."""

from __future__ import annotations

import math
import os
import resource
import socket
import stat
import subprocess
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, date, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.energy.power_flows import COLUMNS
from easee_load_balancer.energy.totals import Energy
from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history.database import Database
from easee_load_balancer.history.store import History, open_history
from easee_load_balancer.history.tables import Cycle, DailyEnergy
from easee_load_balancer.measurements import ChargerMode, ChargerState, InverterReading, Setpoint
from easee_load_balancer.system.processes import free_port
from easee_load_balancer.system.silence import SERVER_SIDE
from tests.support.history import (
    HOUR,
    MINUTE,
    NOON,
    cycle,
    execute,
    insert,
    last_cycle,
    measured,
    opened,
)
from tests.support.paths import PROJECT
from tests.support.postgres import PASSWORD, Postgres

DAY = date(2026, 6, 21)
WRITER = """
import sys
from tests.support.history import cycle, opened

for line in sys.stdin:
    url, site = line.split()
    with opened(url) as history:
        for minute in range(40):
            history.record(cycle(minute, site))
    print("done", flush=True)
"""


def test_a_recorded_cycle_is_on_the_disk(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/history.db")
    with database.used("read") as engine, engine.connect() as connection:
        names = ("journal_mode", "synchronous")
        assert [connection.scalar(text(f"PRAGMA {name}")) for name in names] == ["wal", 2]


def test_an_empty_history_has_no_cycle_and_frames_of_the_same_types(history: History) -> None:
    assert history.last_cycle("home") is None
    empty = history.cycles("home", NOON, NOON + MINUTE)
    assert empty.empty
    history.record(cycle())
    assert empty.dtypes.equals(history.cycles("home", NOON, NOON + MINUTE).dtypes)


def test_storing_a_cycle_again_replaces_it(history: History, url: str) -> None:
    history.record(cycle(outcome="held", car_w=1.0))
    for _ in range(2):
        history.record(cycle(outcome="failed", car_w=None))
    assert execute(url, "SELECT count(*) FROM cycles") == 1
    last = last_cycle(history)
    assert (last.outcome, last.car_w) == ("failed", None)


def test_the_last_cycle_is_the_one_that_ran_last(history: History, url: str) -> None:
    """The clock was set back by two minutes after the second."""
    for minute in (2, 3, 1):
        history.record(cycle(minute, at=NOON - minute * MINUTE))
    history.record(cycle(9, site="cabin"))
    last = last_cycle(history)
    assert last.scheduled_at == NOON + 1 * MINUTE
    assert last.scheduled_at.tzinfo is UTC
    assert history.last_cycle("nowhere") is None
    # as in a history that was written before there was this table
    execute(url, "DELETE FROM last_cycles")
    assert last_cycle(history).scheduled_at == NOON + 3 * MINUTE


@pytest.mark.parametrize(
    ("due", "starts", "replaced"),
    [
        pytest.param(0, 1, True, id="the same cycle"),
        pytest.param(-1, 1, True, id="an older one"),
        pytest.param(1, 1, False, id="a newer one"),
        pytest.param(-1, -1, False, id="the clock was set back"),
    ],
)
def test_a_cycle_replaces_those_due_before_it(due: int, starts: int, replaced: bool) -> None:
    assert cycle(0).replaces(NOON + due * MINUTE, NOON + starts * MINUTE) == replaced


def test_the_controller_state_comes_back(history: History, url: str) -> None:
    state = {"pushed_at": NOON.isoformat(), "setpoint_a": None, "samples": [1, 2.5], "øre": True}
    history.record(cycle(controller_state=state))
    with opened(url) as another:
        assert last_cycle(another).controller_state == state


def test_of_the_states_the_newest_and_the_last_of_each_quarter_hour_are_kept(
    history: History,
) -> None:
    for minute in (*range(13, 18), 17):  # the last one is stored again
        history.record(cycle(minute, controller_state={"setpoint_a": minute}))
    history.record(cycle(18, controller_state={"setpoint_a": 18}), cycle(18, site="cabin"))
    befores = [history.cycle_before("home", NOON + minute * MINUTE) for minute in range(14, 20)]
    states = [one.controller_state for one in befores if one is not None]
    assert states == [{}, {"setpoint_a": 14}, {}, {}, {}, {"setpoint_a": 18}]


def test_old_cycles_of_a_site_and_its_chargers_are_deleted(history: History, url: str) -> None:
    for site in ("home", "home/EH123456", "cabin"):
        history.record(*(cycle(day * 24 * 60, site=site) for day in (0, 1, 100)))
    assert history.delete_cycles("home", NOON) == 0
    assert history.delete_cycles("home", NOON + 2 * 24 * HOUR) == 4
    assert execute(url, "SELECT count(*) FROM cycles WHERE site = 'home'") == 1
    assert execute(url, "SELECT count(*) FROM cycles WHERE site = 'cabin'") == 3


def test_at_most_a_month_is_deleted_at_once(history: History) -> None:
    history.record(*(cycle(day * 24 * 60) for day in range(35)))
    later = NOON + 33 * 24 * HOUR
    assert [history.delete_cycles("home", later) for _ in range(3)] == [31, 2, 0]


def test_unknown_is_null_and_zero_is_zero(history: History, url: str) -> None:
    history.record(cycle(0, pv_w=0.0, grid_export_w=-1.5, setpoint_a=0))
    history.record(cycle(1, pv_w=None, setpoint_a=None))
    assert execute(url, "SELECT count(*) FROM cycles WHERE pv_w IS NULL") == 1
    assert execute(url, "SELECT count(*) FROM cycles WHERE pv_w = 0 AND setpoint_a = 0") == 1
    frame = history.cycles("home", NOON, NOON + 2 * MINUTE)
    assert (frame["pv_w"][0], frame["setpoint_a"][0]) == (0, 0)
    assert all(math.isnan(frame[name][1]) for name in ("pv_w", "grid_export_w", "setpoint_a"))


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_columns_do_not_depend_on_their_values(rows: int, history: History) -> None:
    for minute in range(rows):
        history.record(cycle(minute, car_w=None if minute == 0 else 3680.0))
    frame = history.cycles("home", NOON, NOON + 2 * MINUTE)
    assert len(frame) == rows
    assert list(frame.columns) == [
        *("site", "scheduled_at", "at", "run_id", "outcome", "reason", "mode"),
        *("pv_w", "inverter_ac_w", "grid_export_w", "battery_charge_w", "battery_soc_pct"),
        *("car_w", "car_age_s", "car_phases", "charger_mode", "surplus_w"),
        *("setpoint_a", "setpoint_phases", "exported_kwh", "imported_kwh"),
        *("charged_kwh", "discharged_kwh", "session_kwh"),
    ]
    assert all(str(frame[name].dt.tz) == "UTC" for name in ("scheduled_at", "at"))
    assert all(frame[name].dtype == "float64" for name in frame.columns[7:])
    assert list(history.cycles("home", NOON, NOON + HOUR, COLUMNS)) == list(COLUMNS)


def test_cycles_come_in_the_order_of_time_whatever_the_zone(history: History) -> None:
    for minute in (3, 1, 2, 0, 4):
        scheduled_at = NOON - minute * MINUTE
        history.record(cycle(car_w=minute, at=NOON + minute * MINUTE, scheduled_at=scheduled_at))
    history.record(cycle(2, site="cabin"))
    noon_at_home = NOON.astimezone(timezone(timedelta(hours=2)))
    frame = history.cycles("home", noon_at_home + MINUTE, noon_at_home + 4 * MINUTE)
    assert list(frame["car_w"]) == [1, 2, 3]
    assert list(frame["at"]) == [NOON + minute * MINUTE for minute in (1, 2, 3)]


def test_times_of_any_zone_are_the_same_moment(history: History, url: str) -> None:
    history.record(cycle())
    again = cycle()
    again.scheduled_at = again.at = NOON.astimezone(timezone(timedelta(hours=2)))
    history.record(again)
    assert execute(url, "SELECT count(*) FROM cycles") == 1
    last = last_cycle(history)
    assert (last.at, last.at.utcoffset()) == (NOON, timedelta(0))


@pytest.mark.parametrize(
    ("outcome", "case"),
    [
        ("attention", {"attention": "the meter does not see the car", "push": True}),
        ("pushed", {"push": True}),
        ("held", {"push": False}),
        ("asleep", {"push": True, "asleep": True}),
        ("failed", {"push": True, "failure": "The inverter does not answer."}),
    ],
)
def test_a_cycle_says_what_happened(outcome: str, case: dict[str, Any], history: History) -> None:
    asleep = case.get("asleep", False)
    setpoint = Setpoint(11, 3) if case["push"] else None
    row = Cycle.of(
        site="home",
        scheduled_at=NOON,
        at=NOON + MINUTE,
        run_id="run",
        mode="solar",
        inverter=InverterReading.sleeping(NOON) if asleep else InverterReading.unknown(NOON),
        charger=ChargerState.unknown(NOON),
        decision=Decision(
            setpoint,
            push=case["push"],
            reason="sunny",
            state=ControllerState(),
            attention=case.get("attention"),
        ),
        failure=case.get("failure"),
    )
    row.charger_mode = ChargerMode.CHARGING
    history.record(row)
    last = last_cycle(history)
    assert (last.scheduled_at, last.at) == (NOON, NOON + MINUTE)
    assert (last.outcome, last.reason) == (outcome, case.get("failure", "sunny"))
    assert (last.setpoint_a, last.setpoint_phases) == ((11, 3) if setpoint else (None, None))
    assert (last.pv_w, last.charger_mode) == (0 if asleep else None, 3)
    assert last.controller_state == ControllerState().model_dump(mode="json")


def test_storing_a_day_again_replaces_it(history: History) -> None:
    for pv_kwh in (1.0, 2.0):
        energy = Energy(pv_kwh=pv_kwh, starts=3, saved=None)
        history.record_days(
            [DailyEnergy(site="home", day=DAY, time_zone="UTC", currency=None, energy=energy)]
        )
    row = history.day("home", DAY, "UTC")
    assert row is not None
    assert row.energy == Energy(pv_kwh=2.0, starts=3)
    assert history.day("home", DAY, "Europe/Stockholm") is None


def test_cloud_calls_add_up_within_a_day_that_begins_at_any_quarter(history: History) -> None:
    for minute in (0, 14, 15, 29, 30):
        calls = {"observations": 1} | ({"login": 2} if not minute else {})
        history.record(cycle(minute), calls=calls)
    quarter = 15 * MINUTE
    assert history.cloud_calls("home", NOON, NOON + quarter) == {"login": 2, "observations": 2}
    assert history.cloud_calls("home", NOON + quarter, NOON + 3 * quarter) == {"observations": 3}
    assert history.cloud_calls("cabin", NOON, NOON + quarter) == {}


@pytest.fixture(scope="module")
def writers() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that write 40 cycles for each line with a URL and a site."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
            env=os.environ | {"PYTHONPATH": str(PROJECT)},
        )
        for _ in range(2)
    ]
    yield processes
    for process in processes:
        process.communicate(timeout=60)


def test_processes_write_at_the_same_time(writers: list[subprocess.Popen[str]], url: str) -> None:
    sites = ("home", "cabin")
    for writer, site in zip(writers, sites, strict=True):
        assert writer.stdin is not None
        writer.stdin.write(f"{url} {site}\n")
        writer.stdin.flush()
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "done\n"
    with opened(url) as history:
        assert [len(history.cycles(site, NOON, NOON + HOUR)) for site in sites] == [40, 40]


def test_a_lost_table_is_reported(history: History, url: str) -> None:
    execute(url, "DROP TABLE cycles")
    for call in (
        lambda: history.record(cycle()),
        lambda: history.last_cycle("home"),
        lambda: history.cycles("home", NOON, NOON),
    ):
        with pytest.raises(HistoryError, match=r"history at (sqlite|postgresql)") as error:
            call()
        assert PASSWORD not in str(error.value)
        assert len(str(error.value)) < 300


def test_connections_that_the_server_closed_are_replaced(postgres: Postgres) -> None:
    url = postgres.empty_database()
    with opened(url) as history:
        history.record(cycle(0))
        postgres.execute(
            "DO $$ BEGIN PERFORM pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE client_port IS NOT NULL AND pid <> pg_backend_pid(); END $$"
        )
        history.record(cycle(1))
        assert len(history.cycles("home", NOON, NOON + 2 * MINUTE)) == 2


def test_both_ends_of_a_connection_notice_that_the_other_is_silent(postgres: Postgres) -> None:
    database = Database(postgres.empty_database())
    with database.used("read") as engine, engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        with socket.socket(fileno=os.dup(raw.fileno())) as line:
            client_ms = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            idle_s = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        assert (client_ms, idle_s) == (8000, 10)
        connection.rollback()  # what is set is not a part of any transaction
        server = [connection.scalar(text(f"SHOW {name}")) for name in SERVER_SIDE]
        assert [*map(int, server)] == [10, 5, 3, 15000]
    database.close()


@pytest.mark.parametrize(
    "wrong",
    [
        "nonsense pw-of-nobody",
        "foo://owner:pw-of-nobody@localhost/db",
        "mysql://owner:pw-of-nobody@localhost/db",
        "postgresql://owner:pw-of-nobody@localhost:port/db",
        "postgresql://owner:pw-of-nobody/db",
        "postgresql://owner:with:pw-of-nobody/@localhost/db",
        "postgresql://owner:pw-of-nobody@no-such-host.invalid/db",
        "postgresql://127.0.0.1:{port}/db?user=owner&password=pw-of-nobody",
        "postgresql://owner:pw-of-nobody@127.0.0.1:{port}/db",
        "sqlite:////no/such/folder/history.db",
        "sqlite:////dev",
    ],
)
def test_a_wrong_url_is_reported_without_password(wrong: str) -> None:
    with pytest.raises(HistoryError, match="history") as error:
        History(wrong.format(port=free_port()))
    assert "pw-of-nobody" not in "".join(traceback.format_exception(error.value))


def test_a_wrong_password_is_reported_without_it(postgres: Postgres) -> None:
    url = postgres.empty_database().replace(PASSWORD, "pw-of-nobody")
    with pytest.raises(HistoryError, match="password authentication failed") as error:
        History(url)
    assert "pw-of-nobody" not in str(error.value)


def test_a_file_that_is_no_database_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "history.db"
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(HistoryError, match=f"{file} could not be opened .*not a database"):
        History(f"sqlite:///{file}")


def test_a_damaged_database_is_reported(tmp_path: Path, sqlite_url: str) -> None:
    insert(sqlite_url, measured(1000))
    with (tmp_path / "history.db").open("r+b") as file:
        file.seek(200_000)
        file.write(b"\x00\xff" * 100_000)
    with opened(sqlite_url) as history, pytest.raises(HistoryError, match="could not be read"):
        history.cycles("home", NOON, NOON + 24 * HOUR)


def test_a_full_disk_is_reported_and_survived(sqlite_url: str) -> None:
    with opened(sqlite_url) as history:
        history.record(cycle(0))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
        try:
            with pytest.raises(HistoryError, match=r"could not be written .*disk full"):
                history.record(cycle(1, reason="x" * 1_000_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        history.record(cycle(2))
        frame = history.cycles("home", NOON, NOON + 5 * MINUTE)
    assert list(frame["at"]) == [NOON, NOON + 2 * MINUTE]


def test_sqlite_survives_power_cuts_and_only_its_owner_can_read_it(
    tmp_path: Path, sqlite_url: str
) -> None:
    with opened(sqlite_url) as history:
        history.record(cycle())
        files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
        assert files == dict.fromkeys(("history.db", "history.db-wal", "history.db-shm"), 0o600)
        assert execute(sqlite_url, "PRAGMA journal_mode") == "wal"


def test_a_history_is_opened_once_per_process(sqlite_url: str) -> None:
    assert open_history(sqlite_url) is open_history(sqlite_url)
    open_history(sqlite_url).close()
    with pytest.raises(HistoryError):
        open_history("sqlite:////no/such/folder/history.db")
