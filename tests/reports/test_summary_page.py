"""Headline, page, charts and periods."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from matplotlib.image import imread

from easee_load_balancer.energy.totals import Energy
from easee_load_balancer.periods import Period, PeriodKind, bounds
from easee_load_balancer.reports.csv_export import write_days_csv
from easee_load_balancer.reports.markdown import UNKNOWN
from easee_load_balancer.reports.summary import Summary
from easee_load_balancer.reports.summary_charts import bars_picture, by_bar
from easee_load_balancer.reports.summary_page import headline, markdown

ZONE = ZoneInfo("Europe/Stockholm")
DAY = date(2026, 6, 21)
GOOD = Energy(
    pv_kwh=40.0,
    import_kwh=1.0,
    house_kwh=9.0,
    car_kwh=20.0,
    export_kwh=12.0,
    car_from_solar_kwh=19.0,
    car_from_grid_kwh=1.0,
    period_s=86_400,
    measured_s=86_400,
    cycles=2880,
    meter_import_kwh=1.02,
    meter_import_gaps_kwh=0.25,
    import_sampled_kwh=0.97,
)


def one_day(energy: Energy, currency: str | None = None) -> Summary:
    return Summary("home", Period.around(DAY, "day", ZONE), {DAY: energy}, currency)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "19.0 of the car's 20.0 kWh were solar (95 %); all 2,880 cycles ran"),
        (
            {"saved": 28.5},
            "19.0 of the car's 20.0 kWh were solar (95 %), saved 28.50 SEK; all 2,880 cycles ran",
        ),
        ({"car_kwh": 0.0}, "No charging; PV produced 40.0 kWh; all 2,880 cycles ran"),
        (
            {"cycles_failed": 12, "cycles_missed": 1500, "measured_s": 40_000.0},
            "19.0 of the car's 20.0 kWh were solar (95 %); 12 of 2,880 cycles failed, "
            "1,500 cycles missed, 12 h 53 min without measurements",
        ),
        (
            {"cycles_attention": 40, "unseen_kwh": 3.0},
            "19.0 of the car's 20.0 kWh were solar (95 %); 40 of 2,880 cycles needed attention, "
            "3.0 kWh from a source that is not read",
        ),
        ({"measured_s": 0.0}, "No measurements for Sunday 21 June 2026"),
    ],
)
def test_the_headline_says_the_solar_share_and_what_went_wrong(
    change: dict[str, float], message: str
) -> None:
    values = {name: getattr(GOOD, name) for name in Energy.__dataclass_fields__} | change
    assert headline(one_day(Energy(**values), "SEK")) == message


def test_the_page_has_the_energy_balance_and_the_difference_to_the_meter() -> None:
    page = markdown(one_day(GOOD), b"picture")
    assert "![Sunday 21 June 2026](data:image/png;base64,cGljdHVyZQ==)" in page
    assert "| **Total** | **41.0** | **Total** | **41.0** |" in page
    assert "| Meter, import | 1.02 | -0.05 | 0.25 |" in page
    assert "Battery" not in page.partition("own counters")[2]
    assert "Save a block 'Tariff'" in page
    assert all(line.count("|") in (0, 3, 4, 5, 6) for line in page.splitlines())


def test_a_source_that_is_not_read_is_named_and_the_balance_still_adds_up() -> None:
    values = asdict(GOOD) | {"unseen_kwh": 3.0, "export_kwh": 15.0}
    page = markdown(one_day(Energy(**values)), None)
    assert "| Not read | 3.0 | Into the battery | 0.0 |" in page
    assert "| **Total** | **44.0** | **Total** | **44.0** |" in page
    assert "second inverter" in page
    assert f"| Self-sufficiency | {UNKNOWN} |" in page


def test_counts_say_at_least_when_there_are_gaps() -> None:
    values = asdict(GOOD) | {"starts": 4, "measured_s": GOOD.measured_s - 600}
    page = markdown(one_day(Energy(**values)), None)
    assert "| Charging starts | at least 4 |" in page
    assert "| Phase changes | none seen |" in page
    values["measured_s"] = GOOD.measured_s
    assert "| Charging starts | 4 |" in markdown(one_day(Energy(**values)), None)


def test_what_rounds_to_nothing_has_no_sign() -> None:
    values = asdict(GOOD) | {"house_kwh": -0.04, "import_sampled_kwh": 1.016, "saved": -0.001}
    page = markdown(one_day(Energy(**values), "EUR"), None)
    assert "| Grid | 1.0 | Car |" in page
    assert "| House | 0.0 |" in page
    assert "| Meter, import | 1.02 | +0.00 |" in page
    assert "saved 0.00 EUR" in page


def test_a_month_without_cycles_has_a_headline_and_a_csv_file_with_names(tmp_path: Path) -> None:
    month = Summary("home", Period.around(DAY, "month", ZONE), {}, None)
    assert headline(month) == "No measurements for June 2026"
    write_days_csv(month, tmp_path / "june.csv")
    assert (tmp_path / "june.csv").read_text().startswith("day,pv_kwh,")


def test_a_year_is_broken_down_by_month() -> None:
    period = Period.around(DAY, "year", ZONE)
    summary = Summary("home", period, dict.fromkeys(period.days, GOOD), None)
    bars = by_bar(period, summary.days)
    assert list(bars)[:2] == ["Jan", "Feb"]
    assert bars["Feb"].pv_kwh == 28 * 40
    assert "| Feb | 1,120.0 |" in markdown(summary, None)


def test_bars_are_days_up_to_two_months_and_months_beyond() -> None:
    period = Period.between(date(2026, 6, 20), date(2026, 7, 25), ZONE)
    assert len(by_bar(period, dict.fromkeys(period.days, GOOD))) == 36
    long = Period.between(date(2025, 6, 20), date(2026, 7, 25), ZONE)
    assert next(iter(by_bar(long, dict.fromkeys(long.days, GOOD)))) == "Jun 2025"
    assert len(by_bar(long, dict.fromkeys(long.days, GOOD))) == 14


def test_the_chart_of_a_month_is_dark_wide_and_small() -> None:
    period = Period.around(DAY, "month", ZONE)
    picture = bars_picture(Summary("home", period, dict.fromkeys(period.days, GOOD), None))
    pixels = imread(BytesIO(picture), format="png")
    assert pixels.shape[1] >= 900
    assert pixels[0, 0, :3].max() < 0.2
    assert len(picture) < 200_000


@pytest.mark.parametrize(
    ("kind", "first", "last"),
    [
        ("day", DAY, DAY),
        ("month", date(2026, 6, 1), date(2026, 6, 30)),
        ("year", date(2026, 1, 1), date(2026, 12, 31)),
    ],
)
def test_a_period_around_a_day_has_all_days_of_its_kind(
    kind: PeriodKind, first: date, last: date
) -> None:
    period = Period.around(DAY, kind, ZONE)
    assert (period.days[0], period.days[-1]) == (first, last)


def test_december_ends_on_the_last_day_of_the_year() -> None:
    assert Period.around(date(2026, 12, 5), "month", ZONE).last == date(2026, 12, 31)


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (DAY, 24)]
)
def test_local_days_have_their_own_length(day: date, hours: int) -> None:
    start, end = bounds(day, ZONE)
    assert end - start == timedelta(hours=hours)


def test_a_period_cannot_end_before_it_begins() -> None:
    with pytest.raises(ValueError, match="before the first"):
        Period.between(DAY, DAY - timedelta(days=1), ZONE)


def test_the_cars_cost_is_shown_by_source_against_charging_on_arrival() -> None:
    energy = replace(
        GOOD,
        saved=3.8,
        car_grid_cost=0.2,
        car_solar_cost=1.5,
        car_battery_cost=0.0,
        car_arrival_cost=6.1,
    )
    page = markdown(one_day(energy, "EUR"), None)
    assert "| From solar | 19.0 | 95 % | 1.50 |" in page
    assert "| From the grid | 1.0 | 5 % | 0.20 |" in page
    assert "energy cost 1.70 EUR" in page
    assert "on arrival it would have cost 6.10 EUR: 4.40 EUR saved." in page
    assert "on arrival" not in markdown(one_day(replace(GOOD, saved=3.8), "EUR"), None)
