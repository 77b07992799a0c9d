"""What the car's energy costs by source, and on arrival."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from easee_load_balancer.backtest.planned_sessions import session_costs
from easee_load_balancer.energy.car_costs import car_costs, sessions
from easee_load_balancer.energy.price_table import PriceTable
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.measurements import ChargerMode
from easee_load_balancer.periods import QUARTER
from tests.support.energy_samples import samples

STEP = timedelta(minutes=5)
EVENING = datetime(2026, 6, 21, 17, tzinfo=UTC)
MIDNIGHT = datetime(2026, 6, 22, tzinfo=UTC)
MORNING = datetime(2026, 6, 22, 7, tzinfo=UTC)
PRICES = PriceTable(
    Prices(import_price=0.30, export_price=0.10, import_price_by_time=["00:00-06:00 0.10"]),
    ZoneInfo("UTC"),
)


def night(charging_from: datetime, hours: float, pv_w: float = 0.0) -> pd.DataFrame:
    """A car that is plugged in at 17:00, charges with 11 kW, and leaves at 7:00."""
    rows, at = [], EVENING - timedelta(hours=1)
    while at < MORNING + timedelta(hours=1):
        car_w = 11_000.0 if charging_from <= at < charging_from + timedelta(hours=hours) else 0.0
        rows.append(
            {
                "at": at,
                "pv_w": pv_w,
                "inverter_ac_w": pv_w,
                "grid_export_w": pv_w - car_w,
                "battery_charge_w": 0.0,
                "car_w": car_w,
            }
        )
        at += STEP
    frame = samples(rows)
    plugged = (frame["at"] >= EVENING) & (frame["at"] < MORNING)
    return frame.assign(charger_mode=plugged.map({True: 6.0, False: 1.0}))


@pytest.mark.parametrize(
    ("begins", "pv_w", "grid", "solar", "arrival"),
    [
        pytest.param(MIDNIGHT, 0, 22 * 0.10, 0, 22 * 0.30, id="at night instead of on arrival"),
        pytest.param(EVENING, 0, 22 * 0.30, 0, 22 * 0.30, id="on arrival"),
        pytest.param(
            EVENING, 5500, 11 * 0.30, 11 * 0.10, 11 * 0.30 + 11 * 0.10, id="half of it solar"
        ),
    ],
)
def test_energy_costs_what_was_paid_or_not_earned(
    begins: datetime, pv_w: float, grid: float, solar: float, arrival: float
) -> None:
    cycles = night(begins, 2, pv_w)
    costs = car_costs(cycles, EVENING - timedelta(hours=1), MORNING, STEP, PRICES)
    assert costs["car_grid_cost"] == pytest.approx(grid, rel=0.03)
    assert costs["car_solar_cost"] == pytest.approx(solar, rel=0.03, abs=0.06)
    assert costs["car_arrival_cost"] == pytest.approx(arrival, rel=0.03)


def test_a_day_that_begins_while_the_car_is_here_counts_the_arrival_of_the_day_before() -> None:
    cycles = night(MIDNIGHT, 2)
    before = car_costs(cycles, MIDNIGHT - timedelta(hours=24), MIDNIGHT, STEP, PRICES)
    after = car_costs(cycles, MIDNIGHT, MIDNIGHT + timedelta(hours=24), STEP, PRICES)
    assert before == {}
    assert after["car_arrival_cost"] == pytest.approx(22 * 0.30, rel=0.03)


def test_a_charger_that_is_offline_tells_of_no_arrival() -> None:
    cycles = night(MIDNIGHT, 2)
    offline = cycles["charger_mode"].where(cycles["at"] != EVENING - STEP, ChargerMode.OFFLINE)
    [session] = sessions(cycles.assign(charger_mode=offline), STEP, PRICES)
    assert (session.start, session.end) == (EVENING, MORNING)


def test_a_plan_puts_the_recorded_energy_into_the_cheapest_hours_before_the_departure() -> None:
    recorded = list(sessions(night(EVENING, 2), STEP, PRICES))
    [session] = recorded
    assert (session.start, session.end) == (EVENING, MORNING)
    costs = session_costs(recorded, PRICES)
    assert costs.kwh == pytest.approx(22, rel=0.03)
    assert costs.recorded == costs.arrival == pytest.approx(6.6, rel=0.03)
    assert costs.planned == pytest.approx(2.2, rel=0.05)
    spot = {MIDNIGHT + index * QUARTER: 0.01 for index in range(8)}
    dynamic = Prices(source="Nord Pool", zone="SE4", import_price=1.0)
    cheaper = session_costs(recorded, PriceTable(dynamic, ZoneInfo("UTC"), spot))
    assert cheaper.planned == pytest.approx(0.22, rel=0.05)
    assert cheaper.saved == pytest.approx(6.38, rel=0.05)
