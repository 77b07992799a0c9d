"""What the charger reports to its cloud: observations by id."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from easee_load_balancer.measurements import ChargerMode
from easee_load_balancer.simulation.plant.cloud_lag import (
    CAR_POWER_KW,
    LIFETIME_KWH,
    SESSION_KWH,
    VOLTAGE_V,
    CloudLag,
    Reported,
)
from easee_load_balancer.simulation.plant.grid import IT_GRIDS, ONE_PHASE_GRIDS, Conductors
from easee_load_balancer.simulation.plant.other_chargers import ChargingPoint

Value = bool | int | float | str

_DATA_TYPES: dict[type, int] = {bool: 2, float: 3, int: 4, str: 6}
_LIFETIME_BEFORE_KWH = 1234.567
_HEARTBEAT_S = 600
_NEUTRAL_TO_EARTH_V = 3.066

_ID_RANGES = (
    *((1, 2), (5, 5), (10, 11), (13, 28), (30, 48), (50, 52), (54, 54), (56, 57), (62, 62)),
    *((65, 65), (68, 84), (89, 91), (96, 155), (160, 166), (170, 175), (182, 185), (190, 200)),
    *((202, 206), (210, 212), (219, 223), (230, 232), (240, 241), (250, 251)),
)
KNOWN_IDS = frozenset(i for first, last in _ID_RANGES for i in range(first, last + 1))
"""Ids that the API knows; this charger never reports most of them."""

_NO_CAR: dict[int, Value] = {
    **dict.fromkeys((76, 77, 110), 0),
    **dict.fromkeys((114, 120, 121, 182, 183, 184, 185), 0.0),
    96: 50,
    100: "A",
    103: False,
    109: int(ChargerMode.DISCONNECTED),
}
"""What a charger without a car reports."""

_CONFIGURED_LONG_AGO = frozenset(
    (21, 22, 23, 24, 30, 31, 37, 38, 40, 42, 43, 44, 45, 47, 50, 51, 52, 62, 65, 80, 146)
)


_BANDS = {
    120: CAR_POWER_KW,
    121: SESSION_KWH,
    124: LIFETIME_KWH,
    194: VOLTAGE_V,
}
_TOGETHER = {120: (182, 183, 184, 185), 194: (190, 191, 192, 193, 195, 196, 197, 198, 199)}


def plain_number(value: Any) -> Any:
    """The value as the API writes it: whole numbers have no decimals, even where it is a double."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_json(id_: int, seen: Reported) -> dict[str, Any]:
    """An observation as the API shows it."""
    return {
        "id": id_,
        "timestamp": f"{seen.observed_at:%Y-%m-%dT%H:%M:%SZ}",
        "dataType": _DATA_TYPES[type(seen.value)],
        "value": plain_number(seen.value),
    }


def cloud_copy(
    plant: ChargingPoint, delay_s: float, now: datetime, equalizer_id: str | None = None
) -> CloudLag[int]:
    """The observations in the cloud when the simulation starts; settings are a month old."""
    copy = CloudLag[int](delay_s, _BANDS, _TOGETHER)
    first = observe(plant, equalizer_id)
    settings = {id_: first[id_] for id_ in _CONFIGURED_LONG_AGO & first.keys()}
    copy.update(settings, plant.clock_s, now - timedelta(days=30))
    copy.update(first, plant.clock_s, now)
    return copy


def observe(plant: ChargingPoint, equalizer_id: str | None = None) -> dict[int, Value]:
    """All values of the charger at this moment, by observation id."""
    paired: dict[int, Value] = {65: json.dumps({"id": equalizer_id})} if equalizer_id else {}
    seen = {**_settings(plant), **_limits(plant), **_charging(plant), **_electricity(plant)}
    return seen | paired


def without_car(known: Mapping[int, Reported]) -> dict[int, Reported]:
    """What another charger on the same circuit reports without a car."""
    return {id_: replace(one, value=_NO_CAR.get(id_, one.value)) for id_, one in known.items()}


