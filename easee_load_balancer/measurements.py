"""Readings and setpoints: frozen values with unit and sign in their names.

`None` means unknown; 0 means zero. Powers in W, currents in A, energies in kWh, times in UTC.
Grid export and battery charging are positive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Literal

PhaseValues = tuple[float | None, float | None, float | None]
"""One value for each of L1, L2, L3."""

UNKNOWN_PHASES: PhaseValues = (None, None, None)

MIN_CURRENT_A = 6
"""Below this a car cannot charge (IEC 61851)."""


LOWEST_VOLTAGE_V, HIGHEST_VOLTAGE_V = 80.0, 300.0
"""A phase voltage outside of these is a wrong value or a dead phase."""


def plausible_voltage_v(volts: float | None) -> float | None:
    """The phase voltage; None where it cannot be one."""
    plausible = volts is not None and LOWEST_VOLTAGE_V <= volts <= HIGHEST_VOLTAGE_V
    return volts if plausible else None


@dataclass(frozen=True, slots=True)
class InverterReading:
    """One reading of the inverter, its grid meter and its battery."""

    taken_at: datetime
    grid_export_w: float | None
    """At the meter; None while the meter is offline."""
    battery_charge_w: float | None
    """0 where there is no battery."""
    battery_soc_pct: float | None
    """None where there is no battery."""
    has_battery: bool
    pv_w: float | None
    """DC input of the panels."""
    inverter_ac_w: float | None
    """AC output, battery discharge included."""
    grid_export_phase_w: PhaseValues = UNKNOWN_PHASES
    grid_current_phase_a: PhaseValues = UNKNOWN_PHASES
    """Signed like the power: + = export."""
    grid_voltage_v: PhaseValues = UNKNOWN_PHASES
    meter_phases: Literal[1, 3] | None = None
    rated_w: float | None = None
    """Rated AC power of the inverter."""
    battery_ac_headroom_w: float | None = None
    """With several inverters: the AC power that those with a battery could add. None where it is
    rated less present AC power."""
    off_grid: bool = False
    """The grid is gone: a backup box supplies the house from PV and battery."""
    meter_counts_backwards: bool = False
    """The owner has said so, and the values have been turned round."""
    export_limit_w: float | None = None
    """The most that the inverter is set to export; None where it has no limit, or is not known."""
    throttled: bool = False
    """The inverter reports that it limits its power."""
    battery_command: str = ""
    """What makes the battery charge or discharge, other than self-consumption, for people."""
    exported_kwh: float | None = None
    imported_kwh: float | None = None
    charged_kwh: float | None = None
    """Since installation, by the battery's own counters; None where it does not report them."""
    discharged_kwh: float | None = None
    problem: str | None = None
    """Why the meter's values are unknown although the inverter answers, for example
    "meter: 0 V on L2"."""
    unchanged_since: datetime | None = None
    """When the meter's registers first had exactly the values of this reading, bit by bit: equal
    to `taken_at` where they have just changed. None where it is not known."""
    asleep: bool = False
    """At night, an inverter without battery does not answer, so its meter is unknown."""

    @classmethod
    def sleeping(cls, taken_at: datetime) -> InverterReading:
        """The reading of an inverter that is asleep: no PV, no battery, grid unknown."""
        return cls(
            taken_at=taken_at,
            grid_export_w=None,
            battery_charge_w=0.0,
            battery_soc_pct=None,
            has_battery=False,
            pv_w=0.0,
            inverter_ac_w=0.0,
            asleep=True,
        )

    @classmethod
    def unknown(cls, taken_at: datetime) -> InverterReading:
        """The reading of an inverter that could not be read."""
        return cls(
            taken_at=taken_at,
            grid_export_w=None,
            battery_charge_w=None,
            battery_soc_pct=None,
            has_battery=True,
            pv_w=None,
            inverter_ac_w=None,
        )


class BatteryHold(StrEnum):
    """Whether and how the house battery is kept from discharging."""

    FREE = "free"
    COMMAND = "command"
    """A forced discharge of 0 W: ends by itself, and the battery does not charge either."""
    LIMIT = "limit"
    """A discharge limit of 0 W: the battery still charges, and the limit lasts until lifted."""


CAR_CURRENTS_OBSERVED = ("car_current_l1_a", "car_current_l2_a", "car_current_l3_a")
"""Names in `ChargerState.observed_at` for the three values of `car_current_a`."""
CIRCUIT_CURRENTS_OBSERVED = (
    "circuit_current_l1_a",
    "circuit_current_l2_a",
    "circuit_current_l3_a",
)
"""The same for `circuit_current_a`."""


