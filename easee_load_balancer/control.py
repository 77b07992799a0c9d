"""The control law: readings, policy and memory in, decision out. No clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import fmean
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from easee_load_balancer.readings import (
    MIN_CURRENT_A,
    ChargerMode,
    ChargerState,
    InverterReading,
    Setpoint,
)

NOMINAL_VOLTAGE_V = 230.0
TIME_TO_LIVE = timedelta(minutes=15)
"""How long the charger keeps a setpoint that nobody renews."""
RENEW_AFTER = timedelta(minutes=10)
DARK_W = 150.0
LONGEST_NIGHT = timedelta(hours=20)


class Policy(BaseModel):
    """What the owner wants."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["off", "solar"] = Field(
        default="solar",
        title="Mode",
        description="off: the charger is left alone. solar: charge with surplus sun only.",
    )
    phases: Literal[1, 3] = Field(
        default=3, title="Phases", description="Phases on which the car is charged."
    )
    min_current_a: int = Field(
        default=6,
        ge=MIN_CURRENT_A,
        le=10,
        title="Lowest current (A)",
        description="Below this the charge pauses; no car can charge with less than 6 A.",
    )
    max_current_a: int = Field(
        default=16,
        ge=10,  # not below the highest minimum: so the form itself refuses a crossed pair
        le=32,
        title="Highest current (A)",
        description="The car never gets more than this per phase.",
    )


class Memory(BaseModel):
    """What one cycle leaves for the next; stored with the history."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    setpoint_a: int | None = None
    """Last current pushed; None = never."""
    phases: Literal[1, 3] = 3
    pushed_at: AwareDatetime | None = None
    inverter_read_at: AwareDatetime | None = None
    pv_w: float | None = None
    """PV power at `inverter_read_at`."""
    has_battery: bool = False

    def is_night(self, now: datetime) -> bool:
        """Whether an inverter that does not answer is asleep rather than broken.

        It is when the last reading came in the dark, from a plant without battery, and that
        was no longer ago than the longest night.
        """
        if self.inverter_read_at is None or self.pv_w is None or self.has_battery:
            return False
        return self.pv_w < DARK_W and now - self.inverter_read_at < LONGEST_NIGHT


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now and why."""

    setpoint: Setpoint | None
    """None: leave the charger as it is."""
    push: bool
    """Whether the setpoint has to be sent: it changed, or its time to live needs renewing."""
    reason: str
    memory: Memory
    surplus_w: float | None = None

    def pushed(self, now: datetime) -> Decision:
        """This decision once the charger has accepted its setpoint."""
        if self.setpoint is None:
            return self
        return replace(self, memory=after_push(self.memory, self.setpoint, now))


def decide(
    now: datetime,
    inverter: InverterReading,
    charger: ChargerState,
    policy: Policy,
    memory: Memory,
) -> Decision:
    """The setpoint for the present readings, with the reason and the memory for the next cycle."""
    memory = _remember_sun(inverter, memory)
    hands_off = _leave_alone(charger, policy) or _missing(inverter, charger)
    if hands_off:
        return Decision(None, push=False, reason=hands_off, memory=memory)
    surplus_w = _surplus_w(inverter, charger)
    setpoint = _choose_amperes(surplus_w, inverter, charger, policy)
    return Decision(
        setpoint,
        push=_needs_push(now, setpoint, charger, memory),
        reason=f"{setpoint}: {_equation(surplus_w, inverter, charger)}",
        memory=memory,
        surplus_w=surplus_w,
    )


def after_push(memory: Memory, setpoint: Setpoint, now: datetime) -> Memory:
    """The memory once the charger has accepted the setpoint."""
    return memory.model_copy(
        update={"setpoint_a": setpoint.current_a, "phases": setpoint.phases, "pushed_at": now}
    )


def _remember_sun(inverter: InverterReading, memory: Memory) -> Memory:
    if inverter.asleep or inverter.pv_w is None:
        return memory
    return memory.model_copy(
        update={
            "inverter_read_at": inverter.taken_at,
            "pv_w": inverter.pv_w,
            "has_battery": inverter.has_battery,
        }
    )


def _leave_alone(charger: ChargerState, policy: Policy) -> str | None:
    """Why the charger is none of our business now, or None."""
    if policy.mode == "off":
        return "off: the charger is left alone"
    if not charger.online or charger.mode in (None, ChargerMode.OFFLINE):
        return "charger offline: nothing is known of the car, nothing is changed"
    if charger.mode is ChargerMode.DISCONNECTED:
        return "no car connected"
    if charger.mode in (ChargerMode.AWAITING_AUTHENTICATION, ChargerMode.DEAUTHENTICATING):
        return "charger waits for authentication: unlock it in the Easee app or with a tag"
    if charger.mode is ChargerMode.ERROR:
        return "charger reports an error: see the Easee app"
    return None


def _missing(inverter: InverterReading, charger: ChargerState) -> str | None:
    """Which value the formula lacks, or None."""
    if inverter.asleep:
        return None
    values = {
        "grid power (is the meter online?)": inverter.grid_export_w,
        "battery power": inverter.battery_charge_w,
        "car power": charger.car_w,
    }
    missing = [name for name, value in values.items() if value is None]
    return f"unknown: {', '.join(missing)}; nothing is changed" if missing else None


def _surplus_w(inverter: InverterReading, charger: ChargerState) -> float:
    """Car + grid export + battery charging, in W; no sun is no surplus."""
    if inverter.asleep:
        return 0.0
    parts = (charger.car_w, inverter.grid_export_w, inverter.battery_charge_w)
    return sum(part for part in parts if part is not None)


def _choose_amperes(
    surplus_w: float, inverter: InverterReading, charger: ChargerState, policy: Policy
) -> Setpoint:
    """Whole amperes that the surplus carries, within every limit; 0 below the lowest current."""
    single_phase = charger.grid_type in (3, 5) or charger.phase_mode == 1
    phases: Literal[1, 3] = 1 if single_phase else policy.phases
    volts = _voltage_v(inverter, charger, phases)
    limits = [policy.max_current_a, charger.charger_max_current_a]
    limits += charger.circuit_max_current_a[:phases]
    highest_a = min(limit for limit in limits if limit is not None)
    current_a = int(min(surplus_w / (volts * phases), highest_a))
    return Setpoint(current_a if current_a >= policy.min_current_a else 0, phases)


def _voltage_v(inverter: InverterReading, charger: ChargerState, phases: int) -> float:
    """Mean phase voltage at the charger, else at the meter, else nominal."""
    for measured in (charger.voltage_v[:phases], inverter.grid_voltage_v[:phases]):
        known = [volts for volts in measured if volts is not None and 180 < volts < 280]
        if known:
            return fmean(known)
    return NOMINAL_VOLTAGE_V


def _needs_push(now: datetime, setpoint: Setpoint, charger: ChargerState, memory: Memory) -> bool:
    if memory.pushed_at is None or memory.setpoint_a is None:
        return True
    if Setpoint(memory.setpoint_a, memory.phases) != setpoint:
        return True
    return now - memory.pushed_at >= RENEW_AFTER


def _equation(surplus_w: float, inverter: InverterReading, charger: ChargerState) -> str:
    if inverter.asleep:
        return "no sun, the inverter is asleep"
    car, export, battery = charger.car_w, inverter.grid_export_w, inverter.battery_charge_w
    parts = f"car {_kw(car)} + export {_kw(export)} + battery {_kw(battery)}"
    return f"surplus {_kw(surplus_w)} kW = {parts}"


def _kw(power_w: float | None) -> str:
    return "?" if power_w is None else f"{power_w / 1000:.1f}"
