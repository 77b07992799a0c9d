"""The entities in Home Assistant: one row each, with the value that a cycle gives it.

Keys are parts of unique ids and must never change. Fields are those of Home Assistant's MQTT
discovery (core 2026.2, components/mqtt).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from easee_load_balancer.control.feedback import other_controller
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.integrations.snapshot import Snapshot
from easee_load_balancer.measurements import ChargerMode

OUTCOMES = ("failed", "attention", "asleep", "pushed", "held")
UNKNOWN = "unknown"
OFF = "off"
"""No boost, no departure, no limit."""
UNPLUGGED = "unplugged"
_LONGEST_STATE = 255
"""Home Assistant refuses longer ones."""

Value = Callable[[Snapshot], Any]
Platform = Literal["sensor", "binary_sensor", "select", "number", "text", "switch", "button"]


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity of a device."""

    key: str
    name: str
    platform: Platform
    fields: Mapping[str, Any]
    """Fields of the discovery; `{currency}` in a unit stands for the tariff's currency."""
    value: Value | None = None
    """None for an entity without a state."""
    command: str | None = None
    """Second-to-last part of the topic for its commands."""
    needs_charger: bool = False
    """Whether it is unavailable while the charger is."""
    exists: Callable[[Snapshot], bool] = lambda _: True
    of_today: bool = False
    """Whether its value is summed up over the day."""

    @property
    def needs_link(self) -> bool:
        """Whether it exists only if a link outlives the cycle."""
        return self.of_today or self.command is not None


def _sensor(key: str, name: str, value: Value, **fields: Any) -> Entity:
    names = ("needs_charger", "exists", "of_today")
    own = {one: fields.pop(one) for one in names if one in fields}
    return Entity(key, name, "sensor", fields, value, **own)


def _measured(kind: str, unit: str, digits: int) -> dict[str, Any]:
    return {
        "device_class": kind,
        "unit_of_measurement": unit,
        "state_class": "measurement",
        "suggested_display_precision": digits,
    }


_POWER = _measured("power", "W", 0)
_CURRENT = _measured("current", "A", 1)
_ENERGY = _measured("energy", "kWh", 2) | {"state_class": "total_increasing"}
_DIAGNOSTIC: Mapping[str, Any] = {"entity_category": "diagnostic"}


def _has_battery(snapshot: Snapshot) -> bool:
    return snapshot.decision.state.has_battery


def _has_prices(snapshot: Snapshot) -> bool:
    return snapshot.currency is not None


def _today(name: str) -> Value:
    return lambda s: None if s.today is None else s.today.kwh[name]


def _phase(values: Callable[[Snapshot], Sequence[float | None]], index: int) -> Value:
    return lambda s: values(s)[index]


def _setpoint(snapshot: Snapshot) -> int | None:
    setpoint = snapshot.decision.setpoint or snapshot.decision.state.setpoint
    return None if setpoint is None else setpoint.current_a


def _fitting(text: str | None) -> str | None:
    if text is None or len(text) <= _LONGEST_STATE:
        return text
    return f"{text[: _LONGEST_STATE - 4]} ..."


def _status(snapshot: Snapshot) -> str:
    mode = snapshot.charger.mode
    return UNKNOWN if mode is None else mode.name.lower()


def _sees_other_controller(snapshot: Snapshot) -> bool:
    if snapshot.decision.state.external_limit_a is not None:
        return True
    return bool(other_controller(snapshot.charger, _setpoint(snapshot) or 0))


def _boost(snapshot: Snapshot) -> str:
    boost = snapshot.boost
    return OFF if boost is None else str(boost).removeprefix("boost until ")


def _ready_by(snapshot: Snapshot) -> str:
    return (snapshot.ready_by or OFF).removeprefix("ready by ")


def _highest_power(snapshot: Snapshot) -> str:
    limit_w = snapshot.policy.max_power_w
    return OFF if limit_w is None else str(limit_w)