def _settings(plant: ChargingPoint) -> dict[int, Value]:
    charger = plant.charger
    spec = charger.spec
    return {
        21: spec.grid_type,
        30: False,
        31: charger.enabled,
        37: False,
        38: spec.phase_mode,
        40: 50,
        42: spec.authorization_required,
        43: True,
        44: False,
        45: 0,
        62: _schedule(spec.schedule),
        80: 331,
        102: charger.smart_charging,
        146: 1,
        250: True,
    }


def _schedule(minutes: tuple[int, int] | None) -> str:
    if minutes is None:
        return ""
    begin, end = (f"{at // 60:02d}:{at % 60:02d}" for at in minutes)
    plan = {"isEnabled": True, "repeat": True, "chargeStartTime": begin, "chargeStopTime": end}
    return json.dumps(plan)


def _limits(plant: ChargingPoint) -> dict[int, Value]:
    charger = plant.charger
    spec = charger.spec
    circuit, offline = charger.circuit_max_current_a, spec.offline_max_current_a
    dynamic = charger.dynamic_circuit_current_a
    return {
        **{22 + phase: float(circuit[phase]) for phase in range(3)},
        47: float(spec.max_current_a),
        48: float(charger.dynamic_charger_current_a),
        **{50 + phase: int(offline[phase]) for phase in range(3)},
        104: int(spec.cable_current_a * 1000),
        **{111 + phase: float(dynamic[phase]) for phase in range(3)},
        114: float(charger.output_current_a),
        115: float(spec.max_current_a),
        116: False,
    }


def _charging(plant: ChargingPoint) -> dict[int, Value]:
    charger, car = plant.charger, plant.car
    charging = charger.op_mode is ChargerMode.CHARGING
    heartbeat = plant.clock_s // _HEARTBEAT_S
    return {
        76: int(car.plugged_in),
        77: int(charging),
        96: int(charger.reason_for_no_current),
        100: "C" if charging else "B" if car.plugged_in else "A",
        103: car.plugged_in,
        109: int(charger.op_mode),
        110: _output_phase(charger.conductors, charger.spec.grid_type),
        119: 0,
        120: round(plant.reported_car_w / 1000, 3),
        121: round(car.energy_kwh, 6),
        124: round(_LIFETIME_BEFORE_KWH + plant.lifetime_kwh, 6),
        125: 40 + charger.starts,
        132: -51 - heartbeat % 3,
        141: 1,
        150: 24 + heartbeat % 2,
    }


_TN_OUTPUTS: dict[Conductors, int] = {
    (): 0,
    (0,): 10,
    (1,): 12,
    (2,): 14,
    (0, 1): 20,
    (1, 2): 21,
    (0, 2): 22,
    (0, 1, 2): 30,
}
_IT_OUTPUTS: dict[Conductors, int] = {(): 0, (0, 2): 11, (0, 1, 2): 30}


def _output_phase(conductors: Conductors, grid_type: int) -> int:
    """The API's enumeration: 0 none, 10.. one phase, 11 one on IT, 20.. two, 30 three phases."""
    return (_IT_OUTPUTS if grid_type in IT_GRIDS else _TN_OUTPUTS)[conductors]


def _electricity(plant: ChargingPoint) -> dict[int, Value]:
    """Currents into the terminals T2 (N) to T5 (L3), and the voltages between all of T1 to T5."""
    i1, i2, i3 = plant.charger.car_phase_current_a()
    grid_type = plant.charger.spec.grid_type
    squares = i1 * i1 + i2 * i2 + i3 * i3 - i1 * i2 - i2 * i3 - i3 * i1
    neutral = 0.0 if grid_type in IT_GRIDS else math.sqrt(max(0.0, squares))
    u1, u2, u3 = plant.voltage_v
    if grid_type in ONE_PHASE_GRIDS:
        u2 = u3 = 0.0
    currents = (neutral, i1, i2, i3)
    voltages = (
        *(_NEUTRAL_TO_EARTH_V, u1, u2, u3),
        *(u1, u2, u3),
        *(_between(u1, u2), _between(u1, u3), _between(u2, u3)),
    )
    return {
        **{182 + terminal: round(amps, 3) for terminal, amps in enumerate(currents)},
        **{190 + pair: round(volts, 2) for pair, volts in enumerate(voltages)},
    }


def _between(u: float, v: float) -> float:
    """Voltage between two phases a third of a turn apart."""
    return math.sqrt(u * u + v * v + u * v)
