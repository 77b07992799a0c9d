"""The owner's price of each quarter-hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from easee_load_balancer.energy.price_table import PriceTable
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.periods import QUARTER

STOCKHOLM = ZoneInfo("Europe/Stockholm")
NOON = datetime(2026, 11, 26, 11, tzinfo=UTC)
"""12:00 in Stockholm, a Thursday."""
SWEDEN: dict[str, Any] = {
    "currency": "SEK",
    "source": "Nord Pool",
    "zone": "SE4",
    "spot_surcharge": 0.50,
    "grid_fee": 0.20,
    "grid_fee_by_time": ["Nov-Mar Mon-Fri 06:00-22:00 0.60"],
    "vat_pct": 25,
    "export_follows_spot": True,
    "export_surcharge": 0.05,
}


def table(spot: dict[datetime, float], **changes: Any) -> PriceTable:
    """The Swedish owner's prices."""
    return PriceTable(Prices(**(SWEDEN | changes)), STOCKHOLM, spot)


def test_the_owner_pays_spot_surcharge_and_fee_with_vat_and_earns_spot_and_surcharge() -> None:
    by_day = table({NOON: 1.00}).at(NOON + timedelta(minutes=14))
    assert by_day.import_price == pytest.approx((1.00 + 0.50 + 0.60) * 1.25)
    assert by_day.export_price == pytest.approx(1.05)
    assert by_day.is_known
    night = NOON + timedelta(hours=11)
    assert table({night: 1.00}).at(night).import_price == pytest.approx((1 + 0.5 + 0.2) * 1.25)
    assert table({NOON: -0.90}).at(NOON).import_price == pytest.approx(0.20 * 1.25)


def test_a_fixed_feed_in_price_does_not_follow_the_spot_price() -> None:
    fixed = table({NOON: 1.0}, export_follows_spot=False, export_price=0.08)
    assert fixed.at(NOON).export_price == 0.08


def test_what_is_not_published_is_the_mean_of_that_time_in_the_last_week() -> None:
    days = {NOON - timedelta(days=day): float(day) for day in range(1, 10)}
    unknown = table(days, vat_pct=0, spot_surcharge=0, grid_fee_by_time=[], grid_fee=0).at(NOON)
    assert unknown.import_price == pytest.approx(4.0)  # of 1 to 7
    assert not unknown.is_known
    other_time = NOON + 5 * QUARTER
    assert table(days).at(other_time) == table(dict.fromkeys([other_time - QUARTER], 4.0)).at(
        other_time
    )


def test_before_any_price_is_known_the_fixed_price_holds() -> None:
    empty = table({}, import_price=2.0, import_price_by_time=["12:00-13:00 1.5"])
    assert empty.at(NOON).import_price == 1.5
    assert empty.at(NOON + timedelta(hours=1)).import_price == 2.0
    assert not empty.at(NOON).is_known


@pytest.mark.parametrize(
    ("day", "quarters"),
    [
        pytest.param(datetime(2026, 3, 28, 23, tzinfo=UTC), 92, id="summer time begins"),
        pytest.param(datetime(2026, 10, 24, 22, tzinfo=UTC), 100, id="summer time ends"),
    ],
)
def test_each_quarter_of_a_clock_change_has_its_own_price(day: datetime, quarters: int) -> None:
    spot = {day + index * QUARTER: float(index) for index in range(quarters)}
    plain = {"vat_pct": 0, "spot_surcharge": 0, "grid_fee_by_time": [], "grid_fee": 0}
    prices = table(spot, **plain)
    end = datetime.combine(
        day.astimezone(STOCKHOLM).date() + timedelta(days=1), datetime.min.time(), STOCKHOLM
    )
    found = [one.import_price for one in prices.between(day, end.astimezone(UTC))]
    assert found == [float(index) for index in range(quarters)]


def test_the_law_gets_the_means_of_the_day_and_the_current_prices_while_export_pays_nothing() -> (
    None
):
    quarters = [NOON + index * QUARTER for index in range(96)]
    spot = {at: -0.1 if index < 4 else 1.0 for index, at in enumerate(quarters)}
    prices = table(spot, spot_surcharge=0, grid_fee_by_time=[], grid_fee=0, vat_pct=0)
    now, later = prices.for_law(NOON), prices.for_law(NOON + timedelta(hours=2))
    assert (now.import_price, now.export_price) == pytest.approx((-0.1, -0.05))
    assert not now.export_pays
    assert later.import_price == pytest.approx((88 * 1.0 + 8 * (92 - 0.1 * 4) / 96) / 96, rel=0.1)
    assert later.night_price <= later.import_price
    fixed = PriceTable(Prices(), STOCKHOLM)
    assert fixed.for_law(NOON) == Prices()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"zone": ""}, "need a bidding zone"),
        ({"source": "ENTSO-E"}, "needs a token"),
        ({"source": "address"}, "need the address"),
        ({"source": "Energy-Charts"}, "enter the price of one EUR"),
        ({"grid_fee_by_time": ["now and then"]}, "is not like"),
        ({"zone": "SE4&date=1"}, "match pattern"),
        ({"address": "file:///etc/passwd"}, "match pattern"),
    ],
)
def test_an_incomplete_source_is_refused_with_a_sentence(
    changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValidationError, match=sentence):
        Prices(**(SWEDEN | changes))
