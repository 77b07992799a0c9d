"""Discovery payloads and states, by the rules of Home Assistant core 2026.2 (components/mqtt)."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from typing import Any

import pytest
import yaml

from easee_load_balancer.control.boost import Boost
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.integrations.entities import CHARGER_ENTITIES, SITE_ENTITIES, TODAY
from easee_load_balancer.integrations.home_assistant import discovery, states
from easee_load_balancer.integrations.snapshot import Snapshot
from easee_load_balancer.measurements import ChargerState
from tests.support.control_readings import NOW, told
from tests.support.paths import PROJECT
from tests.support.snapshots import CHARGER_ID, snapshot, today

INTERVAL = timedelta(seconds=30)
SITE_CONFIG = "homeassistant/device/easee_balancer_home/config"
CHARGER_CONFIG = f"homeassistant/device/easee_balancer_home_{CHARGER_ID}/config"
FULL = snapshot(battery=True, currency="EUR", today=today(), import_price=0.3, plans=True)
UNITS = {
    "power": "W",
    "current": "A",
    "energy": "kWh",
    "battery": "%",
    "duration": "s",
    "monetary": "EUR",
}
"""The unit of each device class that has one."""
STATE_CLASSES: dict[str, set[str | None]] = {
    "energy": {"total", "total_increasing"},
    "monetary": {"total"},
    "power": {"measurement"},
    "current": {"measurement"},
    "enum": {None},
    "timestamp": {None},
}
NEEDS = {
    "select": {"command_topic", "options", "value_template"},
    "number": {"command_topic", "min", "max", "value_template"},
    "text": {"command_topic", "value_template"},
    "button": {"command_topic", "payload_press"},
    "switch": {"command_topic", "value_template", "payload_on", "payload_off"},
    "sensor": {"value_template", "expire_after"},
    "binary_sensor": {"value_template", "expire_after", "payload_on", "payload_off"},
}
"""What each platform cannot do without here."""


def payloads(of: Snapshot = FULL, *, linked: bool = True) -> dict[str, dict[str, Any]]:
    """The discovery payloads by topic."""
    found = discovery(of, INTERVAL, linked=linked)
    return {one.topic: json.loads(one.payload) for one in found}


def components(of: Snapshot = FULL, *, linked: bool = True) -> dict[str, dict[str, Any]]:
    """All entities by their key."""
    devices = payloads(of, linked=linked).values()
    return dict(chain.from_iterable(one["components"].items() for one in devices))


def values(of: Snapshot = FULL) -> dict[str, Any]:
    """All values by key."""
    return {name: value for one in states(of) for name, value in json.loads(one.payload).items()}


def test_one_device_for_the_site_and_one_for_the_charger() -> None:
    found = payloads()
    assert list(found) == [SITE_CONFIG, CHARGER_CONFIG]
    for topic, payload in found.items():
        assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", topic)
        assert payload["origin"]["name"]
        assert payload["device"]["identifiers"]
        assert payload["availability"] == [{"topic": "easee-balancer/home/status"}]
    charger = found[CHARGER_CONFIG]["device"]
    assert charger["via_device"] == found[SITE_CONFIG]["device"]["identifiers"][0]
    assert charger["serial_number"] == CHARGER_ID


@pytest.mark.parametrize(("key", "component"), components().items())
def test_every_entity_follows_the_rules_of_its_platform(
    key: str, component: dict[str, Any]
) -> None:
    platform, kind = component["platform"], component.get("device_class")
    assert component.keys() >= {"unique_id", "name", "default_entity_id"} | NEEDS[platform]
    assert "object_id" not in component, "deprecated"
    assert re.fullmatch(rf"{platform}\.[a-z0-9_]+", component["default_entity_id"])
    assert component["unique_id"].endswith(f"_{key}")
    unit = "EUR/kWh" if key == "import_price" else UNITS.get(kind or "")
    assert component.get("unit_of_measurement") == unit
    if platform == "sensor":
        assert component["expire_after"] == 90
        allowed = STATE_CLASSES.get(kind or "", {None, "measurement", "total_increasing"})
        assert component.get("state_class") in allowed
        assert component.get("entity_category") in (None, "diagnostic")
    assert ("options" in component) == (kind == "enum" or platform == "select")
    if "last_reset_value_template" in component:
        assert component["state_class"] == "total"
    if "command_topic" in component:
        assert re.fullmatch(
            rf"easee-balancer/home/{CHARGER_ID}/\w+/set", component["command_topic"]
        )


def test_unique_ids_and_entity_ids_occur_once() -> None:
    found = components().values()
    for name in ("unique_id", "default_entity_id"):
        assert len({one[name] for one in found}) == len(found)
    assert len(found) == len(SITE_ENTITIES) + len(CHARGER_ENTITIES)


def test_unique_ids_never_change() -> None:
    """They are the entities' history in Home Assistant: add to this list, change nothing."""
    site = (
        *("decision", "outcome", "problem", "grid_export_w", "pv_w", "house_w", "surplus_w"),
        *("battery_charge_w", "battery_soc_pct", "grid_export_l1_a", "grid_export_l2_a"),
        *("grid_export_l3_a", "imported_kwh", "exported_kwh", "charged_kwh", "discharged_kwh"),
        *("today_pv_kwh", "today_house_kwh", "today_import_kwh", "today_export_kwh"),
        *("today_car_kwh", "today_car_from_solar_kwh", "today_car_from_battery_kwh"),
        *("today_car_from_grid_kwh", "today_saved", "cloud_calls", "last_cycle"),
        *("import_price", "plan"),
    )
    charger = (
        *("mode", "phases", "min_current_a", "max_current_a", "boost_until", "boost"),
        *("cancel_boost", "car_w", "setpoint_a", "output_current_a", "car_l1_a", "car_l2_a"),
        *("car_l3_a", "output_phases", "status", "session_kwh", "lifetime_kwh", "car_age_s"),
        *("car_connected", "charging", "online", "other_controller", "ready_by"),
        *("hold_battery", "max_power_w"),
    )
    assert {one["unique_id"] for one in components().values()} == {
        *(f"easee_balancer_home_{key}" for key in site),
        *(f"easee_balancer_home_{CHARGER_ID}_{key}" for key in charger),
    }


