"""Cycles with given powers, and the energy totals that they give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from easee_load_balancer.energy.accounting import account
from easee_load_balancer.energy.power_flows import COLUMNS
from easee_load_balancer.energy.totals import Energy

START = datetime(2026, 6, 21, tzinfo=UTC)
INTERVAL = timedelta(seconds=30)


def at(seconds: float) -> datetime:
    """This many seconds after the start."""
    return START + timedelta(seconds=seconds)


def samples(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Cycles as the history returns them; missing values are unknown."""
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame["at"] = pd.to_datetime(frame["at"], utc=True).dt.as_unit("us")
    frame["outcome"] = [row.get("outcome", "held") for row in rows]
    numbers = [name for name in COLUMNS if name not in ("at", "outcome")]
    frame[numbers] = frame[numbers].astype("float64")
    return frame


def steady(
    since: float = 0, until: float = 3600, step: float = 30, **power_w: float | None
) -> list[dict[str, Any]]:
    """Constant samples; all powers are 0 except the given ones."""
    still: dict[str, Any] = {"pv_w": 0, "inverter_ac_w": 0, "grid_export_w": 0}
    still |= {"battery_charge_w": 0, "car_w": 0, "car_phases": 0, **power_w}
    return [{"at": at(second), **still} for second in np.arange(since, until, step).tolist()]


def totals(rows: list[dict[str, Any]], until: float = 3600, **more: Any) -> Energy:
    """The totals from the start on."""
    return account(samples(rows), START, at(until), INTERVAL, **more)
