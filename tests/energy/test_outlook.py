"""Expected load and production, from what the history knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from easee_load_balancer.energy.outlook import BatteryOutlook, RoofFactor, UsualLoad, UsualPv
from easee_load_balancer.periods import QUARTER, quarter_of_day

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 11, 2, tzinfo=BERLIN)


def weeks(count: int) -> dict[datetime, float]:
    """Each evening 1 kW from 18:00 to 19:00, on Sundays 3 kW; else 200 W."""
    load = {}
    for index in range(count * 7 * 96):
        local = (MONDAY.astimezone(UTC) + index * QUARTER).astimezone(BERLIN)
        evening = 3000.0 if local.weekday() == 6 else 1000.0
        load[local.astimezone(UTC)] = evening if local.hour == 18 else 200.0
    return load


SUNDAY_EVENING = datetime(2026, 12, 6, 18, 15, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("count", "sunday_w"),
    [
        pytest.param(1, (3000 + 2 * 9000 / 7) / 3, id="one Sunday counts little"),
        pytest.param(4, (4 * 3000 + 2 * 9000 / 7) / 6, id="four count more"),
    ],
)
def test_a_weekday_counts_the_more_the_better_it_is_known(count: int, sunday_w: float) -> None:
    usual = UsualLoad.of(weeks(count), BERLIN)
    assert usual.at(SUNDAY_EVENING) == pytest.approx(sunday_w)
    assert usual.at(SUNDAY_EVENING.replace(hour=3)) == pytest.approx(200)


def test_gaps_are_filled_with_what_is_known_of_other_days_and_times() -> None:
    known = {at: watts for at, watts in weeks(1).items() if at.astimezone(BERLIN).weekday() < 2}
    assert UsualLoad.of(known, BERLIN).at(SUNDAY_EVENING) == pytest.approx(1000)
    only_night = {at: 200.0 for at in known if at.astimezone(BERLIN).hour < 6}
    assert UsualLoad.of(only_night, BERLIN).at(SUNDAY_EVENING) == pytest.approx(200)
    assert UsualLoad.of({}, BERLIN).at(SUNDAY_EVENING) == 500


def days(count: int, watts: float, shaded_w: float) -> dict[datetime, float]:
    """Power from 9:00 to 15:00 local time, with another one from 14:00 on."""
    found = {}
    for index in range(count * 96):
        at = MONDAY.astimezone(UTC) + index * QUARTER
        hour = at.astimezone(BERLIN).hour
        if 9 <= hour < 15:
            found[at] = shaded_w if hour == 14 else watts
    return found


def test_the_forecast_is_scaled_by_what_the_roof_made_of_earlier_ones() -> None:
    forecast, made = days(14, 5000, 5000), days(14, 4000, 1000)
    roof = RoofFactor.learned(forecast, made, BERLIN)
    assert roof.overall == pytest.approx((5 * 4000 + 1000) / 30_000)
    assert roof.at(MONDAY.replace(hour=11)) == pytest.approx((56 * 0.8 + 8 * 0.7) / 64)
    assert 0.2 < roof.at(MONDAY.replace(hour=14)) < 0.4  # a tree
    assert RoofFactor.learned({}, made, BERLIN).at(MONDAY) == 1.0
    assert RoofFactor.learned(forecast, days(14, 1e6, 1e6), BERLIN).overall == 2.0


def test_without_a_forecast_the_mean_of_the_last_week_is_expected() -> None:
    made = days(9, 3000, 1500)
    usual = UsualPv.of(made, BERLIN)
    assert usual.at(MONDAY.replace(hour=12)) == pytest.approx(3000)
    assert usual.at(MONDAY.replace(hour=3)) == UsualPv.of({}, BERLIN).at(MONDAY) == 0


def test_fine_and_dull_days_bring_a_car_what_the_fine_ones_do() -> None:
    made = {at: 3000.0 if at.day % 2 else 0.0 for at in days(8, 1.0, 1.0)}
    load = UsualLoad(mean_w=600.0)
    fine = sum(at.day % 2 for at in made if at > max(made) - timedelta(days=7)) / 24
    noon = MONDAY.replace(hour=12)
    usual = UsualPv.left_to_car(made, load, BERLIN).at(noon)
    assert usual == pytest.approx(2400 * fine / 7)
    assert UsualPv.of(made, BERLIN).at(noon) - 600 < 0.9 * usual
    little = dict.fromkeys(made, 1500.0)  # 900 W are too little for a car
    assert UsualPv.left_to_car(little, load, BERLIN).at(noon) == 0


SUN_FROM_8_TO_16 = [0.0] * 32 + [5000.0] * 32 + [0.0] * 32
STEADY = [500.0] * 96


@pytest.mark.parametrize(
    ("quarter", "wanted_wh"),
    [
        (0, 16 * 500 / 0.95 - 8 * 350 * 0.95),
        (48, 16 * 500 / 0.95 - 4 * 350 * 0.95),
        (64, 16 * 500 / 0.95),
        (90, 16 * 500 / 0.95),
    ],
    ids=["midnight", "noon", "sunset", "evening"],
)
def test_a_battery_needs_the_nights_load_less_what_the_car_leaves(
    quarter: int, wanted_wh: float
) -> None:
    outlook = BatteryOutlook(SUN_FROM_8_TO_16, STEADY)
    assert outlook.wanted_wh(quarter) == pytest.approx(wanted_wh)


def test_a_surplus_that_no_car_can_take_is_the_batterys() -> None:
    """1.3 kW above the load is less than a car takes."""
    faint = [watts * 1.8 / 5 for watts in SUN_FROM_8_TO_16]
    assert BatteryOutlook(faint, STEADY).wanted_wh(0) == pytest.approx(
        16 * 500 / 0.95 - 8 * 1300 * 0.95
    )


def test_without_surplus_the_house_needs_all_day() -> None:
    assert BatteryOutlook([0.0] * 96, STEADY).wanted_wh(0) == pytest.approx(24 * 500 / 0.95)


def test_an_outlook_is_made_of_past_days_in_local_time() -> None:
    known = weeks(5)
    sunny = {start: 5000.0 if 8 <= start.astimezone(BERLIN).hour < 16 else 0.0 for start in known}
    now = SUNDAY_EVENING.astimezone(UTC)
    outlook = BatteryOutlook.of(known, sunny, now, BERLIN)
    assert outlook is not None
    assert outlook.pv_w == pytest.approx(SUN_FROM_8_TO_16)
    evening = quarter_of_day(SUNDAY_EVENING)
    assert outlook.load_w[evening] == pytest.approx(UsualLoad.of(known, BERLIN).at(SUNDAY_EVENING))
    assert BatteryOutlook.of(known, {}, now, BERLIN) is None
