"""Readings, states and memories for tests of the control law."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.measurements import ChargerMode, ChargerState, InverterReading

NOW = datetime(2026, 6, 21, 12, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(minutes=20)
VOLTS = 230.0


def inverter(export_w: float | None = 0.0, **other: Any) -> InverterReading:
    """A house without battery; its export is the same on each phase."""
    amps = None if export_w is None else export_w / 3 / VOLTS
    reading = InverterReading(
        taken_at=NOW,
        grid_export_w=export_w,
        battery_charge_w=0.0,
        battery_soc_pct=None,
        has_battery=False,
        pv_w=5000.0,
        inverter_ac_w=5000.0,
        grid_current_phase_a=(amps, amps, amps),
        grid_voltage_v=(VOLTS, VOLTS, VOLTS),
        meter_phases=3,
    )
    return replace(reading, **other)


def with_battery(export_w: float, charge_w: float, soc_pct: float | None) -> InverterReading:
    return inverter(export_w, has_battery=True, battery_charge_w=charge_w, battery_soc_pct=soc_pct)


def charger(current_a: float = 0.0, phases: int = 3, **other: Any) -> ChargerState:
    """A charger whose car has drawn that current for long."""
    state = ChargerState(
        taken_at=NOW,
        online=True,
        mode=ChargerMode.CHARGING if current_a else ChargerMode.AWAITING_START,
        car_w=current_a * phases * VOLTS,
        output_current_a=current_a,
        output_phases=None,
        circuit_max_current_a=(16.0, 16.0, 16.0),
        charger_max_current_a=32.0,
        charger_current_a=32.0,
        voltage_v=(VOLTS, VOLTS, VOLTS),
        phase_mode=2,
        grid_type=1,
        observed_at={"car_w": LONG_AGO},
    )
    return replace(state, **other)


def told(current_a: int, phases: int = 3, **other: Any) -> ControllerState:
    """The state of a law that commanded this long ago; everything was assessed 10 s ago."""
    state = ControllerState(
        setpoint_a=current_a,
        phases=phases,
        pushed_at=LONG_AGO,
        changed_at=LONG_AGO,
        raised_at=LONG_AGO,
        started_at=LONG_AGO,
        session_at=LONG_AGO,
        attempt_at=LONG_AGO,
        weighed=True,
        before_a=current_a,
        before_phases=phases,
        assessed_at=NOW - timedelta(seconds=10),
    )
    return state.model_copy(update=other)