TODAY = {
    "pv_kwh": "PV today",
    "house_kwh": "House today",
    "import_kwh": "Grid import today",
    "export_kwh": "Grid export today",
    "car_kwh": "Car today",
    "car_from_solar_kwh": "Car from solar today",
    "car_from_battery_kwh": "Car from battery today",
    "car_from_grid_kwh": "Car from grid today",
}
"""Names of the day's energies by the fields of `Energy`."""

SITE_ENTITIES: tuple[Entity, ...] = (
    _sensor("decision", "Decision", lambda s: _fitting(s.reason)),
    _sensor(
        *("outcome", "Outcome", lambda s: s.outcome),
        device_class="enum",
        options=[*OUTCOMES],
        **_DIAGNOSTIC,
    ),
    Entity(
        *("problem", "Problem", "binary_sensor", {"device_class": "problem"}),
        value=lambda s: s.outcome in ("failed", "attention"),
    ),
    _sensor("grid_export_w", "Grid export", lambda s: s.inverter.grid_export_w, **_POWER),
    _sensor("pv_w", "PV", lambda s: s.inverter.pv_w, **_POWER),
    _sensor("house_w", "House", lambda s: s.house_w, **_POWER),
    _sensor("surplus_w", "Surplus", lambda s: s.decision.surplus_w, **_POWER),
    _sensor(
        *("battery_charge_w", "Battery charging", lambda s: s.inverter.battery_charge_w),
        exists=_has_battery,
        **_POWER,
    ),
    _sensor(
        *("battery_soc_pct", "Battery", lambda s: s.inverter.battery_soc_pct),
        exists=_has_battery,
        **_measured("battery", "%", 0),
    ),
    *(
        _sensor(
            f"grid_export_l{index + 1}_a",
            f"Grid export L{index + 1}",
            _phase(lambda s: s.inverter.grid_current_phase_a, index),
            **_CURRENT,
        )
        for index in range(3)
    ),
    _sensor("imported_kwh", "Grid imported", lambda s: s.inverter.imported_kwh, **_ENERGY),
    _sensor("exported_kwh", "Grid exported", lambda s: s.inverter.exported_kwh, **_ENERGY),
    _sensor(
        *("charged_kwh", "Battery charged", lambda s: s.inverter.charged_kwh),
        exists=_has_battery,
        **_ENERGY,
    ),
    _sensor(
        *("discharged_kwh", "Battery discharged", lambda s: s.inverter.discharged_kwh),
        exists=_has_battery,
        **_ENERGY,
    ),
    *(
        _sensor(f"today_{key}", name, _today(key), of_today=True, **_ENERGY)
        for key, name in TODAY.items()
    ),
    _sensor(
        *("today_saved", "Saved today", lambda s: s.today and s.today.saved),
        exists=_has_prices,
        of_today=True,
        device_class="monetary",
        unit_of_measurement="{currency}",
        state_class="total",
        suggested_display_precision=2,
        last_reset_value_template="{{ value_json.today_since or '' }}",
    ),
    _sensor(
        *("cloud_calls", "Easee cloud calls today", lambda s: s.today and s.today.cloud_calls),
        of_today=True,
        state_class="total_increasing",
        **_DIAGNOSTIC,
    ),
    _sensor(
        *("import_price", "Import price", lambda s: s.import_price),
        exists=lambda s: s.import_price is not None,
        unit_of_measurement="{currency}/kWh",  # the energy dashboard takes no price without it
        state_class="measurement",
        suggested_display_precision=3,
    ),
    _sensor("plan", "Charging plan", lambda s: _fitting(s.plan), exists=lambda s: s.plans),
    _sensor(
        *("last_cycle", "Last cycle", lambda s: s.at.isoformat()),
        device_class="timestamp",
        **_DIAGNOSTIC,
    ),
)


def _select(key: str, name: str, options: Sequence[str]) -> Entity:
    fields = {"options": [*options], "entity_category": "config"}
    return Entity(key, name, "select", fields, lambda s: getattr(s.policy, key), command=key)