def test_every_template_names_a_published_value() -> None:
    published = values().keys()
    texts = json.dumps(list(payloads().values()))
    named = set(re.findall(r"value_json\.(\w+)", texts))
    assert named <= published
    assert named == published


def test_the_energy_dashboard_gets_its_sensors() -> None:
    found = components()
    for key in ("imported_kwh", "exported_kwh", "charged_kwh", "discharged_kwh", "today_pv_kwh"):
        assert found[key]["device_class"] == "energy"
        assert found[key]["state_class"] == "total_increasing"
        assert found[key]["unit_of_measurement"] == "kWh"
    template = found["today_saved"]["last_reset_value_template"]
    assert template == "{{ value_json.today_since or '' }}"
    assert values()["today_since"] == "2026-06-21T00:00:00+02:00"
    assert values(snapshot())["today_since"] is None


def test_controls_have_the_bounds_of_the_policy() -> None:
    found = components()
    assert found["mode"]["options"] == ["off", "solar", "solar+minimum", "fast"]
    assert found["phases"]["options"] == ["auto", "1", "3"]
    assert (found["min_current_a"]["min"], found["min_current_a"]["max"]) == (6, 10)
    assert (found["max_current_a"]["min"], found["max_current_a"]["max"]) == (10, 32)
    assert (found["hold_battery"]["payload_on"], str(values()["hold_battery"])) == ("True", "False")


