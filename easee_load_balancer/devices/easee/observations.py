"""From the observations of the Easee API to a ChargerState: a pure step.

Ids, units and enumerations follow the API's "Observation IDs" and "Enumerations" pages.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Literal

from easee_load_balancer.devices.easee.models import Observation
from easee_load_balancer.measurements import (
    ChargerMode,
    ChargerState,
    PhaseValues,
    plausible_voltage_v,
)

STALE_AFTER = timedelta(minutes=20)
"""Without any new value for this long, the charger is offline. Values are sent on change, so only
the newest of all counts."""
_CLOCKS_DIFFER = timedelta(minutes=10)

OBSERVATION_IDS = {
    "mode": 109,
    "car_w": 120,
    "output_current_a": 114,
    "output_phases": 110,
    "car_current_l1_a": 183,
    "car_current_l2_a": 184,
    "car_current_l3_a": 185,
    "voltage_l1_v": 194,
    "voltage_l2_v": 195,
    "voltage_l3_v": 196,
    "circuit_current_l1_a": 111,
    "circuit_current_l2_a": 112,
    "circuit_current_l3_a": 113,
    "circuit_max_current_l1_a": 22,
    "circuit_max_current_l2_a": 23,
    "circuit_max_current_l3_a": 24,
    "offline_current_l1_a": 50,
    "offline_current_l2_a": 51,
    "offline_current_l3_a": 52,
    "charger_current_a": 48,
    "charger_max_current_a": 47,
    "phase_mode": 38,
    "grid_type": 21,
    "reason_for_no_current": 96,
    "session_kwh": 121,
    "lifetime_kwh": 124,
    "connected_to_cloud": 250,
    # signs of life: these change although nothing happens at the charger
    "wifi_signal_dbm": 132,
    "highest_temperature_c": 150,
}
_NAMES = {number: name for name, number in OBSERVATION_IDS.items()}
CONTROL_IDS = {
    "enabled": 31,
    "authorization_required": 42,
    "schedule": 62,
    "equalizer": 65,
}
_OUTPUT_PHASES: dict[float | None, Literal[0, 1, 2, 3]] = {
    0: 0,
    **dict.fromkeys(range(10, 16), 1),
    **dict.fromkeys(range(20, 23), 2),
    30: 3,
}
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
_HIGHEST_W, _HIGHEST_A, _HIGHEST_KWH = 30_000.0, 500.0, 1e8
"""A higher value cannot be and is unknown."""


@dataclass(frozen=True, slots=True)
class Controls:
    """What else controls the charger; None is unknown."""

    enabled: bool | None
    authorization_required: bool | None
    scheduled: bool
    equalizer: bool


def controls(observations: Iterable[Observation]) -> Controls:
    """What else controls the charger, from its observations."""
    values = {one.id: one for one in observations}
    known = {name: values.get(number) for name, number in CONTROL_IDS.items()}
    return Controls(
        enabled=_boolean(known["enabled"]),
        authorization_required=_boolean(known["authorization_required"]),
        scheduled=_is_on(known["schedule"]),
        equalizer=_is_on(known["equalizer"]),
    )


def _is_on(observation: Observation | None) -> bool:
    """Whether JSON text describes something that is not switched off."""
    try:
        content = json.loads(str(observation.value)) if observation else None
    except (ValueError, RecursionError):
        return False
    return bool(content) and not (isinstance(content, dict) and content.get("isEnabled") is False)


def charger_state(observations: Iterable[Observation], now: datetime) -> ChargerState:
    """The charger's state at `now` from its observations; values that were not sent are unknown.

    So are values from the future, which would never age; some minutes ahead are a clock's error.
    """
    possible = [one for one in observations if one.observed_at - now <= _CLOCKS_DIFFER]
    in_order = sorted(possible, key=attrgetter("observed_at"))
    known = {_NAMES[one.id]: one for one in in_order if one.id in _NAMES}
    observed_at = {name: min(one.observed_at, now) for name, one in known.items()}
    newest = max(observed_at.values(), default=None)
    connected = _boolean(known.get("connected_to_cloud"))
    mode = _mode(_number(known.get("mode")))
    car_w = _number(known.get("car_w"), _HIGHEST_W, scale=1000)
    if mode is not None and mode is not ChargerMode.CHARGING:
        car_w = 0.0  # totalPower keeps its last value when charging ends (evcc #10175)
    return ChargerState(
        taken_at=now,
        online=connected is not False and newest is not None and now - newest <= STALE_AFTER,
        mode=mode,
        car_w=car_w,
        output_current_a=_number(known.get("output_current_a"), _HIGHEST_A),
        output_phases=_OUTPUT_PHASES.get(_number(known.get("output_phases"))),
        car_current_a=_per_phase(known, "car_current"),
        voltage_v=_voltages(known),
        circuit_current_a=_per_phase(known, "circuit_current"),
        circuit_max_current_a=_per_phase(known, "circuit_max_current"),
        offline_current_a=_per_phase(known, "offline_current"),
        charger_current_a=_number(known.get("charger_current_a"), _HIGHEST_A),
        charger_max_current_a=_number(known.get("charger_max_current_a"), _HIGHEST_A),
        phase_mode=_integer(known.get("phase_mode")),
        grid_type=_integer(known.get("grid_type")),
        reason_for_no_current=_integer(known.get("reason_for_no_current")),
        session_kwh=_number(known.get("session_kwh"), _HIGHEST_KWH),
        lifetime_kwh=_number(known.get("lifetime_kwh"), _HIGHEST_KWH),
        observed_at=observed_at,
    )


def _number(
    observation: Observation | None, highest: float = 1e4, scale: float = 1
) -> float | None:
    if observation is None or isinstance(observation.value, bool | None):
        return None
    try:
        number = float(observation.value) * scale
    except (ValueError, OverflowError):
        return None
    return number if abs(number) <= highest else None


def _integer(observation: Observation | None) -> int | None:
    number = _number(observation)
    return None if number is None else int(number)


def _boolean(observation: Observation | None) -> bool | None:
    value = None if observation is None else observation.value
    if isinstance(value, bool | None):
        return value
    return _BOOLEANS.get(str(value).lower().removesuffix(".0"))


def _mode(number: float | None) -> ChargerMode | None:
    return ChargerMode(int(number)) if number in list(ChargerMode) else None


def _per_phase(known: dict[str, Observation], name: str) -> PhaseValues:
    l1, l2, l3 = (_number(known.get(f"{name}_l{phase}_a"), _HIGHEST_A) for phase in (1, 2, 3))
    return (l1, l2, l3)


def _voltages(known: dict[str, Observation]) -> PhaseValues:
    l1, l2, l3 = (
        plausible_voltage_v(_number(known.get(f"voltage_l{phase}_v"))) for phase in (1, 2, 3)
    )
    return (l1, l2, l3)
