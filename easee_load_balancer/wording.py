"""Sentences for people."""

from __future__ import annotations

from easee_load_balancer.control import NOMINAL_VOLTAGE_V, Decision, Policy
from easee_load_balancer.readings import ChargerState, InverterReading


def cycle_line(
    inverter: InverterReading, charger: ChargerState, policy: Policy, decision: Decision
) -> str:
    """What was read and computed, in one line."""
    setpoint = decision.setpoint
    if setpoint is None:
        target = "left as it is"
    else:
        target = f"{_kw(setpoint.power_w(NOMINAL_VOLTAGE_V))} = {setpoint}"
    soc = inverter.battery_soc_pct
    parts = {
        "mode": policy.mode,
        "surplus": _kw(decision.surplus_w),
        "export": _kw(inverter.grid_export_w),
        "PV": _kw(inverter.pv_w),
        "car": _kw(charger.car_w),
        "state of charge": "-" if soc is None else f"{soc:.0f} %",
        "battery": _kw(inverter.battery_charge_w),
        "setpoint": target,
    }
    return ", ".join(f"{name} {value}" for name, value in parts.items())


def _kw(power_w: float | None) -> str:
    return "?" if power_w is None else f"{power_w / 1000:.2f} kW"
