"""One cycle in words: its log line, and the rows of `check`."""

from __future__ import annotations

from datetime import datetime

from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.power_estimate import NOMINAL_VOLTAGE_V
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.measurements import ChargerState, InverterReading, PhaseValues


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


def inverter_rows(inverter: InverterReading) -> list[tuple[str, str]]:
    """What the inverter reports, by name."""
    if inverter.asleep:
        return [("PV", "none: the inverter is asleep")]
    phases = {3: "three phases", 1: "one phase", None: ""}[inverter.meter_phases]
    rows = [
        ("PV", _kw(inverter.pv_w)),
        ("Grid", _direction(inverter.grid_export_w, "exported", "imported", phases)),
    ]
    amps = [-one for one in inverter.grid_current_phase_a if one is not None]
    if amps:
        rows.append(("Import per phase", " / ".join(f"{one:.1f}" for one in amps) + " A"))
    if not inverter.has_battery:
        return [*rows, ("Battery", "none")]
    soc = inverter.battery_soc_pct
    charge = "charge unknown" if soc is None else f"{soc:.0f} % full"
    power = _direction(inverter.battery_charge_w, "charging", "discharging", charge)
    return [*rows, ("Battery", power)]


def charger_rows(charger: ChargerState, now: datetime) -> list[tuple[str, str]]:
    """What the charger reports, by name."""
    mode = "unknown" if charger.mode is None else charger.mode.name.replace("_", " ").lower()
    newest = max(charger.observed_at.values(), default=None)
    age = "" if newest is None else f", last seen {(now - newest).total_seconds():.0f} s ago"
    return [
        ("State", f"{mode if charger.online else 'offline'}{age}"),
        ("Car", f"{_kw(charger.car_w)}, offered {_amps(charger.output_current_a)}"),
        ("Circuit current", _phases(charger.circuit_current_a)),
        ("Circuit current limit", _phases(charger.circuit_max_current_a)),
    ]


def car_rows(state: ControllerState) -> list[tuple[str, str]]:
    """What has been learned about the car that is plugged in, by name; only what is known."""
    car, rows = state.car, []
    for offered, lines in sorted(car.lines.items()):
        watts = car.factors[offered] * NOMINAL_VOLTAGE_V if offered in car.factors else None
        power = "" if watts is None else f", {watts:.0f} W per A"
        used = f"{lines} {'phase' if lines == 1 else 'phases'}"
        rows.append((f"Car offered {offered} phase{'s' * (offered > 1)}", f"uses {used}{power}"))
    for offered_a, drawn_a in sorted(car.draws_a.items()):
        rows.append((f"Car offered {offered_a} A", f"draws {drawn_a:.1f} A"))
    if car.refused is not None:
        rows.append(("Car does not start on", f"{car.refused} phase{'s' * (car.refused > 1)}"))
    if state.wiring:
        pairs = sorted(state.wiring.items())
        wires = ", ".join(f"charger L{ours + 1} = house L{theirs + 1}" for ours, theirs in pairs)
        rows.append(("Wiring", wires))
    return rows


def _direction(power_w: float | None, positive: str, negative: str, more: str) -> str:
    words = positive if (power_w or 0) >= 0 else negative
    text = "unknown" if power_w is None else f"{_kw(abs(power_w))} {words}"
    return f"{text}, {more}" if more else text


def _amps(current_a: float | None) -> str:
    return "?" if current_a is None else f"{current_a:g} A"


def _phases(current_a: PhaseValues) -> str:
    return " / ".join("?" if one is None else f"{one:g}" for one in current_a) + " A"


def _kw(power_w: float | None) -> str:
    return "?" if power_w is None else f"{power_w / 1000:z.2f} kW"
