"""Cycles as they are handed over to Home Assistant."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.integrations.entities import TODAY
from easee_load_balancer.integrations.snapshot import Snapshot, Today
from easee_load_balancer.measurements import Setpoint
from tests.support.control_readings import NOW, charger, inverter, told

CHARGER_ID = "EH123456"
MIDNIGHT = datetime(2026, 6, 21, tzinfo=ZoneInfo("Europe/Stockholm"))


def today(**other: Any) -> Today:
    """A day with 1 kWh of everything."""
    known = Today(since=MIDNIGHT, kwh=dict.fromkeys(TODAY, 1.0), saved=0.22, cloud_calls=100)
    return replace(known, **other)


def snapshot(*, battery: bool = False, **other: Any) -> Snapshot:
    """A cycle in which the car charges with 10 A x 3 of 5 kW of PV, and the house takes 1 kW."""
    reading = inverter(export_w=-2900.0, has_battery=battery)
    known = Snapshot(
        site="home",
        charger_id=CHARGER_ID,
        loaded_at=NOW,
        at=NOW,
        inverter=reading,
        charger=charger(10, output_phases=3),
        policy=Policy(),
        boost=None,
        decision=Decision(
            Setpoint(10, 3),
            push=False,
            reason="10 A x 3: surplus 4.0 kW",
            state=told(10, has_battery=battery),
            surplus_w=4000.0,
        ),
        outcome="held",
        reason="10 A x 3: surplus 4.0 kW",
        currency=None,
    )
    return replace(known, **other)