class GridType(IntEnum):
    """`detectedPowerGridType` of the Easee API (observation 21)."""

    TN_THREE_PHASES = 1
    TN_TWO_PHASES = 2
    TN_ONE_PHASE = 3
    IT_THREE_PHASES = 4
    """230 V between lines, no neutral: common in Norway."""
    IT_ONE_PHASE = 5


class ChargerMode(IntEnum):
    """`chargerOpMode` of the Easee API (observation 109)."""

    OFFLINE = 0
    DISCONNECTED = 1
    AWAITING_START = 2
    CHARGING = 3
    COMPLETED = 4
    ERROR = 5
    READY_TO_CHARGE = 6
    AWAITING_AUTHENTICATION = 7
    DEAUTHENTICATING = 8


class ReasonForNoCurrent(IntEnum):
    """`reasonForNoCurrent` of the Easee API (observation 96): why the car gets no or less current.

    25 to 30 and 75 to 81 can also show while charging.
    """

    NONE = 0
    CIRCUIT_CURRENT_TOO_LOW = 2
    LIMITED_BY_CIRCUIT = 27
    LIMITED_BY_EQUALIZER = 28
    LIMITED_BY_LOAD_BALANCING = 29
    NO_CAR = 50
    CHARGER_CURRENT_TOO_LOW = 52
    DISABLED = 53
    SCHEDULE = 54
    AUTHORIZATION_REQUIRED = 55
    LIMITED_BY_SCHEDULE = 76
    LIMITED_BY_CHARGER = 78
    CAR_NOT_CHARGING = 79
    LIMITED_BY_CAR = 81


@dataclass(frozen=True, slots=True)
class ChargerState:
    """What the charger last reported; each value may be minutes old (see `observed_at`)."""

    taken_at: datetime
    online: bool
    """False when the charger lost its cloud connection or has reported nothing for 20 minutes."""
    mode: ChargerMode | None
    car_w: float | None
    output_current_a: float | None
    """What is signalled to the car."""
    output_phases: Literal[0, 1, 2, 3] | None
    car_current_a: PhaseValues = UNKNOWN_PHASES
    voltage_v: PhaseValues = UNKNOWN_PHASES
    circuit_current_a: PhaseValues = UNKNOWN_PHASES
    """The dynamic circuit current, which we set."""
    circuit_max_current_a: PhaseValues = UNKNOWN_PHASES
    offline_current_a: PhaseValues = UNKNOWN_PHASES
    """The circuit may fall back to this when the time to live ends."""
    charger_current_a: float | None = None
    """The dynamic charger current, which apps set."""
    charger_max_current_a: float | None = None
    phase_mode: int | None = None
    """1 one phase, 2 automatic, 3 three phases."""
    grid_type: int | None = None
    """See `GridType`; other numbers are possible."""
    reason_for_no_current: int | None = None
    """A `ReasonForNoCurrent`, or a number that is not listed there."""
    session_kwh: float | None = None
    lifetime_kwh: float | None = None
    observed_at: Mapping[str, datetime] = field(default_factory=dict)
    """When the charger observed each value, by name (`devices.easee.observations`)."""

    @classmethod
    def unknown(cls, taken_at: datetime) -> ChargerState:
        """The state of a charger that could not be read."""
        return cls(
            taken_at=taken_at,
            online=False,
            mode=None,
            car_w=None,
            output_current_a=None,
            output_phases=None,
        )

    def age_s(self, name: str) -> float | None:
        """Age of the value of that name when it was read; None when unknown."""
        observed_at = self.observed_at.get(name)
        return None if observed_at is None else (self.taken_at - observed_at).total_seconds()

    @property
    def car_connected(self) -> bool | None:
        """Whether a car is plugged in; None when unknown."""
        if self.mode is None or not self.online or self.mode is ChargerMode.OFFLINE:
            return None
        return self.mode is not ChargerMode.DISCONNECTED


@dataclass(frozen=True, slots=True)
class Setpoint:
    """The circuit current to allow: 0 A pauses, otherwise at least 6 A on one or three phases."""

    current_a: int
    phases: Literal[1, 3] = 3

    def __post_init__(self) -> None:
        if self.current_a != 0 and self.current_a < MIN_CURRENT_A:
            raise ValueError(f"a setpoint of {self.current_a} A is neither 0 nor at least 6 A")

    @property
    def circuit_current_a(self) -> tuple[int, int, int]:
        """Amperes for L1, L2, L3 of the circuit."""
        if self.phases == 1:
            return (self.current_a, 0, 0)
        return (self.current_a,) * 3

    def power_w(self, voltage_v: float) -> float:
        """Power at that current and phase voltage, in W."""
        return self.current_a * self.phases * voltage_v

    def __str__(self) -> str:
        return f"{self.current_a} A x {self.phases}" if self.current_a else "0 A"
