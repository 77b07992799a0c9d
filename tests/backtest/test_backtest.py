"""Backtests: replayed days, the form of the policy, CSV days, headline and page."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path

import pandas as pd
import pytest

from easee_load_balancer.backtest.house_estimator import HouseEstimator
from easee_load_balancer.backtest.policy_change import PolicyChange
from easee_load_balancer.backtest.recorded_days import COLUMNS, RecordedDay, csv_days, recorded_day
from easee_load_balancer.backtest.replay import (
    UNLIMITED_KWH,
    HouseModel,
    PlugInInterval,
    PolicyLaw,
    ReplayDay,
    Samples,
    priced,
    replay,
)
from easee_load_balancer.backtest.result import Backtest, Replayed, total
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.energy.power_flows import MARGIN
from easee_load_balancer.energy.price_table import PriceTable
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.energy.totals import Energy
from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.measurements import Setpoint
from easee_load_balancer.periods import Period
from easee_load_balancer.reports.backtest_charts import backtest_picture
from easee_load_balancer.reports.backtest_page import headline, markdown
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.closed_loop import Outcome, Trace
from easee_load_balancer.simulation.plant.plant import BatterySpec
from tests.support.control_readings import NOW, charger, inverter
from tests.support.history import insert, opened
from tests.support.simulated_day import DAY, STOCKHOLM, Troubles, Watched, watch_day

HOUR = 3600
POLICY = Policy()
CHANGE = "phases auto, start threshold 30 s at minimum current"


@dataclass(frozen=True)
class Day:
    """A simulated day and what its history gives."""

    watched: Watched
    recorded: RecordedDay
    house: HouseModel
    cycles: pd.DataFrame

    @cached_property
    def replayed(self) -> Outcome:
        """Under the policy that was in force."""
        return replay(self.recorded.day, self.house, POLICY)


def load(folder: Path, watched: Watched, day: date) -> Day:
    url = f"sqlite:///{folder / 'history.db'}"
    insert(url, watched.cycles)
    with opened(url) as history:
        cycles = history.cycles("home", watched.start - MARGIN, watched.end + MARGIN, COLUMNS)
    estimator = HouseEstimator()
    estimator.add(cycles)
    recorded = recorded_day(cycles, day, STOCKHOLM, ControllerState(), "solar", UNLIMITED_KWH)
    assert recorded is not None
    return Day(watched, recorded, estimator.house(None), cycles)


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Day:
    """Passing clouds, a battery, and a car that was away from nine to half past ten."""
    troubles = Troubles(trips=((9 * HOUR, 10 * HOUR + 1800),), lost_share=0.01)
    watched = watch_day(DAY, "variable", battery=BatterySpec(), troubles=troubles)
    return load(tmp_path_factory.mktemp("clouds"), watched, DAY)


@pytest.fixture(scope="module")
def clear(tmp_path_factory: pytest.TempPathFactory) -> Day:
    """25 hours without clouds and without a battery; the car is full in the end."""
    day = date(2026, 10, 25)
    return load(tmp_path_factory.mktemp("clear"), watch_day(day, "clear", battery=None), day)


@pytest.mark.parametrize("which", ["clouds", "clear"])
def test_a_replay_under_the_same_policy_gives_what_was_recorded(
    which: str, request: pytest.FixtureRequest
) -> None:
    day: Day = request.getfixturevalue(which)
    energy = day.recorded.energy
    assert energy is not None
    played = day.replayed
    car_kwh = played.solar_kwh + played.battery_kwh + played.grid_kwh
    truth_kwh = day.watched.counted("car_kwh", day.watched.start, day.watched.end)
    print(f"\n{which}: car {car_kwh:.2f} replayed, {energy.car_kwh:.2f} recorded, ", end="")
    print(f"{truth_kwh:.2f} true; solar {played.solar_kwh:.2f}, {energy.car_from_solar_kwh:.2f}")
    assert car_kwh == pytest.approx(energy.car_kwh, rel=0.02)
    assert car_kwh == pytest.approx(truth_kwh, rel=0.02)
    assert played.solar_kwh == pytest.approx(energy.car_from_solar_kwh, rel=0.02)
    assert played.exported_kwh == pytest.approx(energy.export_kwh, rel=0.15)


def test_battery_car_and_plug_in_times_are_estimated_from_the_history(
    clouds: Day, clear: Day
) -> None:
    assert clouds.house.battery is not None
    assert clouds.house.battery.capacity_wh == pytest.approx(10_000, rel=0.15)
    assert clouds.house.car == CarSpec(phases=3, max_current_a=32.0)
    assert clear.house.battery is None
    before, after = clouds.recorded.day.plug_ins
    assert (before.since_s, after.until_s) == (0, 24 * HOUR)
    assert before.until_s == pytest.approx(9 * HOUR, abs=90)
    assert after.since_s == pytest.approx(10.5 * HOUR, abs=90)
    assert {before.needed_kwh, after.needed_kwh} == {UNLIMITED_KWH}
    assert clear.recorded.day.length_s == 25 * HOUR
    (all_day,) = clear.recorded.day.plug_ins
    assert all_day.needed_kwh == pytest.approx(60, rel=0.02)


def test_a_replay_in_mode_fast_charges_more_within_the_fuse(clouds: Day) -> None:
    """With the battery or, where the policy holds that, without."""
    fast = replay(clouds.recorded.day, clouds.house, Policy(mode="fast"))
    held = replay(clouds.recorded.day, clouds.house, Policy(mode="fast", hold_battery=True))
    for outcome in (fast, held):
        charged_kwh = outcome.solar_kwh + outcome.grid_kwh + outcome.battery_kwh
        assert charged_kwh > 2 * clouds.replayed.solar_kwh
        assert outcome.over_fuse_min == 0
    assert held.battery_kwh < 0.1 < 1 < fast.battery_kwh


def test_a_replay_obeys_the_policys_highest_power() -> None:
    law = PolicyLaw(Policy(mode="fast", max_power_w=5000))
    assert law.cycle(NOW, inverter(-500.0), charger()) == Setpoint(7)


def test_a_replay_uses_the_owners_prices() -> None:
    """Surplus for 10.6 A: by default 0.4 A from the grid pay, but not where export earns more."""
    samples = Samples("steady", (300 + 10.6 * 690.0,) * 360, (300.0,) * 360)
    day = ReplayDay(NOW, HOUR, samples, (PlugInInterval(0, HOUR),))
    export = PriceTable(Prices(export_price=0.25), STOCKHOLM)
    usual, strict = (replay(one, HouseModel(), POLICY) for one in (day, priced(day, export)))
    assert usual.grid_kwh > 0.05 > strict.grid_kwh


def drawing(car_a: float | list[float], **columns: object) -> pd.DataFrame:
    """An hour of cycles with a car that draws this on all phases together."""
    usual: dict[str, object] = {
        "at": pd.date_range("2026-06-21 10:00", periods=120, freq="30s", tz="UTC"),
        "battery_charge_w": 0.0,
        "battery_soc_pct": float("nan"),
        "setpoint_a": 10.0,
        "setpoint_phases": 3.0,
        "car_phases": 3.0,
        "car_w": [230 * a for a in car_a] if isinstance(car_a, list) else 230 * car_a,
    }
    return pd.DataFrame(usual | columns)


@pytest.mark.parametrize(
    ("cycles", "phases", "limit_a"),
    [
        pytest.param(drawing(3 * 9.7), 3, 32.0, id="three phases"),
        pytest.param(drawing(2 * 9.7), 2, 32.0, id="two phases"),
        pytest.param(drawing(9.7), 1, 32.0, id="one phase"),
        pytest.param(
            drawing([3 * 9.7] * 60 + [3 * 11.0] * 60, setpoint_a=[10.0] * 60 + [16.0] * 60),
            *(3, 11.0),
            id="11 A at most",
        ),
        pytest.param(
            drawing(9.7, setpoint_phases=1.0, car_phases=1.0), 3, 32.0, id="never offered three"
        ),
    ],
)
def test_estimates_phases_and_highest_current_of_the_car(
    cycles: pd.DataFrame, phases: int, limit_a: float
) -> None:
    estimator = HouseEstimator()
    estimator.add(cycles)
    car = estimator.house(None).car
    assert car.phases == phases
    assert car.max_current_a == pytest.approx(limit_a)


def test_empty_fields_of_a_change_leave_the_policy_as_it_is() -> None:
    policy = Policy(phases="3", start_threshold_s=90)
    change = PolicyChange.model_validate({"phases": "auto", "start_threshold_s": 30})
    changed = change.applied_to(policy)
    assert changed == policy.model_copy(update={"phases": "auto", "start_threshold_s": 30})
    assert str(change) == CHANGE
    assert PolicyChange().applied_to(policy) == policy


def test_the_form_has_every_field_of_the_policy_with_its_bounds() -> None:
    form = PolicyChange.model_json_schema()["properties"]
    assert set(form) == set(Policy.model_fields)
    shown = form["max_current_a"]
    assert (shown["type"], shown["minimum"], shown["maximum"]) == ("integer", 10, 32)
    assert "anyOf" not in shown
    with pytest.raises(ValueError, match="less than or equal to 32"):
        PolicyChange.model_validate({"max_current_a": 40})


CSV_HEAD = "time,pv_w,load_w\n"


def csv(minutes: int, step: int = 10, at: str = "%Y-%m-%d %H:%M") -> str:
    times = pd.date_range("2026-06-21 00:00", periods=minutes // step, freq=f"{step}min")
    return CSV_HEAD + "".join(f"{time:{at}},4000,300\n" for time in times)


def test_csv_days_come_from_a_text_or_a_file_with_or_without_dates(tmp_path: Path) -> None:
    text = csv(2 * 1440)
    days = csv_days(text, DAY, STOCKHOLM, 20.0)
    assert list(days) == [DAY, DAY + timedelta(days=1)]
    day = days[DAY].day
    assert day.start == datetime(2026, 6, 20, 22, tzinfo=UTC)
    assert day.plug_ins == (PlugInInterval(0, 86_400, 20.0),)
    assert day.samples.pv_at(50_000) == 4000
    file = tmp_path / "days.csv"
    file.write_text(text)
    assert csv_days(str(file), DAY, STOCKHOLM, 20.0) == days
    assert list(csv_days(csv(1440, 15, "%H:%M"), DAY, STOCKHOLM, 20.0)) == [DAY]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/dev/zero", "/dev/zero is not a file of at most 50 MB"),
        ("/dev", "/dev is not a file of at most 50 MB"),
        ("nowhere.csv", "nowhere.csv cannot be read: No such file"),
        ("time,pv\n1,2\n", "not a table with the columns time,pv_w,load_w"),
        (CSV_HEAD + "noon,1,2\n", "not a table with the columns"),
        (CSV_HEAD + "12:00,much,2\n", "not a table with the columns"),
        (csv(600), "no row for more than 15 minutes of 2026-06-21"),
    ],
)
def test_an_unusable_csv_is_explained(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        csv_days(text, DAY, STOCKHOLM, 20.0)


def test_a_huge_csv_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "huge.csv"
    file.touch()
    os.truncate(file, 10**10)
    with pytest.raises(ConfigurationError, match="at most 50 MB"):
        csv_days(str(file), DAY, STOCKHOLM, 20.0)


def a_part_of(day: Day, since_h: float, until_h: float) -> RecordedDay:
    """The day as recorded if the history had only these hours of it."""
    start = pd.Timestamp(day.watched.start)
    at = day.cycles["at"]
    hours = (at - start).dt.total_seconds() / HOUR
    recorded = recorded_day(
        day.cycles[hours.between(since_h, until_h)], DAY, STOCKHOLM, ControllerState(), "solar", 60
    )
    assert recorded is not None
    return recorded


@pytest.mark.parametrize(
    ("since_h", "until_h", "enough"),
    [(0, 24, True), (12, 12.25, False), (0, 12, False), (5, 21, True), (22, 24, False)],
)
def test_a_day_counts_if_90_percent_of_its_daylight_are_measured(
    clouds: Day, since_h: float, until_h: float, enough: bool
) -> None:
    assert a_part_of(clouds, since_h, until_h).has_enough_daylight == enough


def test_a_quarter_of_an_hour_says_nothing_about_the_rest_of_the_day(clouds: Day) -> None:
    recorded = a_part_of(clouds, 12, 12.25)
    samples = recorded.day.samples
    assert samples.pv_at(12 * HOUR + 450) > 1000
    for second in (0, 12 * HOUR - 90, 12 * HOUR + 900 + 90, 24 * HOUR - 10):
        assert (samples.pv_at(second), samples.load_at(second)) == (0, 0)
    (plug_in,) = recorded.day.plug_ins
    assert plug_in.since_s >= 12 * HOUR - 90
    assert plug_in.until_s <= 12 * HOUR + 900 + 90


def outcome(solar_kwh: float, grid_kwh: float = 0.0) -> Outcome:
    return Outcome(
        solar_kwh=solar_kwh, grid_kwh=grid_kwh, battery_kwh=0.0, starts=2, phase_changes=1,
        writes=10, over_fuse_min=0.0, imported_kwh=grid_kwh, exported_kwh=5.0,
        highest_soc_pct=None, final_soc_pct=None,
        trace=Trace([0.5 * i for i in range(2880)], [3000.0] * 2880, [2000.0] * 2880, [0.0] * 2880),
    )  # fmt: skip


def a_backtest(
    days: int = 2,
    change: str = CHANGE,
    prices: Prices | None = None,
    recorded_kwh: float | None = None,
) -> Backtest:
    energy = None if recorded_kwh is None else Energy(car_kwh=recorded_kwh)
    replayed = {}
    for number in range(days):
        day = DAY + timedelta(days=number)
        start, samples = datetime(day.year, day.month, day.day, tzinfo=UTC), Samples("", (1,), (1,))
        inputs = ReplayDay(start, 86_400, samples, (PlugInInterval(0, 86_400),))
        replayed[day] = Replayed(RecordedDay(inputs, energy), outcome(10.0), outcome(12.5, 0.4))
    period = Period.between(DAY, DAY + timedelta(days=max(days, 1) - 1), STOCKHOLM)
    return Backtest("home", period, change, HouseModel(), replayed, prices or Prices())


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (
            a_backtest(),
            f"With {CHANGE}, 21 to 22 June would have given 5.0 kWh more solar in the car "
            "(25.0 instead of 20.0), 0.8 kWh more from the grid",
        ),
        (
            a_backtest(1, ""),
            "Replayed under the current policy, Sunday 21 June gives 10.0 kWh of solar in the car; "
            "there is no recording to compare it with",
        ),
        (a_backtest(0), "No measurements for Sunday 21 June 2026"),
        (
            replace(a_backtest(0), left_out={DAY: 0.4}),
            "No day was measured for 90 % of its daylight: Sunday 21 June 2026",
        ),
        (
            a_backtest(recorded_kwh=8.0),
            "No result for 21 to 22 June: under the current policy the model charges 20.0 kWh "
            "instead of the 16.0 kWh recorded",
        ),
        (
            a_backtest(recorded_kwh=0.0),
            "No result for 21 to 22 June: under the current policy the model charges 20.0 kWh "
            "instead of the 0.0 kWh recorded",
        ),
    ],
)
def test_the_headline_says_the_gain_or_why_there_is_none(test: Backtest, message: str) -> None:
    assert headline(test) == message


@pytest.mark.parametrize("days", [0, 1, 2])
def test_the_page_has_a_chart_and_a_table_of_several_days(days: int) -> None:
    test = a_backtest(days)
    page = markdown(test, backtest_picture(test))
    assert page.startswith(f"# {headline(test)}\n")
    assert ("data:image/png;base64," in page) == (days > 0)
    assert ("| Sun 21 Jun | – | 10.0 | 12.5 | +2.5 | 0.0 | 0.4 |" in page) == (days > 1)  # noqa: RUF001


@pytest.mark.parametrize(
    ("prices", "worth"),
    [
        # for each of 5 kWh of solar, less that for each of 0.8 kWh from the grid
        (Prices(), "+0.52 EUR"),
        (
            Prices(currency="SEK", import_price=2.0, export_price=0.5, night_price=1.5),
            "+4.60 SEK",
        ),
    ],
)
def test_the_page_says_what_the_change_is_worth_at_the_tariff(prices: Prices, worth: str) -> None:
    assert f"the change is worth {worth}." in markdown(a_backtest(prices=prices), b"chart")


def test_days_that_are_left_out_are_listed() -> None:
    page = markdown(replace(a_backtest(), left_out={DAY + timedelta(days=2): 0.41}), b"chart")
    assert "Left out: Tue 23 Jun, measured for 41 % of its daylight" in page


def test_totals_add_up_days_that_were_not_recorded() -> None:
    test = a_backtest(3)
    assert total(test.changed.values()).car_kwh == pytest.approx(3 * 12.9)
    assert test.recorded == {}
    assert test.error_pct is None
