"""The price model."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from easee_load_balancer.energy.tariff import Prices


def test_one_price_holds_all_day_and_hourly_prices_for_whole_days() -> None:
    assert Prices(import_price=2, export_price=1).import_prices == [2.0] * 24
    with pytest.raises(ValidationError, match="needs 24 prices"):
        Prices(export_price_by_hour=[1.0, 2.0])


@pytest.mark.parametrize(
    ("prices", "weight"),
    [
        pytest.param({}, (0.30 - 0.20) / (0.20 - 0.08), id="defaults"),
        pytest.param({"night_price": 0.40}, 0.0, id="cheaper by day than at night"),
        pytest.param({"night_price": 0.05}, None, id="solar is worth more as export"),
        pytest.param(
            {"import_price": 2.1, "export_price": 0.6}, 0.875, id="saved without a night price"
        ),
    ],
)
def test_grid_weight_is_the_extra_cost_by_day_over_the_gain_of_solar(
    prices: dict[str, Any], weight: float | None
) -> None:
    assert Prices(**prices).grid_weight == (None if weight is None else pytest.approx(weight))


def at_hour(hour: int) -> datetime:
    return datetime(2026, 6, 21, hour, tzinfo=UTC)


def test_an_hour_whose_export_pays_nothing_has_its_own_prices_for_the_law() -> None:
    by_hour = Prices(
        export_price_by_hour=[0.08] * 12 + [0.0, -0.05] + [0.08] * 10,
        import_price_by_hour=[0.30] * 12 + [0.15, 0.12] + [0.30] * 10,
        night_price=0.20,
    )
    assert by_hour.for_law(at_hour(11)) == by_hour
    noon = by_hour.for_law(at_hour(12))
    assert (noon.export_price, noon.import_price) == (0.0, 0.15)
    assert not by_hour.for_law(at_hour(13)).export_pays
    assert by_hour.for_law(at_hour(13)).grid_weight == 0.0
    timed = by_hour.model_copy(update={"import_price_by_time": ["12:00-13:00 0.11"]})
    assert timed.for_law(at_hour(12)).import_price == 0.11
    flat = Prices(export_price=-0.1)
    assert flat.for_law(at_hour(13)) is flat
    assert flat.grid_weight == pytest.approx(0.1 / 0.3)
