"""Backtests: a recorded day played again, the policy's form, CSV days, what is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from easee_load_balancer.backtest.policy_change import PolicyChange
from easee_load_balancer.backtest.recorded_days import (
    AROUND,
    COLUMNS,
    Clues,
    Recorded,
    csv_days,
    recorded_day,
)
from easee_load_balancer.backtest.replay import ENDLESS_KWH, House, PastDay, Samples, Stay, replay
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.history.store import History
from easee_load_balancer.periods import Period
from easee_load_balancer.reports.backtest_charts import backtest_picture
from easee_load_balancer.reports.backtest_page import Backtest, Replayed, headline, markdown, total
from easee_load_balancer.simulation.plant.charger import CarSpec
from easee_load_balancer.simulation.plant.closed_loop import Outcome, Trace
from easee_load_balancer.simulation.plant.plant import BatterySpec
from tests.support.simulated_day import DAY, STOCKHOLM, Troubles, Watched, watch_day

HOUR = 3600
POLICY = Policy()


@dataclass(frozen=True)
class Day:
    """A watched day and what its history tells."""

    watched: Watched
    recorded: Recorded
    house: House


def look(folder: Path, watched: Watched, day: date) -> Day:
    history = History(f"sqlite:///{folder / 'history.db'}")
    history.record_all(watched.cycles)
    cycles = history.cycles("home", watched.start - AROUND, watched.end + AROUND, COLUMNS)
    history.close()
    clues = Clues()
    clues.add(cycles)
    recorded = recorded_day(cycles, day, STOCKHOLM, ControllerState(), "solar", ENDLESS_KWH)
    assert recorded is not None
    return Day(watched, recorded, clues.house(None))


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Day:
    """Passing clouds, a battery, and a car that was away from nine to half past ten."""
    troubles = Troubles(trips=((9 * HOUR, 10 * HOUR + 1800),), lost_share=0.01)
    watched = watch_day(DAY, "variable", battery=BatterySpec(), troubles=troubles)
    return look(tmp_path_factory.mktemp("clouds"), watched, DAY)


@pytest.fixture(scope="module")
def clear(tmp_path_factory: pytest.TempPathFactory) -> Day:
    """25 hours without a cloud and without a battery; the car is full in the end."""
    day = date(2026, 10, 25)
    return look(tmp_path_factory.mktemp("clear"), watch_day(day, "clear", battery=None), day)


@pytest.mark.parametrize("which", ["clouds", "clear"])
def test_the_same_policy_gives_what_was_recorded(
    which: str, request: pytest.FixtureRequest
) -> None:
    day: Day = request.getfixturevalue(which)
    energy = day.recorded.energy
    assert energy is not None
    played = replay(day.recorded.day, day.house, POLICY)
    car_kwh = played.solar_kwh + played.battery_kwh + played.grid_kwh
    truth_kwh = day.watched.counted("car_kwh", day.watched.start, day.watched.end)
    print(f"\n{which}: car {car_kwh:.2f} replayed, {energy.car_kwh:.2f} recorded, ", end="")
    print(f"{truth_kwh:.2f} true; sun {played.solar_kwh:.2f}, {energy.car_from_sun_kwh:.2f}")
    assert car_kwh == pytest.approx(energy.car_kwh, rel=0.02)
    assert car_kwh == pytest.approx(truth_kwh, rel=0.02)
    assert played.solar_kwh == pytest.approx(energy.car_from_sun_kwh, rel=0.02)
    assert played.exported_kwh == pytest.approx(energy.export_kwh, rel=0.15)


def test_what_the_history_tells_of_the_house(clouds: Day, clear: Day) -> None:
    assert clouds.house.battery is not None
    assert clouds.house.battery.capacity_wh == pytest.approx(10_000, rel=0.15)
    assert clouds.house.car == CarSpec(phases=3, max_current_a=32.0)
    assert not clouds.house.one_phase
    assert clear.house.battery is None
    before, after = clouds.recorded.day.stays
    assert (before.since_s, after.until_s) == (0, 24 * HOUR)
    assert before.until_s == pytest.approx(9 * HOUR, abs=90)
    assert after.since_s == pytest.approx(10.5 * HOUR, abs=90)
    assert {before.wants_kwh, after.wants_kwh} == {ENDLESS_KWH}
    assert clear.recorded.day.length_s == 25 * HOUR
    (stay,) = clear.recorded.day.stays
    assert stay.wants_kwh == pytest.approx(60, rel=0.02)


def test_another_policy_gives_something_else(clouds: Day) -> None:
    as_it_is = replay(clouds.recorded.day, clouds.house, POLICY)
    fast = replay(clouds.recorded.day, clouds.house, Policy(mode="fast"))
    assert fast.solar_kwh + fast.grid_kwh + fast.battery_kwh > 2 * as_it_is.solar_kwh
    assert fast.over_fuse_min == 0


def steady(**columns: object) -> pd.DataFrame:
    """An hour of cycles that charge at 10 A on three phases."""
    usual: dict[str, object] = {
        "at": pd.date_range("2026-06-21 10:00", periods=120, freq="30s", tz="UTC"),
        "grid_export_w": 0.0,
        "battery_charge_w": 0.0,
        "battery_soc_pct": float("nan"),
        "setpoint_a": 10.0,
        "setpoint_phases": 3.0,
        "car_phases": 3.0,
        "car_w": 9.7 * 3 * 230,
    }
    return pd.DataFrame(usual | columns)


@pytest.mark.parametrize(
    ("columns", "phases", "limit_a", "one_phase"),
    [
        ({}, 3, 32.0, False),
        ({"car_w": 9.7 * 2 * 230}, 2, 32.0, False),
        ({"car_w": 9.7 * 230}, 1, 32.0, False),
        (
            {
                "setpoint_a": [10.0] * 60 + [16.0] * 60,
                "car_w": [9.7 * 3 * 230] * 60 + [11.0 * 3 * 230] * 60,
            },
            3,
            11.0,
            False,
        ),
        ({"setpoint_phases": 1.0, "car_phases": 1.0, "car_w": 9.7 * 230}, 3, 32.0, False),
        (
            {
                "setpoint_phases": 1.0,
                "car_phases": 1.0,
                "car_w": 9.7 * 230,
                "grid_export_w": 4000.0,
            },
            3,
            32.0,
            True,
        ),
    ],
)
def test_clues_of_car_and_charger(
    columns: dict[str, object], phases: int, limit_a: float, one_phase: bool
) -> None:
    clues = Clues()
    clues.add(steady(**columns))
    house = clues.house(None)
    assert house.car.phases == phases
    assert house.car.max_current_a == pytest.approx(limit_a)
    assert house.one_phase == one_phase


def test_a_change_leaves_what_is_empty() -> None:
    policy = Policy(phases="3", start_threshold_s=90)
    change = PolicyChange.model_validate({"phases": "auto", "start_threshold_s": 30})
    changed = change.applied_to(policy)
    assert changed == policy.model_copy(update={"phases": "auto", "start_threshold_s": 30})
    assert str(change) == "phases auto, start threshold 30 s at minimum current"
    assert PolicyChange().applied_to(policy) == policy
    form = PolicyChange.model_json_schema()["properties"]
    assert set(form) == set(Policy.model_fields)
    shown = form["max_current_a"]
    assert (shown["type"], shown["minimum"], shown["maximum"]) == ("integer", 10, 32)
    assert "anyOf" not in shown
    with pytest.raises(ValueError, match="less than or equal to 32"):
        PolicyChange.model_validate({"max_current_a": 40})


CSV_HEAD = "time,pv_w,load_w\n"


def csv(first: str, minutes: int, step: int = 10) -> str:
    times = pd.date_range(first, periods=minutes // step, freq=f"{step}min")
    return CSV_HEAD + "".join(f"{at:%Y-%m-%d %H:%M},4000,300\n" for at in times)


def test_csv_days(tmp_path: Path) -> None:
    text = csv("2026-06-21 00:00", 2 * 1440)
    days = csv_days(text, DAY, STOCKHOLM, 20.0)
    assert list(days) == [DAY, DAY + timedelta(days=1)]
    past = days[DAY].day
    assert past.start == datetime(2026, 6, 20, 22, tzinfo=UTC)
    assert past.stays == (Stay(0, 86_400, 20.0),)
    assert past.samples.pv_at(50_000) == 4000
    file = tmp_path / "days.csv"
    file.write_text(text)
    assert csv_days(str(file), DAY, STOCKHOLM, 20.0) == days
    clock = CSV_HEAD + "".join(
        f"{hour:02d}:{minute:02d},1,2\n" for hour in range(24) for minute in (0, 15, 30, 45)
    )
    assert list(csv_days(clock, DAY, STOCKHOLM, 20.0)) == [DAY]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nowhere.csv", "nowhere.csv cannot be read: No such file"),
        ("time,pv\n1,2\n", "not a table with the columns time,pv_w,load_w"),
        (CSV_HEAD + "noon,1,2\n", "not a table with the columns"),
        (CSV_HEAD + "12:00,much,2\n", "not a table with the columns"),
        (csv("2026-06-21 00:00", 600), "no row for more than 15 minutes of 2026-06-21"),
    ],
)
def test_what_is_no_csv_is_said(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        csv_days(text, DAY, STOCKHOLM, 20.0)


def outcome(solar_kwh: float, grid_kwh: float = 0.0) -> Outcome:
    return Outcome(
        solar_kwh=solar_kwh, grid_kwh=grid_kwh, battery_kwh=0.0, starts=2, phase_changes=1,
        writes=10, over_fuse_min=0.0, imported_kwh=grid_kwh, exported_kwh=5.0,
        highest_soc_pct=None, final_soc_pct=None,
        trace=Trace([0.5 * i for i in range(2880)], [3000.0] * 2880, [2000.0] * 2880, [0.0] * 2880),
    )  # fmt: skip


def a_test(
    days: int = 2, change: str = "phases auto, start threshold 30 s at minimum current"
) -> Backtest:
    samples = Samples("day", (1000.0,), (300.0,))
    replayed = {}
    for number in range(days):
        day = DAY + timedelta(days=number)
        past = PastDay(
            datetime(day.year, day.month, day.day, tzinfo=UTC), 86_400, samples, (Stay(0, 86_400),)
        )
        replayed[day] = Replayed(Recorded(past, None), outcome(10.0), outcome(12.5, 0.4))
    period = Period.between(DAY, DAY + timedelta(days=max(days, 1) - 1), STOCKHOLM)
    return Backtest("home", period, POLICY, change, House(), replayed)


@pytest.mark.parametrize(
    ("test", "told"),
    [
        (
            a_test(),
            "With phases auto, start threshold 30 s at minimum current, 21 to 22 June would have given 5.0 kWh more "
            "sun in the car (25.0 instead of 20.0), 0.8 kWh more from the grid",
        ),
        (
            a_test(1, ""),
            "Replayed under its own policy, Sunday 21 June gives 10.0 kWh of sun in the car; "
            "nothing was recorded to compare that with",
        ),
        (a_test(0), "Nothing was measured on "),
    ],
)
def test_headline(test: Backtest, told: str) -> None:
    assert headline(test).startswith(told)


@pytest.mark.parametrize("days", [0, 1, 2])
def test_page(days: int) -> None:
    test = a_test(days)
    picture = backtest_picture(test)
    page = markdown(test, picture)
    assert page.startswith(f"# {headline(test)}\n")
    assert ("data:image/png;base64," in page) == (days > 0)
    assert ("| Sun 21 Jun | – | 10.0 | 12.5 | +2.5 | 0.0 | 0.4 |" in page) == (days > 1)  # noqa: RUF001
    if days == 2:
        # (0.20 - 0.08) EUR for each of 5 kWh, less (0.30 - 0.20) for each of 0.8
        assert "is worth +0.52 EUR" in page


def test_totals() -> None:
    test = a_test(3)
    assert total(test.changed.values()).car_kwh == pytest.approx(3 * 12.9)
    assert test.recorded == {}
    assert test.error_pct is None