def test_what_a_home_does_not_have_is_not_there() -> None:
    """Without battery, without prices, and without a link that listens and sums up."""
    found = components(snapshot(), linked=False)
    gone = {key for key, one in found.items() if one == {"platform": components()[key]["platform"]}}
    battery = {"battery_charge_w", "battery_soc_pct", "charged_kwh", "discharged_kwh"}
    controls = {"mode", "phases", "min_current_a", "max_current_a", "hold_battery", "max_power_w"}
    summed_up = {*(f"today_{key}" for key in TODAY), "today_saved", "cloud_calls"}
    boosts = {"boost", "boost_until", "cancel_boost"}
    plans = {"import_price", "plan", "ready_by"}
    assert gone == battery | controls | boosts | summed_up | plans
    assert found.keys() == components().keys(), "what Home Assistant knew before is removed there"


def test_what_a_home_no_longer_has_is_unknown_until_home_assistant_has_removed_it() -> None:
    assert values(snapshot()).keys() == values().keys()
    assert values(snapshot())["import_price"] is None


def test_values_of_a_cycle() -> None:
    found = values()
    assert found["decision"] == "10 A x 3: surplus 4.0 kW"
    assert found["outcome"] == "held"
    assert (found["problem"], found["charging"], found["car_connected"]) == (False, True, True)
    assert found["grid_export_w"] == -2900.0
    assert found["car_w"] == 6900.0
    assert found["house_w"] == 1000.0  # 5000 AC + 2900 import - 6900 car
    assert (found["setpoint_a"], found["output_phases"]) == (10, 3)
    assert found["today_pv_kwh"] == 1.0
    assert found["today_saved"] == 0.22
    assert found["car_age_s"] == 20 * 60
    assert (found["mode"], found["boost_until"]) == ("solar", "off")
    assert found["max_power_w"] == "off"
    assert values(replace(FULL, policy=Policy(max_power_w=4200)))["max_power_w"] == "4200"


def test_unknown_is_null_and_makes_the_charger_unavailable() -> None:
    lost = replace(FULL, charger=ChargerState.unknown(NOW), outcome="failed", today=None)
    found = values(lost)
    assert found["problem"] is True
    for key in ("car_w", "house_w", "car_connected", "charging", "today_pv_kwh", "today_saved"):
        assert found[key] is None, key
    assert found["status"] == "unknown"
    assert found["availability"] == "offline"
    waits = {key for key, one in components(lost).items() if len(one.get("availability", ())) == 2}
    assert waits >= {"car_w", "status", "session_kwh"}
    assert not waits & {"mode", "boost", "setpoint_a", "online"}


def test_another_controller_and_a_boost_are_shown() -> None:
    limited = replace(FULL.decision, state=told(10, external_limit_a=(8.0, 8.0, 8.0)))
    boost = Boost.asked(16, "17:30 or 10 kWh", "Europe/Stockholm", NOW)
    found = values(replace(FULL, decision=limited, boost=boost))
    assert found["other_controller"] is True
    assert found["boost_until"] == "17:30 or 10 kWh"
    assert values()["other_controller"] is False


def test_the_dashboard_shows_entities_that_exist() -> None:
    text = (PROJECT / "deployments" / "home-assistant" / "dashboard.yaml").read_text()
    view = yaml.safe_load(text)
    assert view["cards"]
    shown = set(re.findall(r"entity: (\S+)", text))
    assert len(shown) > 20
    assert shown <= {one["default_entity_id"] for one in components().values()}


def test_a_state_is_never_longer_than_home_assistant_accepts() -> None:
    found = values(replace(FULL, reason="The inverter does not answer. " * 20))
    assert len(found["decision"]) == 255
    assert found["decision"].endswith(" ...")


def test_totals_of_a_day_never_fall_until_the_next() -> None:
    before, corrected = today(kwh={"pv_kwh": 2.0}), today(kwh={"pv_kwh": 1.9})
    assert corrected.not_below(before).kwh == {"pv_kwh": 2.0}
    tomorrow = replace(corrected, since=before.since + timedelta(days=1))
    assert tomorrow.not_below(before) == tomorrow