def _number(key: str, name: str) -> Entity:
    bounds = Policy.model_json_schema()["properties"][key]
    fields = {
        "min": bounds["minimum"],
        "max": bounds["maximum"],
        "step": 1,
        "mode": "slider",
        "device_class": "current",
        "unit_of_measurement": "A",
        "entity_category": "config",
    }
    return Entity(key, name, "number", fields, lambda s: getattr(s.policy, key), command=key)


def _choices(key: str) -> Sequence[str]:
    choices: Sequence[str] = Policy.model_json_schema()["properties"][key]["enum"]
    return choices


CHARGER_ENTITIES: tuple[Entity, ...] = (
    _select("mode", "Mode", _choices("mode")),
    _select("phases", "Phases", _choices("phases")),
    _number("min_current_a", "Minimum current"),
    _number("max_current_a", "Maximum current"),
    Entity(
        *("max_power_w", "Highest power (W)", "text"),
        {"max": 6, "pattern": "off|[0-9]{1,6}", "entity_category": "config"},
        _highest_power,
        command="max_power_w",
    ),
    Entity(
        *("hold_battery", "Hold battery while charging from the grid", "switch"),
        {"entity_category": "config"},
        lambda s: s.policy.hold_battery,
        command="hold_battery",
        exists=_has_battery,
    ),
    Entity("boost_until", "Boost until", "text", {"max": 40}, _boost, command="boost"),
    Entity("boost", "Boost", "button", {"payload_press": UNPLUGGED}, command="boost"),
    Entity("cancel_boost", "Cancel boost", "button", {"payload_press": OFF}, command="boost"),
    Entity(
        *("ready_by", "Ready by", "text", {"max": 40}, _ready_by, "ready_by"),
        exists=lambda s: s.plans,
    ),
    _sensor("car_w", "Car", lambda s: s.charger.car_w, needs_charger=True, **_POWER),
    _sensor("setpoint_a", "Setpoint", _setpoint, **_CURRENT),
    _sensor(
        *("output_current_a", "Current offered", lambda s: s.charger.output_current_a),
        needs_charger=True,
        **_CURRENT,
    ),
    *(
        _sensor(
            f"car_l{index + 1}_a",
            f"Car L{index + 1}",
            _phase(lambda s: s.charger.car_current_a, index),
            needs_charger=True,
            **_CURRENT,
        )
        for index in range(3)
    ),
    _sensor(
        *("output_phases", "Phases in use", lambda s: s.charger.output_phases),
        needs_charger=True,
        state_class="measurement",
    ),
    _sensor(
        *("status", "Status", _status),
        needs_charger=True,
        device_class="enum",
        options=[*(mode.name.lower() for mode in ChargerMode), UNKNOWN],
    ),
    _sensor(
        *("session_kwh", "Session", lambda s: s.charger.session_kwh),
        needs_charger=True,
        **_ENERGY,
    ),
    _sensor(
        *("lifetime_kwh", "Charged since installation", lambda s: s.charger.lifetime_kwh),
        needs_charger=True,
        **_ENERGY,
    ),
    _sensor(
        *("car_age_s", "Age of the car's power", lambda s: s.charger.age_s("car_w")),
        needs_charger=True,
        **(_measured("duration", "s", 0) | {"entity_category": "diagnostic"}),
    ),
    Entity(
        *("car_connected", "Car connected", "binary_sensor", {"device_class": "plug"}),
        value=lambda s: s.charger.car_connected,
        needs_charger=True,
    ),
    Entity(
        *("charging", "Charging", "binary_sensor", {"device_class": "battery_charging"}),
        value=lambda s: s.is_charging,
        needs_charger=True,
    ),
    Entity(
        "online",
        "Easee cloud",
        "binary_sensor",
        {"device_class": "connectivity", **_DIAGNOSTIC},
        value=lambda s: s.charger.online,
    ),
    Entity(
        *("other_controller", "Other controller", "binary_sensor", _DIAGNOSTIC),
        value=_sees_other_controller,
        needs_charger=True,
    ),
)
