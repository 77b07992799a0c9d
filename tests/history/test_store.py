"""The history in SQLite and in PostgreSQL."""

from __future__ import annotations

import math
import os
import resource
import stat
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import create_engine, text

from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history.store import Cycle, History, open_history
from easee_load_balancer.measurements import ChargerMode, ChargerState, InverterReading, Setpoint
from easee_load_balancer.system.processes import free_port
from tests.support.paths import PROJECT
from tests.support.postgres import PASSWORD, Postgres

NOON = datetime(2026, 6, 21, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

WRITER = """
import sys
from datetime import UTC, datetime, timedelta
from easee_load_balancer.history.store import Cycle, History
from tests.support.paths import PROJECT

for line in sys.stdin:
    url, site = line.split()
    history = History(url)
    for minute in range(40):
        at = datetime(2026, 6, 21, 12, minute, tzinfo=UTC)
        history.record(
            Cycle(
site=site, scheduled_at=at, at=at, run_id="", outcome="", reason="", controller_state={})
        )
    history.close()
    print("done", flush=True)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'history.db'}"
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.empty_database()


@contextmanager
def opened(url: str) -> Iterator[History]:
    """A history that is closed at the end."""
    history = History(url)
    try:
        yield history
    finally:
        history.close()


@pytest.fixture
def history(url: str) -> Iterator[History]:
    """An empty history in each kind of database."""
    with opened(url) as empty:
        yield empty


def cycle(minute: float = 0, site: str = "home", **columns: Any) -> Cycle:
    """A cycle so many minutes after noon that knows nothing else."""
    at = NOON + minute * MINUTE
    known = {"run_id": "run", "outcome": "held", "reason": "", "controller_state": {}}
    return Cycle(site=site, **({"scheduled_at": at, "at": at} | known | columns))


def execute(url: str, statement: str) -> Any:
    """The first value that a statement of plain SQL returns, if any."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        result = connection.execute(text(statement))
        value = result.scalar() if result.returns_rows else None
    engine.dispose()
    return value


def test_an_empty_history(history: History) -> None:
    assert history.last_cycle("home") is None
    frame = history.cycles("home", NOON, NOON + MINUTE)
    assert frame.empty
    assert "car_w" in frame


def test_storing_a_cycle_again_replaces_it(history: History, url: str) -> None:
    history.record(cycle(outcome="held", car_w=1.0))
    history.record(cycle(outcome="failed", car_w=None))
    history.record(cycle(outcome="failed", car_w=None))
    assert execute(url, "SELECT count(*) FROM cycles") == 1
    last = history.last_cycle("home")
    assert last is not None
    assert (last.outcome, last.car_w) == ("failed", None)


def test_the_last_cycle_is_the_one_that_ran_last(history: History) -> None:
    """The clock was set back by two minutes after the second."""
    for minute in (2, 3, 1):
        history.record(cycle(minute, at=NOON - minute * MINUTE))
    history.record(cycle(9, site="cabin"))
    last = history.last_cycle("home")
    assert last is not None
    assert last.scheduled_at == NOON + 1 * MINUTE
    assert last.scheduled_at.tzinfo is UTC
    assert history.last_cycle("nowhere") is None


def test_a_cycle_from_the_future_replaces_none() -> None:
    noon = cycle(0)
    assert noon.replaces(NOON, NOON + MINUTE)
    assert noon.replaces(NOON - MINUTE, NOON + MINUTE)
    assert not noon.replaces(NOON + MINUTE, NOON + MINUTE)
    assert not noon.replaces(NOON - MINUTE, NOON - MINUTE)


def test_without_a_note_the_newest_cycle_is_the_last(history: History, url: str) -> None:
    """A history of an earlier version."""
    history.record(cycle(1), cycle(2))
    execute(url, "DELETE FROM last_cycles")
    last = history.last_cycle("home")
    assert last is not None
    assert last.scheduled_at == NOON + 2 * MINUTE


def test_what_is_remembered_comes_back(history: History, url: str) -> None:
    memory = {"pushed_at": NOON.isoformat(), "setpoint_a": None, "samples": [1, 2.5], "øre": True}
    history.record(cycle(controller_state=memory))
    with opened(url) as another:
        last = another.last_cycle("home")
    assert last is not None
    assert last.controller_state == memory


def test_unknown_is_null_and_zero_is_zero(history: History, url: str) -> None:
    history.record(cycle(0, pv_w=0.0, grid_export_w=-1.5, setpoint_a=0))
    history.record(cycle(1, pv_w=None, setpoint_a=None))
    assert execute(url, "SELECT count(*) FROM cycles WHERE pv_w IS NULL") == 1
    assert execute(url, "SELECT count(*) FROM cycles WHERE pv_w = 0 AND setpoint_a = 0") == 1
    frame = history.cycles("home", NOON, NOON + 2 * MINUTE)
    assert frame["pv_w"][0] == 0
    assert frame["setpoint_a"][0] == 0
    for name in ("pv_w", "grid_export_w", "setpoint_a", "car_w"):
        assert frame[name].dtype == "float64"
        assert math.isnan(frame[name][1])


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_columns_do_not_depend_on_what_is_in_them(rows: int, history: History) -> None:
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
    for name in ("scheduled_at", "at"):
        assert isinstance(frame[name].dtype, pd.DatetimeTZDtype)
        assert str(frame[name].dt.tz) == "UTC"
    for name in frame.columns[7:]:
        assert frame[name].dtype == "float64"


def test_cycles_of_a_time_by_time(history: History) -> None:
    for minute in (3, 1, 2, 0, 4):
        scheduled_at = NOON - minute * MINUTE
        history.record(cycle(car_w=minute, at=NOON + minute * MINUTE, scheduled_at=scheduled_at))
    history.record(cycle(2, site="cabin"))
    home = timezone(timedelta(hours=2))
    start, end = NOON.astimezone(home) + MINUTE, NOON.astimezone(home) + 4 * MINUTE
    frame = history.cycles("home", start, end)
    assert list(frame["car_w"]) == [1, 2, 3]
    assert list(frame["at"]) == [NOON + minute * MINUTE for minute in (1, 2, 3)]


def test_times_of_any_zone_are_the_same_moment(history: History, url: str) -> None:
    home = timezone(timedelta(hours=2))
    history.record(cycle())
    again = cycle()
    again.scheduled_at = again.at = NOON.astimezone(home)
    history.record(again)
    assert execute(url, "SELECT count(*) FROM cycles") == 1
    last = history.last_cycle("home")
    assert last is not None
    assert (last.at, last.at.utcoffset()) == (NOON, timedelta(0))


OUTCOMES: list[tuple[str, dict[str, Any]]] = [
    ("pushed", {"push": True}),
    ("held", {"push": False}),
    ("asleep", {"push": True, "asleep": True}),
    ("failed", {"push": True, "failure": "The inverter does not answer."}),
]


@pytest.mark.parametrize(("outcome", "case"), OUTCOMES)
def test_a_cycle_tells_what_happened(outcome: str, case: dict[str, Any], history: History) -> None:
    inverter = InverterReading.unknown(NOON)
    charger = ChargerState.unknown(NOON)
    if case.get("asleep"):
        inverter = InverterReading.sleeping(NOON)
    setpoint = Setpoint(11, 3) if case["push"] else None
    decision = Decision(setpoint, push=case["push"], reason="sunny", state=ControllerState())
    row = Cycle.of(
        site="home",
        scheduled_at=NOON,
        at=NOON + MINUTE,
        run_id="run",
        mode="solar",
        inverter=inverter,
        charger=charger,
        decision=decision,
        failure=case.get("failure"),
    )
    history.record(row)
    last = history.last_cycle("home")
    assert last is not None
    assert (last.scheduled_at, last.at) == (NOON, NOON + MINUTE)
    assert (last.outcome, last.reason) == (outcome, case.get("failure", "sunny"))
    assert (last.setpoint_a, last.setpoint_phases) == ((11, 3) if setpoint else (None, None))
    assert last.pv_w == (0 if case.get("asleep") else None)
    assert last.controller_state == ControllerState().model_dump(mode="json")


def test_enumerations_are_numbers(history: History) -> None:
    history.record(cycle(charger_mode=ChargerMode.CHARGING))
    last = history.last_cycle("home")
    assert last is not None
    assert last.charger_mode == 3


@pytest.fixture(scope="module")
def writers() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that write 40 cycles to the URL and site in each line that they are sent."""
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
        process.communicate(timeout=10)


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
        for site in sites:
            assert len(history.cycles(site, NOON, NOON + timedelta(hours=1))) == 40


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


def test_a_full_disk_is_reported_and_survived(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path / 'history.db'}") as history:
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


def test_sqlite_survives_power_cuts_and_is_its_owners_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'history.db'}"
    with opened(url) as history:
        history.record(cycle())
        files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
        assert files == dict.fromkeys(("history.db", "history.db-wal", "history.db-shm"), 0o600)
        assert execute(url, "PRAGMA journal_mode") == "wal"


def test_a_history_is_opened_once_per_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'history.db'}"
    assert open_history(url) is open_history(url)
    open_history(url).close()
    with pytest.raises(HistoryError):
        open_history("sqlite:////no/such/folder/history.db")
