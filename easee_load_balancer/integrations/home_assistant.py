"""Topics and payloads for Home Assistant: device discovery, states and commands.

Discovery as in Home Assistant core 2026.2 (components/mqtt/discovery.py): one retained message for
each device.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from easee_load_balancer.integrations.entities import CHARGER_ENTITIES, SITE_ENTITIES, Entity
from easee_load_balancer.integrations.snapshot import Snapshot

BIRTH_TOPIC = "homeassistant/status"
"""Home Assistant publishes `online` here when it starts."""
ONLINE, OFFLINE = "online", "offline"
_PACKAGE = "easee-load-balancer"
_EXPIRES_AFTER_CYCLES = 3


@dataclass(frozen=True, slots=True)
class Message:
    """A retained message."""

    topic: str
    payload: str


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of a site with one charger."""

    site: str
    charger_id: str

    @classmethod
    def of(cls, snapshot: Snapshot) -> Topics:
        """Those of the cycle's site."""
        return cls(snapshot.site, snapshot.charger_id)

    @property
    def status(self) -> str:
        """Whether the balancer is running: online or offline; also the last will."""
        return f"easee-balancer/{self.site}/status"

    @property
    def site_state(self) -> str:
        """The values of the site."""
        return f"easee-balancer/{self.site}/state"

    @property
    def charger_state(self) -> str:
        """The values and settings of the charger."""
        return f"easee-balancer/{self.site}/{self.charger_id}/state"

    def command(self, name: str) -> str:
        """Where commands of that name arrive; `+` for all."""
        return f"easee-balancer/{self.site}/{self.charger_id}/{name}/set"

    def command_name(self, topic: str) -> str | None:
        """The name of the command; None for any other topic."""
        before, after = self.command("+").split("+")
        if not topic.startswith(before) or not topic.endswith(after):
            return None
        return topic[len(before) : -len(after)]

    @property
    def inputs(self) -> str:
        """Where other programs send what they know."""
        return f"easee-balancer/{self.site}/input/+"

    def input_name(self, topic: str) -> str | None:
        """The name of the input; None for any other topic."""
        before = self.inputs.removesuffix("+")
        return topic.removeprefix(before) if topic.startswith(before) else None

    @property
    def site_id(self) -> str:
        """The site's device in Home Assistant."""
        return f"easee_balancer_{self.site}"

    @property
    def charger_device_id(self) -> str:
        """The charger's device in Home Assistant."""
        return f"{self.site_id}_{self.charger_id}"


def discovery(snapshot: Snapshot, interval: timedelta, *, linked: bool) -> list[Message]:
    """The devices of the site; with controls and the day's totals only where there is a link."""
    topics = Topics.of(snapshot)
    devices = (
        (topics.site_id, _site_device(topics), topics.site_state, SITE_ENTITIES),
        (topics.charger_device_id, _charger_device(topics), topics.charger_state, CHARGER_ENTITIES),
    )
    return [
        Message(
            f"homeassistant/device/{device_id}/config",
            json.dumps(
                {
                    "device": device,
                    "origin": {"name": _PACKAGE, "sw_version": version(_PACKAGE)},
                    "availability": [{"topic": topics.status}],
                    "availability_mode": "all",
                    "state_topic": state_topic,
                    "qos": 1,
                    "components": {
                        entity.key: _component(entity, device_id, topics, snapshot, interval)
                        if entity.exists(snapshot) and (linked or not entity.needs_link)
                        else {"platform": entity.platform}  # removes it where it was known
                        for entity in entities
                    },
                }
            ),
        )
        for device_id, device, state_topic, entities in devices
    ]


def states(snapshot: Snapshot) -> list[Message]:
    """The values of all entities, one message for each device."""
    topics = Topics.of(snapshot)
    site = _values(SITE_ENTITIES, snapshot)
    site["today_since"] = snapshot.today and snapshot.today.since.isoformat()
    charger = _values(CHARGER_ENTITIES, snapshot)
    charger["availability"] = ONLINE if snapshot.charger.online else OFFLINE
    return [
        Message(topics.site_state, json.dumps(site)),
        Message(topics.charger_state, json.dumps(charger)),
    ]


def _site_device(topics: Topics) -> dict[str, Any]:
    return {
        "identifiers": [topics.site_id],
        "name": f"Easee balancer {topics.site}",
        "manufacturer": _PACKAGE,
        "model": "Solar charging",
        "sw_version": version(_PACKAGE),
    }


def _charger_device(topics: Topics) -> dict[str, Any]:
    return {
        "identifiers": [topics.charger_device_id],
        "name": f"Easee charger {topics.charger_id}",
        "manufacturer": "Easee",
        "model": "Charger",
        "serial_number": topics.charger_id,
        "via_device": topics.site_id,
    }


def _component(
    entity: Entity, device_id: str, topics: Topics, snapshot: Snapshot, interval: timedelta
) -> dict[str, Any]:
    """One entity of the discovery message."""
    place = topics.site.replace("-", "_")
    component = {
        "platform": entity.platform,
        "unique_id": f"{device_id}_{entity.key}",
        "default_entity_id": f"{entity.platform}.easee_{place}_{entity.key}",
        "name": entity.name,
        **entity.fields,
    }
    if entity.value is not None:
        component["value_template"] = f"{{{{ value_json.{entity.key} }}}}"
    if entity.command is not None:
        component["command_topic"] = topics.command(entity.command)
    if entity.platform in ("sensor", "binary_sensor"):
        component["expire_after"] = round(_EXPIRES_AFTER_CYCLES * interval.total_seconds())
    if entity.platform in ("binary_sensor", "switch"):
        component |= {"payload_on": "True", "payload_off": "False"}
    if unit := entity.fields.get("unit_of_measurement"):
        component["unit_of_measurement"] = unit.format(currency=snapshot.currency)
    if entity.needs_charger:
        component["availability"] = [
            {"topic": topics.status},
            {
                "topic": topics.charger_state,
                "value_template": "{{ value_json.availability }}",
            },
        ]
    return component


def _values(entities: Iterable[Entity], snapshot: Snapshot) -> dict[str, Any]:
    """The value of each entity by its key; null is unknown."""
    return {one.key: _rounded(one.value(snapshot)) for one in entities if one.value is not None}


def _rounded(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value
