"""From power samples to energy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from easee_load_balancer.energy import summarise

NOON = datetime(2026, 6, 21, 12, 0, tzinfo=UTC)


def samples(*seconds: int, **power_w: float | None) -> pd.DataFrame:
    """The same power at each of these seconds after noon; what is not given is zero."""
    zero = dict.fromkeys(
        ("pv_w", "inverter_ac_w", "grid_export_w", "battery_charge_w", "car_w"), 0.0
    )
    at = [NOON + timedelta(seconds=second) for second in seconds]
    return pd.DataFrame({"at": at} | {name: [w] * len(at) for name, w in (zero | power_w).items()})


def test_the_car_takes_from_grid_then_battery_then_sun() -> None:
    hour = samples(
        *range(0, 3601, 30),
        pv_w=5000,
        inverter_ac_w=6000,
        grid_export_w=-1500,
        battery_charge_w=-1000,
        car_w=7000,
    )
    day = summarise(hour)
    assert day.covered == timedelta(hours=1)
    assert (day.pv_kwh, day.car_kwh) == pytest.approx((5, 7))
    assert day.house_kwh == pytest.approx(0.5)
    split = (day.car_from_grid_kwh, day.car_from_battery_kwh, day.car_from_sun_kwh)
    assert split == pytest.approx((1.5, 1, 4.5))


def test_nothing_is_assumed_for_a_gap() -> None:
    day = summarise(samples(0, 60, 3600, 3660, pv_w=3000))
    assert day.covered == timedelta(minutes=2)
    assert day.pv_kwh == pytest.approx(0.1)


def test_no_samples_no_energy() -> None:
    day = summarise(samples())
    assert (day.pv_kwh, day.car_kwh, day.covered) == (0, 0, timedelta(0))
